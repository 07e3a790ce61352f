"""Counts of tool steps, and the share of calls that weren't needed."""

from __future__ import annotations

import math
from typing import Any

import pytest

from guerdon.verify.tool_use import tool_overuse, tool_step_counts


def test_counts() -> None:
    assert tool_step_counts([["normal", "tool"], ["tool", "tool"], []]).tolist() == [1, 2, 0]
    assert tool_step_counts([]).shape == (0,)
    with pytest.raises(ValueError, match=r"types\[1\].*'code'"):
        tool_step_counts([["tool"], ["code"]])  # type: ignore[list-item]


def test_overuse_looks_only_at_what_is_solved_without_tools() -> None:
    assert tool_overuse([0, 3, 1, 5], [True, True, True, False]) == pytest.approx(2 / 3)
    assert tool_overuse([0, 0], [True, False]) == 0
    assert math.isnan(tool_overuse([1], [False]))
    assert math.isnan(tool_overuse([], []))


@pytest.mark.parametrize(
    ("calls", "solved"), [([1], [True, False]), ([[1]], [[True]]), ([-1], [True]), ([math.nan], [True])]
)
def test_what_does_not_fit_is_named(calls: Any, solved: Any) -> None:
    with pytest.raises(ValueError, match="calls"):
        tool_overuse(calls, solved)
