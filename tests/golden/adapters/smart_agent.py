"""SMART. The cases were computed with the released parser, hence `mode="code"`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guerdon.verify.reasoning_steps import parse_steps
from guerdon.verify.tool_use import tool_step_counts

from .registry import adapter


@adapter("parse_smart_reasoning_text_into_steps_name")
def steps(inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": step.name, "type": step.type, "tool_name": step.tool, "reasoning": step.body}
        for step in parse_steps(inputs["text"], mode="code")
    ]


@adapter("tool_calls_per_example_mean_counts_mean")
def counts(inputs: Mapping[str, Any]) -> list[Any]:
    calls = tool_step_counts(inputs["step_types_per_example"])
    return [calls.tolist(), float(calls.mean())]
