"""Steps of a reasoning text, in the strict reading and in that of the released parser."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.registry import create
from guerdon.core.samples import Chat
from guerdon.core.signal import Status
from guerdon.verify.reasoning_steps import ReasoningStep, parse_steps

TEXT = """
- Step 1: Recall f(x) (general reasoning)
It is 2.

- Step 2: Compute (tool: Code)
print(2*2)
- Output: 4
### Final Response
4
"""
NAMES = st.text(alphabet="abc (", min_size=1, max_size=10).map(str.strip)


def test_strict_reading_has_the_steps_and_the_response() -> None:
    assert parse_steps(TEXT) == [
        ReasoningStep("Recall f(x)", None, "It is 2."),
        ReasoningStep("Compute", "Code", "print(2*2)\n- Output: 4"),
        ReasoningStep("Final Response", None, "4"),
    ]


def test_released_parser_keeps_what_precedes_the_marker() -> None:
    assert parse_steps(TEXT, mode="code") == [
        ReasoningStep("Recall f(x)", None, "It is 2."),
        ReasoningStep("Final Response", None, "2: Compute (tool: Code)\nprint(2*2)\n- Output: 4"),
    ]


@pytest.mark.parametrize(
    ("text", "strict", "code"),
    [
        ("", [], []),
        ("prose", [], []),
        ("- Step 1 Setup (general)", [], []),
        ("- Step 1: Look (tool)", [], []),
        ("- Step 1: Setup", [], [("Setu", None, "")]),
        ("- Step 1: A: B (general)\nx", [("A", None, "x")], [("A", None, "x")]),
        ("- Step 1: A (tool: Ask: User)", [("A", "Ask: User", "")], [("A", "Ask: User", "")]),
        ("- Step 1: A (tool: Code", [("A", "Code", "")], [("A", "Code", "")]),
        (
            "Note: I begin (well)\n- Step 1: A (x)",
            [("A", None, "")],
            [("I begin", None, ""), ("A", None, "")],
        ),
    ],
)
def test_headers(
    text: str, strict: list[tuple[str, str | None, str]], code: list[tuple[str, str | None, str]]
) -> None:
    assert parse_steps(text) == strict
    assert parse_steps(text, mode="code") == code


@given(st.lists(st.tuples(NAMES, st.sampled_from([None, "Code", "Search"]), NAMES), max_size=5))
def test_written_steps_are_read_back(steps: list[tuple[str, str | None, str]]) -> None:
    lines = [
        f"- Step {k}: {name} ({'general reasoning' if tool is None else f'tool: {tool}'})\n{body}\n"
        for k, (name, tool, body) in enumerate(steps)
    ]
    assert parse_steps("\n".join(lines)) == steps
    assert parse_steps("\n".join(lines), mode="code") == steps


@pytest.mark.parametrize(
    "piece", ["\n- Step", "(", ":", "\n- Step 1: a (tool: b)", "### Final Response", "\ud800"]
)
def test_a_megabyte_of_anything_is_read(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    assert isinstance(parse_steps(text), list)
    assert isinstance(parse_steps(text, mode="code"), list)


def test_unknown_mode_is_named() -> None:
    with pytest.raises(ValueError, match="mode: expected one of strict, code"):
        parse_steps("", mode="loose")  # type: ignore[arg-type]


def test_reward_counts_tool_steps_and_abstains_without_steps() -> None:
    signal = create("tool_steps")([Chat("q", TEXT), Chat("q", "- Step 1: A (x)"), Chat("q", "4")])
    assert signal.outcome[:2].tolist() == [1, 0]
    assert signal.status[2] == Status.ABSTAINED
    assert "no step" in signal.reasons[2]
