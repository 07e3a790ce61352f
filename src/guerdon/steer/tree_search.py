"""Monte Carlo tree search over steps, guided by a value of what is written so far."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from guerdon.core.checks import check_count, check_number
from guerdon.steer.inputs import as_vector
from guerdon.steer.proposals import UNLIMITED, Budget, Evaluate, Expander, Partial, Propose, Spent, Steps

Stop: TypeAlias = Literal["gate", "iterations", "budget"]


@dataclass(slots=True)
class Node:
    """A solution so far in a tree, which is a list of nodes; the root is node 0.

    `value`: V, and `visits`: N, as the search moves them · `parent`, `children`: places in the list · `finished`:
    a whole solution · `open`: may still be expanded.
    """

    steps: Steps
    value: float = 0.0
    visits: int = 0
    parent: int | None = None
    children: list[int] = field(default_factory=list[int])
    finished: bool = False
    open: bool = True


@dataclass(frozen=True, slots=True)
class Tree:
    """What a tree search found.

    `nodes`: the tree · `answer`: the place of the chosen one: the leaf that passed the gate, else the node of the
    largest value, the first of them, and the root only where it is alone · `stopped`: why the search ended · `spent`.
    """

    nodes: list[Node]
    answer: int
    stopped: Stop
    spent: Spent


def uct_scores(
    values: ArrayLike,
    visits: ArrayLike,
    parent_visits: int,
    *,
    exploration: float = 0.7,
    unvisited: float = 1.0,
) -> NDArray[np.float64]:
    """How much each child of a node deserves the next visit: upper confidence bounds for trees.

        score_i = V_i + exploration · √(2 ln N_parent / N_i)        N_i > 0
        score_i = V_i + unvisited                                   N_i = 0

    With `unvisited` below what the root gives, a visited child can come before one that never was.

    Args:
        values: (k,) V of the children.
        visits: (k,) N of the children, integers of at least 0.
        parent_visits: N of their parent; at least 1 where a child was visited.

    Returns:
        (k,) float64.

    Raises:
        ValueError: on lengths that differ, or visits that can't be.

    Dan Zhang et al., "ReST-MCTS*: LLM Self-Training via Process Reward Guided Tree Search", arXiv 2406.03816, repository
    THUDM/ReST-MCTS; the rule is that of Levente Kocsis, Csaba Szepesvári, "Bandit based Monte-Carlo Planning", 2006.
    """
    v, n = as_vector(values, "values"), as_vector(visits, "visits")
    if n.size != v.size or (n < 0).any() or (n != np.round(n)).any():
        raise ValueError(f"visits: expected {v.size} integers of at least 0, got {visits!r:.80}")
    visited = n > 0
    check_count(parent_visits, "parent_visits", low=int(visited.any()))
    if not visited.any():
        return v + unvisited
    bound = exploration * np.sqrt(2 * np.log(parent_visits) / np.where(visited, n, 1.0))
    return v + np.where(visited, bound, unvisited)


def back_propagate(nodes: Sequence[Node], index: int) -> None:
    """Count a visit of a node and of all above it, and take the values of those that have children from them.

        N ← N + 1,    V ← Σ_child N_child · V_child / Σ_child N_child

    from the node up to the root, in place. V stays where no child was visited.

    Dan Zhang et al., "ReST-MCTS*: LLM Self-Training via Process Reward Guided Tree Search", arXiv 2406.03816, repository
    THUDM/ReST-MCTS.
    """
    place: int | None = index
    while place is not None:
        node = nodes[place]
        node.visits += 1
        children = [nodes[child] for child in node.children]
        visits = sum(child.visits for child in children)
        if visits:
            node.value = sum(child.visits * child.value for child in children) / visits
        place = node.parent


def rollout_update(value: float, best: float, weight: float = 0.5) -> float:
    """A node's value after a rollout from it: `(1 − weight) · value + weight · best`, `best` the largest value met.

    Raises `ValueError` where a number isn't finite or the weight leaves [0, 1].

    Dan Zhang et al., "ReST-MCTS*: LLM Self-Training via Process Reward Guided Tree Search", arXiv 2406.03816, repository
    THUDM/ReST-MCTS.
    """
    share = check_number(weight, "weight", 0.0, 1.0)
    return (1 - share) * check_number(value, "value") + share * check_number(best, "best")


@dataclass(frozen=True, slots=True)
class TreeSearch:
    """MCTS*: tree search whose simulations are short, and judged by a value instead of an outcome.

    An iteration:

    1. From the root, go to the child of the highest `uct_scores`, at random among equals, until a leaf.
    2. A leaf of V ≥ `gate` ends the search. With `collect` it counts as finished and the search goes on, so that the
       tree can be labelled.
    3. Any other leaf that is open is expanded: up to `branch` different next steps, with their values.
    4. From its best child a greedy rollout of `rollout_steps` steps keeps the best of `rollout_branch` each time. It
       stops at a finished solution. `rollout_update` with the largest value met moves the child's V, and the child has
       been visited. Without a step rolled V stays.
    5. `back_propagate` from the expanded leaf.

    A leaf that is finished, or from which no step with a value was proposed, is only back-propagated. Values should
    be in [0, 1]; the empty solution has 0.

    With `leaves` above 1 an iteration chooses different leaves until that many of them can be expanded, or as many can't,
    or the tree has no more; and expands them together: one call of the policy and one of the value function for all.
    Each is chosen among those that aren't yet, as if those had been visited. It is another, less informed search than
    one leaf at a time, and a faster one.

    Called with `propose`, `evaluate`, and a `budget` and `seed` for this search, returns a `Tree`. To answer with a
    vote, use `weighted_vote` with `identity` over the finished nodes.

    Raises `ValueError` where an option is out of range; when called, what `Expander.expand` raises.

    Dan Zhang et al., "ReST-MCTS*: LLM Self-Training via Process Reward Guided Tree Search", arXiv 2406.03816, repository
    THUDM/ReST-MCTS; its evaluation has exploration 0.4, 2 rollout steps and 0.8 for what is unvisited.
    """

    iterations: int = 100
    branch: int = 3
    leaves: int = 1
    rollout_steps: int = 3
    rollout_branch: int = 1
    rollout_weight: float = 0.5
    exploration: float = 0.7
    unvisited: float = 1.0
    gate: float = 0.9
    collect: bool = False

    def __post_init__(self) -> None:
        for name in ("iterations", "branch", "leaves", "rollout_branch"):
            check_count(getattr(self, name), f"TreeSearch.{name}")
        check_count(self.rollout_steps, "TreeSearch.rollout_steps", low=0)
        check_number(self.rollout_weight, "TreeSearch.rollout_weight", 0.0, 1.0)
        check_number(self.exploration, "TreeSearch.exploration", low=0.0)
        check_number(self.unvisited, "TreeSearch.unvisited", low=0.0)
        check_number(self.gate, "TreeSearch.gate", above=0.0)

    def __call__(
        self, propose: Propose, evaluate: Evaluate, *, budget: Budget = UNLIMITED, seed: int = 0
    ) -> Tree:
        growing = _Growing(self, Expander(propose, evaluate, budget, seed))
        for _ in range(self.iterations):
            leaves = growing.select()
            passed = [leaf for leaf in leaves if growing.nodes[leaf].value >= self.gate]
            if passed and not self.collect:
                return growing.tree("gate", passed[0])
            for leaf in passed:
                growing.nodes[leaf].finished, growing.nodes[leaf].open = True, False
            opened = [leaf for leaf in leaves if growing.nodes[leaf].open]
            if opened and not growing.expander.affords(self.branch * len(opened)):
                return growing.tree("budget")
            if opened:
                growing.roll(growing.expand(opened))
            for leaf in leaves:
                back_propagate(growing.nodes, leaf)
        return growing.tree("iterations")


class _Growing:
    """A tree while it is searched."""

    def __init__(self, options: TreeSearch, expander: Expander) -> None:
        self.options, self.expander = options, expander
        self.nodes = [Node(())]

    def select(self) -> list[int]:
        """Different leaves, each chosen among the others as if those before it had been visited."""
        paths, taken = dict[int, list[int]](), set[int]()  # taken: nodes with no leaf left below them
        room = {True: self.options.leaves, False: self.options.leaves}
        while all(room.values()) and 0 not in taken:
            path = self._descend(taken)
            paths[path[-1]] = path
            room[self._expandable(path[-1])] -= 1
            self._count(path, 1)
            for place in reversed(path):
                if not taken.issuperset(self.nodes[place].children):
                    break
                taken.add(place)
        for path in paths.values():
            self._count(path, -1)
        return list(paths)

    def expand(self, leaves: list[int]) -> list[int]:
        """Give the leaves children; the best child of each that got some."""
        found = self.expander.expand([self.nodes[leaf].steps for leaf in leaves], self.options.branch)
        best = list[int]()
        for leaf, partials in zip(leaves, found, strict=True):
            self.nodes[leaf].open = False
            for steps, value, finished in partials:
                self.nodes[leaf].children.append(len(self.nodes))
                self.nodes.append(Node(steps, value, parent=leaf, finished=finished, open=not finished))
            if partials:
                best.append(self._best_child(leaf))
        return best

    def roll(self, starts: list[int]) -> None:
        """Greedy rollouts from the nodes, all in step; their values and visits move."""
        front = {i: Partial(self.nodes[i].steps, self.nodes[i].value, self.nodes[i].finished) for i in starts}
        met = dict[int, float]()
        for _ in range(self.options.rollout_steps):
            going = [i for i, partial in front.items() if not partial.finished]
            if not going or not self.expander.affords(self.options.rollout_branch * len(going)):
                break
            found = self.expander.expand([front[i].steps for i in going], self.options.rollout_branch)
            for i, partials in zip(going, found, strict=True):
                if not partials:
                    del front[i]
                    continue
                front[i] = max(partials, key=lambda partial: partial.value)
                met[i] = max(met.get(i, -np.inf), front[i].value)
        for i in starts:
            node = self.nodes[i]
            node.visits += 1
            if i in met:
                node.value = rollout_update(node.value, met[i], self.options.rollout_weight)

    def tree(self, stopped: Stop, answer: int | None = None) -> Tree:
        """The result; without an answer that of the largest value."""
        if answer is None:
            answer = max(range(1, len(self.nodes)), key=lambda i: self.nodes[i].value, default=0)
        return Tree(self.nodes, answer, stopped, self.expander.spent)

    def _expandable(self, leaf: int) -> bool:
        return self.nodes[leaf].open and self.nodes[leaf].value < self.options.gate

    def _descend(self, taken: AbstractSet[int]) -> list[int]:
        path = [0]
        while self.nodes[path[-1]].children:
            path.append(self._best_child(path[-1], taken))
        return path

    def _best_child(self, place: int, taken: AbstractSet[int] = frozenset()) -> int:
        node, options = self.nodes[place], self.options
        children = [child for child in node.children if child not in taken]
        scores = uct_scores(
            [self.nodes[child].value for child in children],
            [self.nodes[child].visits for child in children],
            node.visits,
            exploration=options.exploration,
            unvisited=options.unvisited,
        )
        best = np.flatnonzero(scores == scores.max())
        return children[int(self.expander.rng.choice(best))]

    def _count(self, path: list[int], visits: int) -> None:
        for place in path:
            self.nodes[place].visits += visits
