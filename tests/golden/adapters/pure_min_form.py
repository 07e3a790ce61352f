"""PURE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from guerdon.credit.group_relative import group_relative
from guerdon.credit.leave_one_out import leave_one_out_steps
from guerdon.credit.min_form import (
    dense_return_advantages,
    good_minus_bad,
    min_form_returns,
    softmin_rewards,
)
from guerdon.credit.returns import discounted_returns
from tests.golden.ragged import ragged, rows

from .registry import adapter


@adapter("approximate_min_transform_r_p_good_p_bad_2")
def transform_logits(inputs: Mapping[str, Any]) -> dict[str, Any]:
    rewards = good_minus_bad(np.array(inputs["logits"], dtype=np.float64))
    weighted = softmin_rewards(rewards, inputs["temperature"], np.array(inputs["mask"]))
    return {"weighted": weighted, "sum": weighted.sum(axis=1)}


@adapter("approximate_min_transform_applied_given_step")
def transform_rewards(inputs: Mapping[str, Any]) -> dict[str, Any]:
    weighted = softmin_rewards(np.array([inputs["rewards"]], dtype=np.float64), inputs["temperature"])[0]
    return {"weighted": weighted, "sum": float(weighted.sum())}


@adapter("token_level_rloo_dense_rewards_returns")
def token_level(inputs: Mapping[str, Any]) -> dict[str, Any]:
    rewards, mask = np.array(inputs["rewards"], dtype=np.float64), np.array(inputs["mask"]) != 0
    groups = np.unique(inputs["group"], return_inverse=True)[1]
    returns = dense_return_advantages(rewards, mask, groups, form=inputs["aggregate"], whitened=False)
    advantages = dense_return_advantages(
        rewards, mask, groups, form=inputs["aggregate"], whitened=inputs["whiten"]
    )
    return {"advantages": advantages, "returns": returns}


@adapter("per_step_reward_after_leave_one_out_token")
def token_baseline(inputs: Mapping[str, Any]) -> list[list[float]]:
    rewards, offsets = ragged(inputs["step_rewards"])
    relative = leave_one_out_steps(
        rewards,
        offsets,
        inputs["group_size"],
        tokens=ragged(inputs["tokens_per_step"])[0],
        lengths=np.array(inputs["lengths"]),
    )
    if inputs["solved"] is not None:
        verified = np.array([0.0 if solved is None else solved - 1.0 for solved in inputs["solved"]])
        relative[offsets[1:] - 1] += inputs["coef"] * group_relative(
            verified, inputs["group_size"], baseline="leave_one_out", scale="none"
        )
    return rows(relative, offsets)


@adapter("credit_assignment_returns_step_rewards_sum")
def forms(inputs: Mapping[str, Any]) -> dict[str, Any]:
    rewards = np.array([inputs["rewards"]], dtype=np.float64)
    return {
        "sum_form": discounted_returns(rewards, inputs["gamma"])[0],
        "min_form": min_form_returns(rewards)[0],
    }
