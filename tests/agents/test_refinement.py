from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from guerdon.agents.refinement import refine_first_bad_round
from guerdon.core.samples import Chat

Message = dict[str, Any]


def turn(text: str) -> Message:
    return {"role": "assistant", "content": text}


def result(text: str) -> Message:
    return {"role": "tool", "content": text}


ROLLOUT = Chat(
    "q",
    [turn("a"), result("A"), turn("b"), result("B1"), result("B2"), turn("c"), result("C"), turn("end")],
    reference="r",
    group=3,
    extra={"kept": 1},
)


def rewrite(dialogue: Sequence[Message], bad: Message, t: int) -> Message:
    return turn(f"{bad['content']}{t} after {''.join(m['content'] for m in dialogue)}")


def resume(dialogue: Sequence[Message]) -> list[Message]:
    return [result(f"found by {dialogue[-1]['content']}"), turn("new end")]


def refine(good: Sequence[Any], sample: Chat = ROLLOUT) -> Chat | None:
    return refine_first_bad_round(sample, good, rewrite, resume)


@pytest.mark.parametrize(
    ("good", "kept", "asked"),
    [
        ([0, 0, 1], 0, "a0 after q"),
        ([True, False, False], 2, "b1 after qaA"),
        ([None, 1, 0], 5, "c2 after qaAbB1B2"),
    ],
)
def test_the_first_bad_round_and_what_follows_are_made_anew(good: list[Any], kept: int, asked: str) -> None:
    refined = refine(good)
    assert refined is not None
    assert refined.completion == [
        *ROLLOUT.completion_messages[:kept],
        turn(asked),
        result(f"found by {asked}"),
        turn("new end"),
    ]
    assert refined.extra == {"kept": 1, "refined": kept}
    assert (refined.prompt, refined.reference, refined.group) == ("q", "r", 3)


@pytest.mark.parametrize("good", [[True] * 3, [None] * 3, [1, None, 1]])
def test_nothing_is_refined_where_no_round_is_bad(good: list[Any]) -> None:
    assert refine(good) is None


def test_a_rollout_without_searches_has_no_rounds() -> None:
    assert refine([], Chat("q", "answer")) is None


@pytest.mark.parametrize("good", [[], [False], [False] * 4])
def test_one_entry_a_round_is_asked_for(good: list[bool]) -> None:
    with pytest.raises(ValueError, match="expected 3 entries, one a round"):
        refine(good)
