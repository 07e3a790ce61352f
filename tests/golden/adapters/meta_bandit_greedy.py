"""Meta-bandit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guerdon.verify.bandit import strategic_reward, ucb_action
from guerdon.verify.bandit_runs import cumulative_regret, greedy_fraction, min_fraction, suffix_failure

from .registry import adapter


@adapter("1_if_best_arm_never_pulled_rounds_t_t_1_0")
def failure(inputs: Mapping[str, Any]) -> int:
    return int(suffix_failure(inputs["arms"], inputs["best_arm"], inputs["t"]))


@adapter("k_min_over_arms_pull_fraction_first_t_rounds")
def evenness(inputs: Mapping[str, Any]) -> float:
    return min_fraction(inputs["arms"], inputs["K"], inputs["t"])


@adapter("sum_over_rounds_mu_mu_arms_0_based")
def regret(inputs: Mapping[str, Any]) -> float:
    return cumulative_regret(inputs["arms"], inputs["means"])


@adapter("strategic_reward_mu_min_mu_max_mu_min_mu")
def strategic(inputs: Mapping[str, Any]) -> float:
    return strategic_reward(inputs["arm"], inputs["means"])


@adapter("ucb1_action_untried_arms_first_lowest_index")
def ucb(inputs: Mapping[str, Any]) -> int:
    return ucb_action(inputs["counts"], inputs["sums"], inputs["c"])


@adapter("share_rounds_after_first_whose_arm_has_tied")
def greedy(inputs: Mapping[str, Any]) -> float:
    return greedy_fraction(inputs["arms"], inputs["rewards"])
