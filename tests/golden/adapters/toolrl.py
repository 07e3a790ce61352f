"""ToolRL. The cases were computed with the released code, hence `mode="code"`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guerdon.core.context import Context
from guerdon.core.samples import Chat
from guerdon.verify.tool_calls import ToolCallMatch

from .registry import adapter


@adapter("toolrl_total_reward_format_tool_correctness")
def total_reward(inputs: Mapping[str, Any]) -> dict[str, float]:
    reward = ToolCallMatch(inputs.get("variant_flags") or (), mode="code", layout="tagged")
    sample = Chat("", inputs["response"], reference=inputs["ground_truth"])
    signal = reward([sample], Context(step=inputs.get("step")))
    return {"total": signal.outcome[0], **{name: part.outcome[0] for name, part in signal.parts.items()}}
