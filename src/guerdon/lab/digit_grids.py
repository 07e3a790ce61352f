"""Grids of digits, with questions that a rule can check and one that asks for a description."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KINDS = ("count", "choice", "open")
DIGITS = "2468"
LETTERS = "ABCD"
SIDE, MOST = 8, 5
BARE, SENTENCE, GENERIC = range(3)
_GENERIC = {
    "count": "There are several of them in the grid.",
    "choice": "One of the four letters.",
    "open": "The left half and the right half are filled with digits.",
}


@dataclass(frozen=True)
class Item:
    """A grid with a question of one kind. `asked`: the digit that is counted · `options`: the digits of the letters."""

    kind: str
    grid: NDArray[np.str_]
    asked: str
    options: str


def draw_item(rng: np.random.Generator) -> Item:
    """A grid whose halves are filled sparsely with one digit each, and a few of a third digit."""
    left, right, asked = rng.choice(list(DIGITS), size=3, replace=False)
    half = SIDE // 2
    grid = np.full((SIDE, SIDE), ".")
    grid[:, :half][rng.random((SIDE, half)) < 0.5] = left
    grid[:, half:][rng.random((SIDE, half)) < 0.5] = right
    places = rng.choice(SIDE * SIDE, size=int(rng.integers(MOST + 1)), replace=False)
    grid.flat[places] = asked
    return Item(str(rng.choice(KINDS)), grid, str(asked), "".join(rng.permutation(list(DIGITS))))


def facts(item: Item, grid: NDArray[np.str_]) -> tuple[int, ...]:
    """What the question asks for, as a grid shows it: a count, a letter's number, or the numbers of two digits."""
    if item.kind == "count":
        return (min(int((grid == item.asked).sum()), MOST),)
    left, right = (max(DIGITS, key=lambda digit: int((part == digit).sum())) for part in np.hsplit(grid, 2))
    if item.kind == "choice":
        return (item.options.index(left),)
    return DIGITS.index(left), DIGITS.index(right)


def answer(kind: str, said: tuple[int, ...], style: int) -> str:
    """The answer as text."""
    if style == GENERIC:
        return _GENERIC[kind]
    if kind == "count":
        return f"There are {said[0]} of them in the grid." if style == SENTENCE else str(said[0])
    if kind == "choice":
        return f"It is option {LETTERS[said[0]]}." if style == SENTENCE else LETTERS[said[0]]
    left, right = (DIGITS[fact] for fact in said)
    if style == SENTENCE:
        return f"There are many {left}s on the left side, while {right}s fill the right side."
    return f"{left}, {right}"


def references(item: Item) -> tuple[str, str]:
    """What an annotator wrote: the plain answer and a sentence; a sentence alone where the question is open."""
    said = facts(item, item.grid)
    if item.kind == "open":
        left, right = (DIGITS[fact] for fact in said)
        sentence = f"The left half shows mostly {left}s and the right half mostly {right}s."
        return sentence, sentence
    return answer(item.kind, said, BARE), answer(item.kind, said, SENTENCE)
