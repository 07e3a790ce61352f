"""Many solutions of one problem as one tree: attempts that begin with the same steps share them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_number


@dataclass(frozen=True, slots=True)
class StepTree:
    """A finished search as n nodes, of which node 0 is the problem and each other one a step.

    `texts[i]`: the step, and for node 0 whatever stands for the problem · `parents[i]`: the node before it, below i; −1
    for node 0 · `correct[i]`: of a leaf that ends in an answer, whether it is right; None for every other node.

    Raises `ValueError`, which names the node, where these don't make a tree or a node with children has an answer.
    """

    texts: Sequence[str]
    parents: Sequence[int]
    correct: Sequence[bool | None]

    def __post_init__(self) -> None:
        n = len(self.texts)
        if n == 0 or len(self.parents) != n or len(self.correct) != n:
            raise ValueError(
                "texts, parents, correct: expected one entry a node and at least one node, "
                f"got {n}, {len(self.parents)} and {len(self.correct)}"
            )
        for i, parent in enumerate(self.parents):
            if not (parent == -1 if i == 0 else 0 <= parent < i):
                expected = "-1" if i == 0 else f"a node in [0, {i})"
                raise ValueError(f"parents[{i}]: expected {expected}, got {parent!r}")
        for i, (right, leaf) in enumerate(zip(self.correct, self.leaves, strict=True)):
            if right is not None and not isinstance(right, bool | np.bool_):
                raise ValueError(f"correct[{i}]: expected true, false or none, got {right!r:.40}")
            if right is not None and not leaf:
                raise ValueError(f"correct[{i}]: only a leaf ends in an answer, and node {i} has children")

    @classmethod
    def from_nested(cls, root: Mapping[str, Any], *, text: str = "text") -> StepTree:
        """The tree of nested objects, as a JSON file holds one; nodes are numbered breadth-first.

        A node has `text` (under the key of that name), and where they apply `children` (a list of nodes) and
        `correct`. Raises `ValueError` where a node isn't of that form, or as the class does.
        """
        texts, parents, correct = list[str](), list[int](), list[bool | None]()
        waiting = deque([(-1, root)])
        while waiting:
            parent, node = waiting.popleft()
            i = len(texts)
            if not isinstance(node, Mapping) or not isinstance(node.get(text), str):
                raise ValueError(f"node {i}: expected an object with a text under {text!r}, got {node!r:.80}")
            children = node.get("children") or ()
            if not isinstance(children, Sequence) or isinstance(children, str):
                raise ValueError(f"node {i}: children: expected a list, got {type(children).__name__}")
            texts.append(node[text])
            parents.append(parent)
            correct.append(node.get("correct"))
            waiting.extend((i, child) for child in children)
        return cls(texts, parents, correct)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def children(self) -> list[list[int]]:
        """The nodes after each node, in the order of their numbers."""
        found: list[list[int]] = [[] for _ in self.texts]
        for i in range(1, len(self)):
            found[self.parents[i]].append(i)
        return found

    @property
    def leaves(self) -> NDArray[np.bool_]:
        """(n,) nodes without children."""
        found = np.ones(len(self), dtype=bool)
        found[list(self.parents[1:])] = False
        return found

    @property
    def depths(self) -> NDArray[np.int64]:
        """(n,) nodes on the way from node 0, which has depth 0."""
        found = np.zeros(len(self), dtype=np.int64)
        for i in range(1, len(self)):
            found[i] = found[self.parents[i]] + 1
        return found

    def path(self, node: int) -> list[int]:
        """The nodes from the first step to `node`; empty for node 0. Raises `IndexError` for no node."""
        if not 0 <= node < len(self):
            raise IndexError(f"node: expected one in [0, {len(self)}), got {node}")
        found = list[int]()
        while node > 0:
            found.append(node)
            node = self.parents[node]
        return found[::-1]

    def steps(self, node: int) -> tuple[str, ...]:
        """The texts along `path`."""
        return tuple(self.texts[i] for i in self.path(node))


def compress_node(tree: StepTree, node: int, *, separator: str = "\n") -> StepTree:
    """The tree with a step merged into the one before it: two steps become one coarse step.

        text(node) = text(parent) + separator + text(node),    parent(node) = parent(parent)

    What stood below the node stays below it. Its parent keeps its other children, so that its labels change: compute
    labels after compression. A parent left without children is a leaf without an answer.

    Args:
        node: one of depth 2 or more.
        separator: between the two texts; the one that steps are joined with when they are scored.

    Raises:
        ValueError: where `node` is node 0 or follows it.
        IndexError: where there is no such node.

    Teng Wang et al., "Towards Hierarchical Multi-Step Reward Models for Enhanced Reasoning in Large Language Models",
    arXiv 2503.13551, repository tengwang0318/hierarchial_reward_model.
    """
    if len(tree.path(node)) < 2:
        raise ValueError(f"node: expected one with a step before it, got {node}")
    return _compress(tree, [node], separator)


def compress_randomly(
    tree: StepTree,
    generator: np.random.Generator,
    *,
    probability: float = 0.5,
    least_children: int = 4,
    separator: str = "\n",
) -> StepTree:
    """The tree with at most one child of each crowded step compressed: cheap coarse steps, and noise in labels.

    Steps are visited by depth. One that has at least `least_children` children and wasn't itself moved offers them in
    order, each with `probability`, until one is moved as `compress_node` does.

    Raises `ValueError` where the probability isn't in [0, 1] or `least_children` is below 1.

    Teng Wang et al., "Towards Hierarchical Multi-Step Reward Models for Enhanced Reasoning in Large Language Models",
    arXiv 2503.13551, repository tengwang0318/hierarchial_reward_model.
    """
    check_number(probability, "probability", 0.0, 1.0)
    check_number(least_children, "least_children", 1)
    children, moved = tree.children, list[int]()
    for parent in np.argsort(tree.depths, kind="stable")[1:].tolist():
        if len(children[parent]) < least_children or parent in moved:
            continue
        chosen = next((child for child in children[parent] if generator.random() < probability), None)
        if chosen is not None:
            moved.append(chosen)
    return _compress(tree, moved, separator)


def _compress(tree: StepTree, nodes: Sequence[int], separator: str) -> StepTree:
    texts, parents = list(tree.texts), list(tree.parents)
    for node in nodes:
        parent = tree.parents[node]
        texts[node] = tree.texts[parent] + separator + tree.texts[node]
        parents[node] = tree.parents[parent]
    return replace(tree, texts=texts, parents=parents)
