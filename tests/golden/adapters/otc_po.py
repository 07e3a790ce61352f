"""OTC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guerdon.core.function import reward
from guerdon.core.samples import Chat
from guerdon.verify.tool_efficiency import ToolEfficiency, otc_grpo_factor, otc_ppo_factor, tool_productivity

from .registry import adapter


@reward
def correct(sample: Chat) -> float:
    return float(sample.extra["correct"])


@reward
def calls(sample: Chat) -> float:
    return float(sample.extra["calls"])


@adapter("otc_ppo_tool_reward_cos_m_pi_2m_c")
def ppo_factor(inputs: Mapping[str, Any]) -> Any:
    return otc_ppo_factor(inputs["m"], inputs["c"])


@adapter("otc_grpo_tool_reward_given_m_calls_group")
def grpo_factor(inputs: Mapping[str, Any]) -> Any:
    return otc_grpo_factor(inputs["m"], inputs["n"], inputs["c"])


@adapter("otc_grpo_group_rewards_alpha_r_tool")
def group_rewards(inputs: Mapping[str, Any]) -> Any:
    columns = zip(inputs["correct"], inputs["tool_calls"], strict=True)
    samples = [Chat("", "", group=0, extra={"correct": right, "calls": count}) for right, count in columns]
    efficiency = ToolEfficiency(correct, calls=calls, c=inputs["c"], alpha=inputs.get("alpha", 1.0))
    return efficiency(samples).outcome


@adapter("tool_productivity_correct_answers_total_tool")
def productivity(inputs: Mapping[str, Any]) -> float:
    return tool_productivity(inputs["correct"], inputs["tool_calls"])
