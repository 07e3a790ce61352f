"""PAV."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from guerdon.credit.step_advantage import (
    best_of_k_success,
    effective_rewards,
    prover_diagnostics,
    step_advantages,
)
from guerdon.models.implicit_loss import outcome_cross_entropy
from guerdon.models.rollout_labels import success_rates
from guerdon.steer.select import top_k

from .registry import adapter


def _floats(values: Any) -> Any:
    return np.array(values, dtype=np.float64)


@adapter("step_advantages_under_prover_deterministic")
def advantages(inputs: Mapping[str, Any]) -> Any:
    return step_advantages(_floats([inputs["Q"]]), _floats([inputs["V0"]]))[0]


@adapter("effective_step_reward_q_base_h_alpha_prover")
def effective(inputs: Mapping[str, Any]) -> Any:
    return effective_rewards(_floats(inputs["Q_base"]), _floats(inputs["A_prover"]), inputs["alpha"])


@adapter("success_probability_best_k_policy_success")
def best_of_k(inputs: Mapping[str, Any]) -> Any:
    return best_of_k_success(_floats(inputs["q"]), inputs["K"])


@adapter("beam_selection_indices_top_b_candidates_q")
def beam(inputs: Mapping[str, Any]) -> list[int]:
    worth = effective_rewards(_floats(inputs["Q"]), _floats(inputs["A"]), inputs["alpha"])
    return top_k(worth, inputs["B"])


@adapter("one_state_prover_diagnostics_under_base")
def diagnostics(inputs: Mapping[str, Any]) -> dict[str, float]:
    found = prover_diagnostics(*(_floats(inputs[name]) for name in ("pi", "Q_prover", "Q_base")))
    return {"distinguishability": float(found.distinguishability), "alignment": float(found.alignment)}


@adapter("verifier_loss_mean_binary_cross_entropy")
def verifier_loss(inputs: Mapping[str, Any]) -> float:
    predicted = _floats(inputs["pred"])
    logits = np.log(predicted) - np.log1p(-predicted)
    return float(outcome_cross_entropy(logits, _floats(inputs["target"])))


@adapter("monte_carlo_q_estimates_fraction_correct")
def estimates(inputs: Mapping[str, Any]) -> Any:
    return success_rates(inputs["completions_correct"])
