"""A tree of solutions that is small enough to know the probability and the reward of every one of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_count
from guerdon.train.flow_balance import log_rewards

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

GOOD, BAD, NOISE, UNFINISHED = 0.9, 0.05, 0.5, 0.02


@dataclass(frozen=True, eq=False)
class SolutionTree:
    """Solutions of up to D steps, one of W at each, that can stop anywhere. There are N of them, each a node of the tree.

    Node 0 is the empty solution, and `W · n + 1 + a` continues node n with step a; the first `inner` nodes are
    unfinished, and from the others nothing leads on.

    `nodes` (N, D+1): the nodes on the way to each, itself repeated behind its end · `steps` (N, D): the steps on the
    way, 0 behind the end · `lengths` (N,): how many · `right` (N,) booleans: the right solutions · `log_reward` (N,): what
    a process reward model makes of stopping there.
    """

    nodes: Integers
    steps: Integers
    lengths: Integers
    right: NDArray[np.bool_]
    log_reward: Floats

    @property
    def inner(self) -> int:
        """How many nodes are unfinished."""
        return int((self.lengths < self.steps.shape[1]).sum())

    @classmethod
    def planted(
        cls, rng: np.random.Generator, right: int = 8, depth: int = 3, width: int = 6
    ) -> SolutionTree:
        """A tree in which `right` of the finished solutions are right, with a process reward model of its steps.

            p(step)  = σ(logit(GOOD or BAD) + NOISE · N(0, 1))      GOOD where the step leads to a right solution
            R        = Π p(step) · (UNFINISHED where it stops before `depth` steps)

        Noise is drawn once a step: each time it is asked the model is wrong in the same way.

        Raises `ValueError` on a count that isn't one, or more right solutions than there are finished ones.
        """
        from scipy.special import expit, logit

        check_count(depth, "depth")
        check_count(width, "width")
        check_count(right, "right", 1, width**depth)
        nodes, steps, lengths = _paths(depth, width)
        chosen = np.zeros(len(nodes), dtype=bool)
        chosen[rng.choice(np.flatnonzero(lengths == depth), size=right, replace=False)] = True
        leads = np.zeros(len(nodes), dtype=bool)
        leads[nodes[chosen]] = True
        logits = logit(np.where(leads, GOOD, BAD)) + NOISE * rng.standard_normal(len(nodes))
        scores = np.where(np.arange(depth) < lengths[:, None], expit(logits)[nodes[:, 1:]], 1.0)
        reward = log_rewards(scores)[:, -1] + np.where(lengths < depth, np.log(UNFINISHED), 0.0)
        return cls(nodes, steps, lengths, chosen, reward)


def _paths(depth: int, width: int) -> tuple[Integers, Integers, Integers]:
    """Nodes, steps and lengths of all solutions, in the order of their numbers."""
    ways = [way for length in range(depth + 1) for way in product(range(width), repeat=length)]
    lengths = np.array([len(way) for way in ways])
    steps = np.array([(*way, *[0] * (depth - len(way))) for way in ways], dtype=np.int64)
    nodes = np.zeros((len(ways), depth + 1), dtype=np.int64)
    for place in range(depth):
        onward = width * nodes[:, place] + 1 + steps[:, place]
        nodes[:, place + 1] = np.where(place < lengths, onward, nodes[:, place])
    return nodes, steps, lengths
