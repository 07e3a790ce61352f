"""Many solutions of one problem as one tree: attempts that begin with the same steps share them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from guerdon.core.checks import check_number
from guerdon.models.tree_labels import check_tree


@dataclass(frozen=True, slots=True)
class StepTree:
    """A finished search as n nodes, of which node 0 is the problem and each other one a step.

    `texts[i]`: the step, and for node 0 whatever stands for the problem · `parents[i]`: the node before it, below i;
    None for node 0 · `correct[i]`: of a leaf that ends in an answer, whether it is right; None for every other node.

    Its labels are those of `tree_labels`, such as `soft_labels(tree.parents, tree.correct)`. Raises `ValueError` where
    these don't make a tree.
    """

    texts: Sequence[str]
    parents: Sequence[int | None]
    correct: Sequence[bool | None]

    def __post_init__(self) -> None:
        check_tree(self.parents, self.correct)
        if len(self.texts) != len(self.parents):
            raise ValueError(f"texts: expected {len(self.parents)}, one a node, got {len(self.texts)}")

    @classmethod
    def from_nested(cls, root: Mapping[str, Any], *, text: str = "text") -> StepTree:
        """The tree of nested objects, as a JSON file holds one; nodes are numbered breadth-first.

        A node has `text` (under the key of that name), and where they apply `children` (a list of nodes) and
        `correct`. Raises `ValueError` where a node isn't of that form, or as the class does.
        """
        texts, parents, correct = list[str](), list[int | None](), list[bool | None]()
        waiting = deque[tuple[int | None, Any]]([(None, root)])
        while waiting:
            parent, node = waiting.popleft()
            i = len(texts)
            if not isinstance(node, Mapping) or not isinstance(node.get(text), str):
                raise ValueError(f"node {i}: expected an object with a text under {text!r}, got {node!r:.80}")
            answer, children = node.get("correct"), node.get("children", [])
            if answer is not None and not isinstance(answer, bool):
                raise ValueError(f"node {i}: correct: expected true, false or null, got {answer!r:.40}")
            if not isinstance(children, list):
                raise ValueError(f"node {i}: children: expected a list, got {type(children).__name__}")
            texts.append(node[text])
            parents.append(parent)
            correct.append(answer)
            waiting.extend((i, child) for child in children)
        return cls(texts, parents, correct)

    def __len__(self) -> int:
        return len(self.texts)

    def path(self, node: int) -> list[int]:
        """The nodes from the first step to `node`; empty for node 0. Raises `IndexError` for no node."""
        if not 0 <= node < len(self):
            raise IndexError(f"node: expected one in [0, {len(self)}), got {node}")
        found = list[int]()
        while (before := self.parents[node]) is not None:
            found.append(node)
            node = before
        return found[::-1]

    def steps(self, node: int) -> tuple[str, ...]:
        """The texts along `path`."""
        return tuple(self.texts[i] for i in self.path(node))


def compress_node(tree: StepTree, node: int, *, separator: str = "\n") -> StepTree:
    """The tree with a step merged into the one before it: two steps become one coarse step.

        text(node) = text(parent) + separator + text(node),    parent(node) = parent(parent)

    What stood below the node stays below it. Its parent keeps its other children, so that its label changes: compute
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
    order, each with `probability`, until one is moved as by `compress_node`.

    Raises `ValueError` where the probability isn't in [0, 1] or `least_children` is below 1.

    Teng Wang et al., "Towards Hierarchical Multi-Step Reward Models for Enhanced Reasoning in Large Language Models",
    arXiv 2503.13551, repository tengwang0318/hierarchial_reward_model.
    """
    check_number(probability, "probability", 0.0, 1.0)
    check_number(least_children, "least_children", 1)
    children: list[list[int]] = [[] for _ in tree.texts]
    for i, parent in enumerate(tree.parents):
        if parent is not None:
            children[parent].append(i)
    moved = set[int]()
    for parent in sorted(range(1, len(tree)), key=lambda i: len(tree.path(i))):
        if len(children[parent]) >= least_children and parent not in moved:
            moved.update(next(([i] for i in children[parent] if generator.random() < probability), []))
    return _compress(tree, sorted(moved), separator)


def _compress(tree: StepTree, nodes: Sequence[int], separator: str) -> StepTree:
    texts, parents = list(tree.texts), list(tree.parents)
    for node in nodes:
        parent = tree.parents[node]
        assert parent is not None
        texts[node] = tree.texts[parent] + separator + tree.texts[node]
        parents[node] = tree.parents[parent]
    return replace(tree, texts=texts, parents=parents)
