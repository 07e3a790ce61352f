"""Walks over a grid in text, a turn a move, that pay only at the goal; the worth of every move is known exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_count
from guerdon.core.samples import Chat
from guerdon.lab.tabular import Decision, Rollout, TabularPolicy
from guerdon.models.encoding import CompletionTokens

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Cell: TypeAlias = tuple[int, int]

AXES, SIGNS = "xy", "+-"
MOVES = ("x+", "x-", "y+", "y-")
"""What a turn says: two decisions, each of two options, the axis and then the way along it."""


class Choices(NamedTuple):
    """The decisions in a walk: the row of the policy's table (T,) that each was taken in, and the option (T,)."""

    rows: Integers
    options: Integers


@dataclass(frozen=True)
class GridWalk:
    """A square grid with a goal, pits that end the walk, and walls around it at which a move leaves one where one is.

    `size`: cells along a side · `goal`, `pits`: cells (x, y) · `turns`: after how many a walk is over.

    A policy is a table (rows, 2) of log-probabilities. Row c is the choice of an axis in cell c = x · size + y, and row
    size² + 2c + axis that of the way. It doesn't see how many turns are left.

    Raises `ValueError` where the size isn't in [2, 10], or a cell isn't in the grid.
    """

    size: int = 5
    goal: Cell = (4, 4)
    pits: Sequence[Cell] = field(default=((2, 2), (1, 3), (3, 1)))
    turns: int = 12

    def __post_init__(self) -> None:
        check_count(self.size, "GridWalk.size", 2, 10)
        check_count(self.turns, "GridWalk.turns")
        for cell in (self.goal, *self.pits):
            if not all(0 <= place < self.size for place in cell):
                raise ValueError(f"GridWalk: expected cells from 0 to {self.size - 1}, got {cell}")

    @property
    def rows(self) -> int:
        """Of a policy's table."""
        return 3 * self.size**2

    def moved(self, cell: Cell, move: int) -> Cell:
        """Where a move leads."""
        x, y = cell
        way = 1 - 2 * (move % 2)
        x, y = (x + way, y) if move < 2 else (x, y + way)
        return (x, y) if 0 <= x < self.size and 0 <= y < self.size else cell

    def ends(self, cell: Cell) -> bool:
        """Whether a walk is over there."""
        return cell == self.goal or cell in self.pits

    def play(self, start: Cell, policy: TabularPolicy, rng: np.random.Generator) -> Rollout:
        """A walk, for `practise`. Decisions of a move belong to part k, its turn."""
        cell, messages, decisions = start, list[dict[str, Any]](), list[Decision]()
        for turn in range(self.turns):
            rows = self._rows(cell)
            axis = policy.choose(rows[0], 2, rng)
            sign = policy.choose(rows[1 + axis], 2, rng)
            decisions += [Decision(rows[0], axis, turn), Decision(rows[1 + axis], sign, turn)]
            cell = self.moved(cell, 2 * axis + sign)
            messages += [{"role": "assistant", "content": AXES[axis] + SIGNS[sign]}, _at(cell)]
            if self.ends(cell):
                break
        return Rollout(Chat(f"at {start[0]} {start[1]}", messages, reference=list(self.goal)), decisions)

    def cells(self, sample: Chat) -> list[Cell]:
        """Where a walk has been: at its start and after every turn."""
        moves = [MOVES.index(text) for text in sample.text.split("\n")]
        _, x, y = str(sample.prompt).split()
        cells = [(int(x), int(y))]
        for move in moves:
            cells.append(self.moved(cells[-1], move))
        return cells

    def choices(self, sample: Chat) -> Choices:
        """The decisions that are written in a walk, two a turn."""
        rows, options = list[int](), list[int]()
        for cell, text in zip(self.cells(sample), sample.text.split("\n"), strict=False):
            axis, sign = AXES.index(text[0]), SIGNS.index(text[1])
            places = self._rows(cell)
            rows += [places[0], places[1 + axis]]
            options += [axis, sign]
        return Choices(np.array(rows), np.array(options))

    def values(self, table: Floats) -> Floats:
        """V (turns + 1, cells): the probability of reaching the goal, by the turns that are left."""
        moves = self._move_probabilities(table)
        found = np.zeros((self.turns + 1, self.size**2))
        found[:, self._number(self.goal)] = 1.0
        for left in range(1, self.turns + 1):
            reached = (moves * found[left - 1][self._successors]).sum(axis=1)
            found[left] = np.where(self._over, found[left], reached)
        return found

    def advantages(self, sample: Chat, values: Floats) -> Floats:
        """A (turns,) of the moves of a walk: by how much each changed the probability of reaching the goal."""
        numbers = [self._number(cell) for cell in self.cells(sample)]
        reached = values[self.turns - np.arange(len(numbers)), numbers]
        return np.diff(reached)

    def _number(self, cell: Cell) -> int:
        return cell[0] * self.size + cell[1]

    def _rows(self, cell: Cell) -> tuple[int, int, int]:
        """Rows of the table in a cell: the axis, the way along x, the way along y."""
        number = self._number(cell)
        signs = self.size**2 + 2 * number
        return number, signs, signs + 1

    def _move_probabilities(self, table: Floats) -> Floats:
        cells = self.size**2
        probabilities = np.exp(table)
        signs = probabilities[cells:].reshape(cells, 2, 2)
        return (probabilities[:cells, :, None] * signs).reshape(cells, 4)

    @cached_property
    def _grid(self) -> list[Cell]:
        return [(x, y) for x in range(self.size) for y in range(self.size)]

    @cached_property
    def _successors(self) -> Integers:
        return np.array([[self._number(self.moved(cell, move)) for move in range(4)] for cell in self._grid])

    @cached_property
    def _over(self) -> NDArray[np.bool_]:
        return np.array([self.ends(cell) for cell in self._grid])


class WalkLogProbs:
    """A `LogProbs` for walks: a token is a decision. `table()` gives the log-probabilities (rows, 2) as they are now."""

    def __init__(self, walk: GridWalk, table: Callable[[], Floats]) -> None:
        self._walk, self._table = walk, table

    def log_probs(self, samples: Sequence[Any]) -> list[Floats]:
        """Of every decision (T_i,), one array a sample."""
        table = self._table()
        return [table[self._walk.choices(sample)] for sample in samples]

    def completion_tokens(self, sample: Chat) -> CompletionTokens:
        """The character of each decision; all of them are the policy's."""
        turns = np.arange(len(sample.text.split("\n")))
        starts = (3 * turns[:, None] + np.arange(2)).reshape(-1)
        return CompletionTokens(np.stack([starts, starts + 1], axis=1), np.ones(starts.size, dtype=bool))


def table_of(walk: GridWalk, policy: TabularPolicy) -> Floats:
    """Log-probabilities (rows, 2) of a policy."""
    return np.log([policy.probabilities(row, 2) for row in range(walk.rows)])


def _at(cell: Cell) -> dict[str, Any]:
    return {"role": "user", "content": f"at {cell[0]} {cell[1]}"}
