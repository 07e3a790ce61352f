"""Labels of steps from a tree of solutions whose leaves were checked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def tree_value_targets(parents: Sequence[int | None], correct: Sequence[bool | None]) -> NDArray[np.float64]:
    """Value of every step of a search tree, from how far a right answer is below it.

        d(leaf)  = 1 where it is right;  d(node) = 1 + min over children d
        a node with no right leaf below it has the d of its nearest ancestor that has one
        v(root)  = 0
        v(node)  = max(0, v(parent) + (1 − v(parent)) · s / d(node)),   s = 1 with a right leaf below, else −1

    So a right leaf has 1, and the steps to it rise evenly.

    Args:
        parents: (n,) the place of each node's parent, which comes before it; None for the root, node 0.
        correct: (n,) whether a leaf's answer is right; None for inner nodes and for leaves that aren't finished.

    Returns:
        (n,) in [0, 1]; NaN for a node with no finished leaf below it, and for all where no leaf is right.

    Raises:
        ValueError: on lengths that differ, no node, a parent that doesn't come before its child, or an inner node with
            an answer.

    Dan Zhang et al., "ReST-MCTS*: LLM Self-Training via Process Reward Guided Tree Search", arXiv 2406.03816, repository
    THUDM/ReST-MCTS.
    """
    check_tree(parents, correct)
    n = len(parents)
    reached = [answer is not None for answer in correct]
    distance = np.array([1.0 if answer else np.inf for answer in correct])
    for i in range(n - 1, 0, -1):
        parent = parents[i]
        assert parent is not None
        reached[parent] |= reached[i]
        distance[parent] = min(distance[parent], 1 + distance[i])
    values = np.full(n, np.nan)
    if np.isinf(distance[0]):
        return values
    values[0] = 0.0
    for i in range(1, n):
        parent = parents[i]
        assert parent is not None
        sign = 1.0 if np.isfinite(distance[i]) else -1.0
        distance[i] = min(distance[i], distance[parent] if sign < 0 else np.inf)
        if reached[i]:
            before = values[parent]
            values[i] = max(0.0, before + (1 - before) * sign / distance[i])
    return values


def soft_labels(parents: Sequence[int | None], correct: Sequence[bool | None]) -> NDArray[np.float64]:
    """Share of right answers among the leaves below each step.

        label(node) = right leaves below / leaves below

    A leaf is below itself, and one without an answer counts as wrong.

    Args:
        parents, correct: as in `tree_value_targets`.

    Returns:
        (n,) in [0, 1]; every node has a label.

    Raises:
        ValueError: as `tree_value_targets`.

    Teng Wang et al., "Towards Hierarchical Multi-Step Reward Models for Enhanced Reasoning in Large Language Models",
    arXiv 2503.13551, repository tengwang0318/hierarchial_reward_model.
    """
    check_tree(parents, correct)
    inner = set(parents)
    right = np.array([float(bool(answer)) for answer in correct])
    leaves = np.array([float(i not in inner) for i in range(len(parents))])
    for i in range(len(parents) - 1, 0, -1):
        parent = parents[i]
        assert parent is not None
        right[parent] += right[i]
        leaves[parent] += leaves[i]
    return right / leaves


def check_tree(parents: Sequence[int | None], correct: Sequence[bool | None]) -> None:
    """Raise `ValueError`, which names the node, where these aren't the parents and answers of a tree."""
    if not parents or len(parents) != len(correct):
        raise ValueError(
            f"parents, correct: expected equal lengths of at least 1, got {len(parents)} and {len(correct)}"
        )
    for i, parent in enumerate(parents):
        if (parent is None) != (i == 0) or (parent is not None and not 0 <= parent < i):
            raise ValueError(
                f"parents[{i}]: expected a node before it, None for the root alone; got {parent!r}"
            )
        if parent is not None and correct[parent] is not None:
            raise ValueError(
                f"correct[{parent}]: expected None for a node with children, got {correct[parent]!r}"
            )
