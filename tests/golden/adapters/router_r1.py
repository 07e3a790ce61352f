"""Router-R1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guerdon.core.samples import Chat
from guerdon.verify.qa import CLOSED_ANSWERS, exact_match, token_f1
from guerdon.verify.routing import RunningCostReward, routed_score
from guerdon.verify.routing_format import RoutingFormat, count_routes

from .registry import adapter


@adapter("router_r1_format_penalty_whole_trajectory")
def format_penalty(inputs: Mapping[str, Any]) -> float:
    return RoutingFormat()([Chat("", inputs["trajectory"])]).outcome[0]


@adapter("number_valid_routing_calls_trajectory_stops")
def routes(inputs: Mapping[str, Any]) -> int:
    return count_routes(inputs["trajectory"])


@adapter("token_f1_squad_style_normalisation_yes_no")
def f1(inputs: Mapping[str, Any]) -> float:
    return token_f1(inputs["prediction"], inputs["gold"], closed=CLOSED_ANSWERS)


@adapter("exact_match_after_normalisation_against_any")
def em(inputs: Mapping[str, Any]) -> int:
    return int(exact_match(inputs["prediction"], inputs["gold"]))


@adapter("cost_reward_sequence_per_trajectory_costs")
def cost_rewards(inputs: Mapping[str, Any]) -> list[float]:
    return RunningCostReward()(inputs["costs"]).tolist()


@adapter("training_reward_given_format_penalty_0_or_1")
def training_reward(inputs: Mapping[str, Any]) -> tuple[float, float, float]:
    return routed_score(
        inputs["trajectory"],
        inputs["gold"],
        penalty=inputs["format_penalty"],
        cost_reward=inputs["cost_reward"],
        alpha=inputs["alpha"],
        metric=inputs["metric"],
    )
