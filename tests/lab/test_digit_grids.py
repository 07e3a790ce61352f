"""Grids of digits: what is there to see, and how it is said."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.lab.digit_grids import (
    BARE,
    GENERIC,
    KINDS,
    MOST,
    SENTENCE,
    Item,
    answer,
    draw_item,
    facts,
    references,
)

GRID = np.array([list("2.2.4444"), *[list("2.......")] * 6, list("66......")])


def item(kind: str) -> Item:
    return Item(kind, GRID, asked="6", options="8426")


@pytest.mark.parametrize(("kind", "seen"), [("count", (2,)), ("choice", (2,)), ("open", (0, 1))])
def test_facts_are_what_the_grid_shows(kind: str, seen: tuple[int, ...]) -> None:
    assert facts(item(kind), GRID) == seen


@pytest.mark.parametrize(
    ("kind", "gold", "sentence"),
    [
        ("count", "2", "There are 2 of them in the grid."),
        ("choice", "C", "It is option C."),
        ("open", *2 * ("The left half shows mostly 2s and the right half mostly 4s.",)),
    ],
)
def test_the_annotator_answers_plainly_and_in_a_sentence(kind: str, gold: str, sentence: str) -> None:
    assert references(item(kind)) == (gold, sentence)


@pytest.mark.parametrize("kind", KINDS)
def test_a_generic_answer_tells_nothing_and_the_others_differ(kind: str) -> None:
    one, other = ((0, 1), (1, 0)) if kind == "open" else ((0,), (1,))
    assert answer(kind, one, GENERIC) == answer(kind, other, GENERIC)
    for style in (BARE, SENTENCE):
        assert answer(kind, one, style) != answer(kind, other, style)


def test_drawn_items_repeat_and_their_counts_can_be_said() -> None:
    first, again = ([draw_item(rng) for _ in range(50)] for rng in map(np.random.default_rng, (3, 3)))
    for a, b in zip(first, again, strict=True):
        assert (a.kind, a.asked, a.options) == (b.kind, b.asked, b.options)
        assert np.array_equal(a.grid, b.grid)
        assert (a.grid == a.asked).sum() <= MOST
