"""Walks over a grid: what is written is what was decided, and the worth of moves is what sampling finds."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.lab.grid_walk import MOVES, GridWalk, WalkLogProbs, table_of
from guerdon.lab.tabular import TabularPolicy

WALK = GridWalk(size=3, goal=(2, 2), pits=((1, 1),), turns=6)


def habit(state: object, options: int) -> np.ndarray:
    return np.array([0.0, -0.5]) if int(str(state)) >= 9 else np.zeros(options)


POLICY = TabularPolicy(habit)


def test_a_walk_says_what_was_decided() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        rollout = WALK.play((0, 0), POLICY, rng)
        choices = WALK.choices(rollout.sample)
        assert [(d.state, d.choice) for d in rollout.decisions] == list(zip(*choices, strict=True))
        assert [d.part for d in rollout.decisions] == sorted([*range(len(choices.rows) // 2)] * 2)
        cells = WALK.cells(rollout.sample)
        assert not any(WALK.ends(cell) for cell in cells[:-1])
        assert WALK.ends(cells[-1]) or len(cells) == 1 + WALK.turns


def test_walls_hold() -> None:
    assert [WALK.moved((0, 0), move) for move in range(4)] == [(1, 0), (0, 0), (0, 1), (0, 0)]
    assert [WALK.moved((2, 1), MOVES.index(text)) for text in MOVES] == [(2, 1), (1, 1), (2, 2), (2, 0)]


def test_values_are_what_sampling_finds_and_advantages_add_up_to_the_outcome() -> None:
    rng, values = np.random.default_rng(1), WALK.values(table_of(WALK, POLICY))
    samples = [WALK.play((0, 1), POLICY, rng).sample for _ in range(4000)]
    won = np.array([WALK.cells(sample)[-1] == WALK.goal for sample in samples])
    assert won.mean() == pytest.approx(values[-1, 1], abs=0.025)
    first = [WALK.advantages(sample, values)[0] for sample in samples]
    assert np.mean(first) == pytest.approx(0.0, abs=0.01)
    for sample, end in zip(samples[:50], won, strict=False):
        assert WALK.advantages(sample, values).sum() == pytest.approx(end - values[-1, 1])


def test_log_probabilities_are_those_of_the_decisions() -> None:
    source = WalkLogProbs(WALK, lambda: table_of(WALK, POLICY))
    rollout = WALK.play((1, 0), POLICY, np.random.default_rng(2))
    expected = [np.log(POLICY.probabilities(d.state, 2)[d.choice]) for d in rollout.decisions]
    (found,) = source.log_probs([rollout.sample])
    assert found == pytest.approx(expected)
    tokens, text = source.completion_tokens(rollout.sample), rollout.sample.text
    assert "".join(text[start:end] for start, end in tokens.spans) == text.replace("\n", "")
    assert tokens.written.tolist() == [True] * len(rollout.decisions)


def test_cells_outside_the_grid_are_refused() -> None:
    with pytest.raises(ValueError, match="from 0 to 2"):
        GridWalk(size=3, goal=(3, 0), pits=())
    with pytest.raises(ValueError, match="size"):
        GridWalk(size=1)
