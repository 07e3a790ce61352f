"""The tree of solutions: its numbering, and what its process reward model says."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.lab.solution_tree import GOOD, UNFINISHED, SolutionTree


@pytest.fixture
def tree() -> SolutionTree:
    return SolutionTree.planted(np.random.default_rng(0), right=2, depth=3, width=4)


def test_nodes_are_numbered_by_the_steps_that_lead_to_them(tree: SolutionTree) -> None:
    assert len(tree.lengths) == 1 + 4 + 16 + 64
    assert tree.inner == 21
    for node, (way, steps, length) in enumerate(zip(tree.nodes, tree.steps, tree.lengths, strict=True)):
        here = 0
        for place in range(length):
            assert way[place] == here
            here = 4 * here + 1 + steps[place]
        assert here == node
        assert set(way[length:]) == {node}


def test_right_solutions_are_finished_and_stopping_early_is_marked_down(tree: SolutionTree) -> None:
    assert tree.right.sum() == 2
    assert (tree.lengths[tree.right] == 3).all()
    assert tree.log_reward[0] == pytest.approx(np.log(UNFINISHED))
    assert (tree.log_reward < 0).all()


def test_the_model_prefers_right_solutions_though_with_noise() -> None:
    rewards, chances = list[float](), list[float]()
    for seed in range(50):
        tree = SolutionTree.planted(np.random.default_rng(seed))
        found = np.exp(tree.log_reward)
        rewards.append(found[tree.right].mean())
        chances.append(found[~tree.right].max())
    assert np.mean(rewards) == pytest.approx(GOOD**3, abs=0.06)
    assert np.mean(chances) < np.mean(rewards) / 2
    assert np.std(rewards) > 0.01


@pytest.mark.parametrize("counts", [{"right": 65}, {"right": 0}, {"depth": 0}, {"width": 0}])
def test_impossible_counts_are_refused(counts: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(counts))):
        SolutionTree.planted(np.random.default_rng(0), **{"right": 1, "depth": 3, "width": 4, **counts})
