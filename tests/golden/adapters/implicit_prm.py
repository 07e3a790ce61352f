"""Free process rewards without process labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from guerdon.models.first_error import first_error_f1
from guerdon.models.implicit_loss import dpo_loss, outcome_cross_entropy, paired_kto_loss
from guerdon.models.log_ratio import step_rewards, token_log_ratios
from guerdon.steer.aggregate import aggregate
from guerdon.steer.select import weighted_vote
from tests.golden.ragged import ragged

from .registry import adapter

SIDES = ("policy_chosen", "policy_rejected", "ref_chosen", "ref_rejected")


def _floats(values: Any) -> Any:
    return np.array(values, dtype=np.float64)


@adapter("cross_entropy_outcome_loss_implicit_reward")
def cross_entropy(inputs: Mapping[str, Any]) -> float:
    rewards = token_log_ratios(_floats(inputs["policy_logps"]), _floats(inputs["ref_logps"]), inputs["beta"])
    return float(outcome_cross_entropy(rewards, _floats(inputs["labels"])))


@adapter("mean_dpo_loss_log_sigmoid_beta_pc_pr_rc_rr")
def dpo(inputs: Mapping[str, Any]) -> float:
    return float(dpo_loss(*(_floats(inputs[side]) for side in SIDES), inputs["beta"]))


@adapter("paired_kto_loss_kl_c_max_mean_pc_rc_0_kl_r")
def kto(inputs: Mapping[str, Any]) -> float:
    return float(paired_kto_loss(*(_floats(inputs[side]) for side in SIDES), inputs["beta"]))


@adapter("step_rewards_token_log_ratios_d_t_coef_logp")
def steps(inputs: Mapping[str, Any]) -> dict[str, Any]:
    policy, reference = _floats(inputs["policy_logps"]), _floats(inputs["ref_logps"])
    tokens = token_log_ratios(policy, reference, inputs["coef"], start=inputs["start"])[None]
    ends = np.array(inputs["step_end_index"]) + 1
    offsets = [0, ends.size]
    accumulative = step_rewards(tokens, ends, offsets, form="accumulative")
    single = step_rewards(tokens, ends, offsets)
    return {
        "accumulative": accumulative,
        "single": single,
        "min_single": aggregate(single, "min"),
        "sum_single": float(single.sum()),
        "min_accumulative": aggregate(accumulative, "min"),
    }


@adapter("best_f1_over_thresholds_linspace_0_1_n")
def first_errors(inputs: Mapping[str, Any]) -> dict[str, float | None]:
    rewards, offsets = ragged([item["reward"] for item in inputs["items"]])
    errors = [item["label"] for item in inputs["items"]]
    found = first_error_f1(rewards, offsets, errors, thresholds=inputs["num_thresholds"])
    return {"threshold": found.threshold, "f1": found.f1}


@adapter("best_n_self_consistency_sum_sigmoid_reward")
def vote(inputs: Mapping[str, Any]) -> dict[str, Any]:
    found = weighted_vote(inputs["answers"], inputs["rewards"])
    return {"scores": found and found.totals, "selected": found and found.answer}
