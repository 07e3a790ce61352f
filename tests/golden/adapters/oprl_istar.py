"""OPRL, later iStar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.core.dense import Dense
from guerdon.core.signal import Signal, Status
from guerdon.credit.batch_scale import unit_returns
from guerdon.credit.episode_step import EpisodeStep, pool_relative
from guerdon.models.margin import logistic_loss
from guerdon.models.trajectory_preference import group_pair_loss, trajectory_scores

from .registry import adapter

FORMS = {"rloo": "leave_one_out", "mean_norm": "mean", "mean_std_norm": "mean_std"}


def _codes(names: Sequence[str]) -> NDArray[np.int64]:
    return np.unique(names, return_inverse=True)[1]


@adapter("trajectory_dpo_loss_implemented_per_step")
def pair_loss(inputs: Mapping[str, Any]) -> float:
    mask = np.array(inputs["mask"]) != 0
    rewards = inputs["beta"] * np.where(mask, inputs["token_log_ratios"], 0.0).sum(axis=1)
    group = _codes(inputs["group"])
    trajectory = _codes([f"{name}/{code}" for name, code in zip(inputs["trajectory"], group, strict=True)])
    order = np.argsort(trajectory, kind="stable")
    starts = np.unique(trajectory[order], return_index=True)[1]
    scores = trajectory_scores(
        rewards[order], [*starts, order.size], np.array(inputs["active"])[order], reduce="mean"
    )
    first = order[starts]
    return float(group_pair_loss(scores, np.array(inputs["success"])[first] > 0, group[first]))


@adapter("trajectory_dpo_loss_paper_log_sigmoid_beta")
def trajectory_loss(inputs: Mapping[str, Any]) -> float:
    winner, loser = inputs["winner_step_log_ratios"], inputs["loser_step_log_ratios"]
    rewards = inputs["beta"] * np.array([*winner, *loser], dtype=np.float64)
    scores = trajectory_scores(rewards, [0, len(winner), rewards.size])
    return float(logistic_loss(scores[0] - scores[1]))


@adapter("combined_advantage_one_group_r_i_mean_r_std")
def combined(inputs: Mapping[str, Any]) -> list[list[float]]:
    dense = Dense.from_rows(inputs["step_rewards"], "time_step")
    outcome = np.array(inputs["outcome"], dtype=np.float64)
    estimator = EpisodeStep(
        step_weight=inputs["alpha"],
        ddof={"sample": 1, "population": 0}[inputs["std"]],
        epsilon=inputs["eps"],
        dtype="float64",
    )
    mask = np.arange(dense.lengths.max()) < dense.lengths[:, None]
    signal = Signal(outcome, np.full(outcome.size, Status.OK), dense=dense)
    advantages = estimator(signal, np.zeros(outcome.size, dtype=np.int64), mask)
    return [row[kept].tolist() for row, kept in zip(advantages, mask, strict=True)]


@adapter("advantage_implemented_one_row_per_agent_step")
def implemented(inputs: Mapping[str, Any]) -> NDArray[np.float64]:
    group = _codes(inputs["group"])
    pairs = [f"{name}/{code}" for name, code in zip(inputs["trajectory"], group, strict=True)]
    first = np.zeros(group.size, dtype=bool)
    first[np.unique(pairs, return_index=True)[1]] = True

    def relative(rewards: Any) -> NDArray[np.float64]:
        values = np.array(rewards, dtype=np.float64).sum(axis=1)
        return pool_relative(values, group, first, relative=FORMS[inputs["mode"]], singleton="raw")

    advantages = relative(inputs["outcome_rewards"]) + inputs["w"] * relative(inputs["step_rewards"])
    return advantages[:, None] * np.array(inputs["mask"])


@adapter("batch_normalisation_step_placed_rewards")
def batch_norm(inputs: Mapping[str, Any]) -> NDArray[np.float64]:
    return unit_returns(np.array(inputs["rewards"], dtype=np.float64))
