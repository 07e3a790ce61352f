"""PRIME."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.core.dense import Dense
from guerdon.core.signal import Signal, Status
from guerdon.credit.batch_scale import unit_returns
from guerdon.credit.leave_one_out import DenseLeaveOneOut
from guerdon.credit.prompt_filter import accuracy_filter
from guerdon.credit.ranking_accuracy import ranking_accuracy
from guerdon.models.implicit_loss import outcome_cross_entropy

from .registry import adapter


@adapter("prime_rloo_per_reward_source_per_prompt")
def per_source(inputs: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    lengths = inputs["lengths"]
    rows = [row[:length] for row, length in zip(inputs["process_rewards"], lengths, strict=True)]
    outcome = np.array(inputs["outcome"], dtype=np.float64)
    signal = Signal(outcome, np.full(outcome.size, Status.OK), dense=Dense.from_rows(rows, "token"))
    mask = np.arange(len(inputs["process_rewards"][0])) < np.array(lengths)[:, None]
    groups = np.arange(outcome.size) // inputs["group_size"]

    def estimate(whitened: bool) -> NDArray[Any]:
        estimator = DenseLeaveOneOut(
            inputs["gamma_process"],
            inputs["gamma_outcome"],
            bounded=False,
            whitened=whitened,
            dtype="float64",
        )
        return estimator(signal, groups, mask)

    return {"returns": estimate(False), "advantages": estimate(True)}


@adapter("batch_norm_token_process_rewards_divide_max")
def batch_norm(inputs: Mapping[str, Any]) -> NDArray[np.float64]:
    return unit_returns(np.array(inputs["rewards"], dtype=np.float64))


@adapter("mean_bce_sigmoid_beta_masked_sum_token_log")
def cross_entropy(inputs: Mapping[str, Any]) -> float:
    rewards = inputs["beta"] * _summed(inputs["token_log_ratios"], inputs["mask"])
    return float(outcome_cross_entropy(rewards, np.array(inputs["acc"], dtype=np.float64)))


@adapter("within_group_ranking_accuracy_summed_token")
def ranking(inputs: Mapping[str, Any]) -> float:
    scores = _summed(inputs["token_scores"], inputs["mask"])
    return ranking_accuracy(scores, np.array(inputs["acc"]), inputs["group_size"])


@adapter("online_prompt_filter_keep_group_iff_lower")
def prompt_filter(inputs: Mapping[str, Any]) -> NDArray[np.bool_]:
    lengths = inputs.get("lengths")
    kept = accuracy_filter(
        np.array(inputs["acc"], dtype=np.float64),
        inputs["group_size"],
        low=inputs["lower"],
        high=inputs["upper"],
        lengths=None if lengths is None else np.array(lengths),
        max_length=inputs.get("max_len"),
    )
    return kept[:: inputs["group_size"]]


def _summed(tokens: Any, mask: Any) -> NDArray[np.float64]:
    return np.where(np.array(mask) != 0, np.array(tokens, dtype=np.float64), 0.0).sum(axis=1)
