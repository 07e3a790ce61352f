"""The last box: where it is, and the reward that compares it to the letter."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.registry import create
from guerdon.core.samples import Chat
from guerdon.core.signal import Status
from guerdon.verify.boxed import LastBoxed, last_boxed


def outcome(completion: Any, reference: Any = "204", **arguments: Any) -> float:
    return create("last_boxed", arguments=arguments)([Chat("q", completion, reference)]).outcome[0]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("", None),
        ("\\boxed 5", None),
        ("\\boxed{}", ""),
        ("\\boxed{1} \\boxed{\\frac{1}{2}} {", "\\frac{1}{2}"),
        ("\\boxed{1} \\boxed{2", None),
        ("\\boxed{\\boxed{3}}", "3"),
        ("}\\boxed{4}", "4"),
    ],
)
def test_last_boxed(text: str, answer: str | None) -> None:
    assert last_boxed(text) == answer


@given(st.text(alphabet="ab \\", max_size=10), st.text(max_size=20))
def test_what_is_boxed_last_is_found(answer: str, before: str) -> None:
    assert last_boxed(f"{before}\\boxed{{{{{answer}}}}}") == f"{{{answer}}}"


def test_only_the_exact_text_is_right() -> None:
    assert outcome("<answer>\\boxed{204}</answer>") == 1
    assert outcome("\\boxed{204}", 204) == 1
    assert outcome("\\boxed{204}", ["7", "204"]) == 1
    for wrong in ("\\boxed{204.0}", "\\boxed{ 204}", "\\boxed{204} \\boxed{", "204", ""):
        assert outcome(wrong) == -1
    assert outcome("", wrong=0) == 0


def test_the_box_must_lie_in_the_window() -> None:
    box = "\\boxed{204}"
    assert outcome(box + "." * (100 - len(box))) == 1
    assert outcome(box + "." * (101 - len(box))) == -1
    assert outcome(box + "." * 500, window=1000) == 1


def test_only_the_last_turn_counts_and_a_missing_box_is_noted() -> None:
    turns = [{"role": "assistant", "content": "\\boxed{204}"}, {"role": "assistant", "content": "done"}]
    signal = LastBoxed()([Chat("q", turns, "204")])
    assert signal.outcome[0] == -1
    assert signal.notes == {0: "no closed box in the last 100 characters"}


@pytest.mark.parametrize("reference", [None, "", [], ["204", ""], {"a": 1}, math.inf])
def test_unusable_references_abstain(reference: Any) -> None:
    signal = LastBoxed()([Chat("q", "\\boxed{204}", reference)])
    assert signal.status[0] == Status.ABSTAINED
    assert signal.reasons[0].startswith("reference: ")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"window": 0}, "window"),
        ({"window": True}, "window"),
        ({"wrong": math.nan}, "wrong"),
        ({"wrong": "-1"}, "wrong"),
    ],
)
def test_arguments_are_checked(arguments: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        LastBoxed(**arguments)


@pytest.mark.parametrize("piece", ["\\boxed{", "{", "}", "\ud800"])
def test_a_megabyte_of_anything_is_no_answer(piece: str) -> None:
    assert outcome(piece * (1_000_000 // len(piece)), window=1_000_000) == -1
