"""From a finished search tree to a target for each step: what a process reward model is fitted to.

Every function takes a `StepTree` of n nodes and returns (n,) float64 in [0, 1], NaN where a node has no target.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from guerdon.models.step_tree import StepTree

Floats: TypeAlias = NDArray[np.float64]


def soft_labels(tree: StepTree) -> Floats:
    """Share of right leaves: `label_i = right leaves under i / leaves under i`, in [0, 1].

    A leaf is under itself; one without an answer counts as wrong. Every node has a label.

    Teng Wang et al., "Towards Hierarchical Multi-Step Reward Models for Enhanced Reasoning in Large Language Models",
    arXiv 2503.13551, repository tengwang0318/hierarchial_reward_model.
    """
    right, leaves = _correct(tree).astype(np.float64), tree.leaves.astype(np.float64)
    for i in range(len(tree) - 1, 0, -1):
        right[tree.parents[i]] += right[i]
        leaves[tree.parents[i]] += leaves[i]
    return right / leaves


def hard_labels(tree: StepTree) -> Floats:
    """Whether a right answer lies below: 1 where one does, 0 where only wrong ones do, NaN where none does.

    Dan Zhang et al., "ReST-MCTS*: LLM Self-Training via Process Reward Guided Tree Search", arXiv 2406.03816,
    repository THUDM/ReST-MCTS.
    """
    return np.where(_below(tree, _answered(tree)), _below(tree, _correct(tree)).astype(np.float64), np.nan)


def distance_values(tree: StepTree) -> Floats:
    """Values that rise with every step towards the nearest right answer and fall with every step that loses it.

        M_i = 1                             i ends in a right answer
        M_i = 1 + min over children M       a right answer lies below i
        M_i = M_parent                      only wrong ones do
        v_i = max(0, v_parent + (1 − v_parent) · s_i / M_i),    v_0 = 0

    with s = 1 where a right answer lies below, else −1. A step that ends in a right answer gets 1 and, where attempts don't
    branch, step k of n right ones k / n. Nodes without an answer below have no target (they aren't wrong, they weren't
    finished), and a tree without a right answer has none at all.

    Dan Zhang et al., "ReST-MCTS*: LLM Self-Training via Process Reward Guided Tree Search", arXiv 2406.03816,
    repository THUDM/ReST-MCTS.
    """
    values = np.full(len(tree), np.nan)
    distance = np.where(_correct(tree), 1.0, np.inf)
    for i in range(len(tree) - 1, 0, -1):
        distance[tree.parents[i]] = min(distance[tree.parents[i]], distance[i] + 1)
    reaches = np.isfinite(distance)
    if not reaches[0]:
        return values
    values[0] = 0.0
    finished = _below(tree, _answered(tree))
    for i in range(1, len(tree)):
        parent = tree.parents[i]
        if finished[i]:
            distance[i] = distance[i] if reaches[i] else distance[parent]
            values[i] = _next_value(values[parent], distance[i], 1.0 if reaches[i] else -1.0)
    return values


def chain_values(remaining: ArrayLike, wrong: ArrayLike) -> Floats:
    """Values along one solution, whose distances and errors are known.

        v_k = max(0, v_{k−1} + w_k),    w_k = (1 − v_{k−1}) / (m_k + 1) · (1 − 2 · e_k),    v_0 = 0

    Args:
        remaining: (K,) `m_k` >= 0, the least number of steps from step k to a right answer.
        wrong: (K,) `e_k` in [0, 1], or the probability that step k can't reach one.

    Returns:
        (K,).

    Raises:
        ValueError: on shapes that don't fit or numbers out of range.

    Dan Zhang et al., "ReST-MCTS*: LLM Self-Training via Process Reward Guided Tree Search", arXiv 2406.03816,
    repository THUDM/ReST-MCTS.
    """
    m, e = np.asarray(remaining, dtype=np.float64), np.asarray(wrong, dtype=np.float64)
    if m.ndim != 1 or m.shape != e.shape:
        raise ValueError(f"remaining, wrong: expected one shape (K,), got {m.shape} and {e.shape}")
    if not (np.isfinite(m) & (m >= 0)).all():
        raise ValueError("remaining: expected finite numbers of at least 0")
    if not ((e >= 0) & (e <= 1)).all():
        raise ValueError("wrong: expected numbers in [0, 1]")
    values, value = np.empty(m.size), 0.0
    for k in range(m.size):
        value = values[k] = _next_value(value, m[k] + 1, 1 - 2 * e[k])
    return values


def route_values(tree: StepTree, leaf: int) -> Floats:
    """Targets of a search that kept one route of n steps: `d / n` on it, `max((d − 2) / n, 0)` one step off it.

    `d` is the depth of the node: a step off the route has the value of the route two steps before. Nodes further off
    have no target. Node 0 has 0.

    Raises `ValueError` where `leaf` has children or is node 0, `IndexError` where there is no such node.

    Dan Zhang et al., "ReST-MCTS*: LLM Self-Training via Process Reward Guided Tree Search", arXiv 2406.03816,
    repository THUDM/ReST-MCTS.
    """
    route = tree.path(leaf)
    if not route or not tree.leaves[leaf]:
        raise ValueError(f"leaf: expected a step without children, got node {leaf}")
    values, children, n = np.full(len(tree), np.nan), tree.children, len(route)
    values[0] = 0.0
    for depth, (before, node) in enumerate(zip([0, *route], route, strict=False), start=1):
        values[children[before]] = max((depth - 2) / n, 0.0)
        values[node] = depth / n
    return values


def sample_by_value(
    labels: ArrayLike,
    depths: ArrayLike,
    generator: np.random.Generator,
    *,
    share: float = 0.1,
    most_of_one: int = 5,
) -> NDArray[np.int64]:
    """Nodes to fit to, so that frequent labels don't drown rare ones.

    At each depth nodes are grouped by label. Of each group `max(size of the smallest, ⌊share · its size⌋)` are drawn
    without replacement; where a depth has one label only, `most_of_one` of it, if there are so many.

    Args:
        labels: (n,) of any function here; a node of NaN is never drawn.
        depths: (n,) `StepTree.depths`. Node 0 is no step: leave it out or give it NaN.

    Returns:
        Rising indices into `labels`.

    Raises:
        ValueError: on shapes that don't fit.

    Teng Wang et al., "Towards Hierarchical Multi-Step Reward Models for Enhanced Reasoning in Large Language Models",
    arXiv 2503.13551, repository tengwang0318/hierarchial_reward_model.
    """
    values, level = np.asarray(labels, dtype=np.float64), np.asarray(depths)
    if values.ndim != 1 or values.shape != level.shape:
        raise ValueError(f"labels, depths: expected one shape (n,), got {values.shape} and {level.shape}")
    known = np.isfinite(values)
    drawn = [np.empty(0, dtype=np.int64)]
    for depth in np.unique(level[known]):
        here = np.flatnonzero(known & (level == depth))
        groups = [here[values[here] == value] for value in np.unique(values[here])]
        least = min(group.size for group in groups) if len(groups) > 1 else min(most_of_one, here.size)
        for group in groups:
            count = max(least, int(share * group.size)) if len(groups) > 1 else least
            drawn.append(generator.choice(group, count, replace=False))
    return np.sort(np.concatenate(drawn))


def _next_value(value: float, distance: float, sign: float) -> float:
    return max(0.0, value + (1 - value) * sign / distance)


def _correct(tree: StepTree) -> NDArray[np.bool_]:
    return np.array([right is not None and bool(right) for right in tree.correct])


def _answered(tree: StepTree) -> NDArray[np.bool_]:
    return np.array([right is not None for right in tree.correct])


def _below(tree: StepTree, marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Nodes that are marked or have a marked node below."""
    found = marked.copy()
    for i in range(len(tree) - 1, 0, -1):
        found[tree.parents[i]] |= found[i]
    return found
