"""Tool efficiency: the factors' limits, the group minimum, and what other statuses do."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.function import reward
from guerdon.core.registry import create
from guerdon.core.reward import leaves
from guerdon.core.samples import Chat
from guerdon.core.signal import Status
from guerdon.verify import format as _format  # noqa: F401  registers "sections"
from guerdon.verify.tool_efficiency import (
    ToolCount,
    ToolEfficiency,
    otc_grpo_factor,
    otc_ppo_factor,
    tool_productivity,
)

COUNTS = st.integers(0, 50)
SMOOTHING = st.floats(0.1, 20)


def sample(correct: float | None, calls: int, group: int = 0) -> Chat:
    results = [
        message
        for i in range(calls)
        for message in (
            {"role": "assistant", "tool_calls": [{"id": str(i), "name": "f", "arguments": {}}]},
            {"role": "tool", "tool_call_id": str(i), "content": "ok"},
        )
    ]
    completion = [*results, {"role": "assistant", "content": "done"}]
    return Chat("q", completion, group=group, extra={"correct": correct})


@reward
def right(sample: Chat) -> float | None:
    """What the sample says; text raises."""
    value = sample.extra["correct"]
    return None if value is None else float(value)


# -- factors -------------------------------------------------------------------------------------------------


@given(COUNTS, SMOOTHING)
def test_ppo_factor_is_one_without_calls_and_falls(m: int, c: float) -> None:
    more = otc_ppo_factor([0, m, m + 1], c)
    assert more[0] == 1
    assert more[1] > more[2] > 0
    assert otc_ppo_factor(m + 1, c + 1) > otc_ppo_factor(m + 1, c)


@given(st.integers(1, 50), st.integers(1, 50), SMOOTHING)
def test_grpo_factor_peaks_at_the_fewest(m: int, n: int, c: float) -> None:
    f = 2 * n * m / (m + n)
    assert otc_grpo_factor(m, n, c) == pytest.approx(math.sin(f * math.pi / (2 * n)))
    assert otc_grpo_factor(n, n, c) == pytest.approx(1)
    assert otc_grpo_factor(n + m, n, c) > otc_grpo_factor(n + m + 1, n, c) > 0
    assert otc_grpo_factor(0, n, c) == 0
    assert otc_grpo_factor(m, 0, c) == otc_ppo_factor(m, c)
    assert otc_grpo_factor(0, 0, c) == 1


def test_factors_broadcast_without_warnings() -> None:
    with np.errstate(all="raise"):
        assert otc_grpo_factor([[0], [2]], [0, 1, 2], c=4).shape == (2, 3)


@pytest.mark.parametrize("bad", [-1, math.nan, math.inf])
def test_bad_counts_and_smoothing_are_named(bad: float) -> None:
    with pytest.raises(ValueError, match="m: expected finite counts"):
        otc_ppo_factor([1, bad], 4)
    with pytest.raises(ValueError, match="n: expected finite counts"):
        otc_grpo_factor(1, bad, 4)
    with pytest.raises(ValueError, match="c: expected a finite number above 0"):
        otc_ppo_factor(1, bad)


def test_tool_productivity() -> None:
    assert tool_productivity([1, 0, 1, 1], [1, 2, 1, 2]) == 0.5
    assert math.isnan(tool_productivity([1, 1], [0, 0]))
    with pytest.raises(ValueError, match="expected equal shapes"):
        tool_productivity([1], [1, 2])


# -- counting ------------------------------------------------------------------------------------------------


def test_only_answered_calls_count() -> None:
    messages = [
        {
            "role": "assistant",
            "tool_calls": [{"name": "f", "arguments": "{bad"}, {"name": "g", "arguments": "{}"}],
        },
        {"role": "tool", "content": "4"},
        {"role": "assistant", "content": "4"},
    ]
    signal = ToolCount()([Chat("", messages)])
    assert (signal.outcome[0], signal.parts["unanswered"].outcome[0]) == (1, 1)


def test_results_in_text_are_found_by_their_tag() -> None:
    once = "<search>a</search><information>b</information>"
    text = f"{once}{once}<search>c"
    assert ToolCount("information")([Chat("", text)]).outcome[0] == 2
    signal = ToolCount()([Chat("", text)])
    assert signal.status[0] == Status.ABSTAINED
    assert "result_tag" in signal.reasons[0]


# -- the reward ----------------------------------------------------------------------------------------------


def test_group_minimum_is_over_correct_members_only() -> None:
    samples = [sample(1, 1), sample(1, 2), sample(0, 0), sample(1, 2, group=1), sample(0, 1, group=2)]
    signal = ToolEfficiency(right, c=4)(samples)
    np.testing.assert_allclose(signal.outcome, [1, math.sin(2 * math.pi / 3), 0, 1, 0])
    assert set(signal.parts) == {"right", "tool_count"}


def test_a_correct_member_without_calls_brings_in_the_cosine() -> None:
    signal = ToolEfficiency(right, c=4, alpha=2)([sample(1, 0), sample(0.5, 1), sample(0, 2)])
    np.testing.assert_allclose(signal.outcome, [2, 2 * 0.5 * math.cos(math.pi / 6), 0])


def test_ppo_mode_needs_no_group() -> None:
    efficiency = ToolEfficiency(right, c=4, mode="ppo")
    assert (efficiency.scope, ToolEfficiency(right, c=4).scope) == ("sample", "group")
    signal = efficiency([sample(1, 2), sample(1, 0), sample(0, 0)])
    np.testing.assert_allclose(signal.outcome, [math.cos(math.pi / 4), 1, 0])


def test_groups_may_be_interleaved_and_the_whole_may_be_composed() -> None:
    samples = [sample(1, 1, 0), sample(1, 3, 1), sample(1, 3, 0), sample(1, 6, 1)]
    signal = (2 * ToolEfficiency(right, c=4) + 1)(samples)
    np.testing.assert_allclose(
        signal.outcome, [3, 3, 1 + 2 * math.sin(math.pi * 3 / 4), 1 + 2 * math.sin(math.pi * 2 / 3)]
    )


def test_correctness_is_scored_once_where_it_is_used_twice() -> None:
    seen = []

    @reward
    def counted(sample: Chat) -> float:
        seen.append(sample)
        return 1.0

    total = ToolEfficiency(counted, c=4) + 0.5 * counted
    assert len(leaves(total)) == 2
    total([sample(1, 1), sample(1, 2)])
    assert len(seen) == 2


def test_other_statuses_spread_and_stay_out_of_the_minimum() -> None:
    samples = [
        sample(None, 0),
        sample("x", 0),
        sample(-1, 0),
        sample(1, 3),
        Chat("q", "text", group=0, extra={"correct": 1}),
    ]
    signal = ToolEfficiency(right, c=4)(samples)
    assert signal.status.tolist() == [1, 2, 2, 0, 1]
    assert signal.outcome[3] == pytest.approx(1)
    assert signal.reasons[1].startswith("right: ValueError")
    assert signal.reasons[2] == "right: expected at least 0, got -1"
    assert signal.reasons[4].startswith("tool_count: a text completion")


def test_an_empty_batch_and_a_group_without_a_right_answer() -> None:
    assert len(ToolEfficiency(right, c=4)([])) == 0
    np.testing.assert_array_equal(ToolEfficiency(right, c=4)([sample(0, 0), sample(0, 5)]).outcome, [0, 0])


def test_correctness_by_registered_name() -> None:
    arguments = {
        "correct": "sections",
        "c": 4,
        "correct_arguments": {"headings": ["done"], "allow_empty": True},
    }
    efficiency = create("otc", arguments=arguments)
    assert efficiency([sample(None, 2), sample(None, 4)]).outcome.tolist() == pytest.approx(
        [1, math.sin(2 * math.pi / 3)]
    )
    assert ToolEfficiency(right, c=4).fingerprint() != ToolEfficiency(right, c=5).fingerprint()


def test_bad_arguments_are_named() -> None:
    for options, message in [
        ({"c": 0}, "c: expected"),
        ({"c": 4, "alpha": 0}, "alpha: expected"),
        ({"c": 4, "mode": "dpo"}, "mode: expected one of grpo, ppo"),
        ({"c": 4, "correct_arguments": {}}, "correct_arguments: expected only together"),
    ]:
        with pytest.raises(ValueError, match=message):
            ToolEfficiency(right, **options)
    with pytest.raises(TypeError, match="expected rewards, got int"):
        ToolEfficiency(3, c=4)
