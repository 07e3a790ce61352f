"""Whole solutions, sampled independently: what best-of-n and votes choose from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from guerdon.core.checks import check_count
from guerdon.steer.proposals import UNLIMITED, Asker, Budget, Partial, Propose, Spent, Steps


@dataclass(frozen=True, slots=True)
class Samples:
    """What `sample_solutions` drew.

    `solutions`: in the order in which they were begun, each with the value NaN; one that isn't `finished` met the
    depth or the budget, or the policy had no next step · `spent` · `stopped`: n were `drawn`, or the `budget` is
    reached.
    """

    solutions: list[Partial]
    spent: Spent
    stopped: Literal["drawn", "budget"]

    @property
    def finished(self) -> list[Steps]:
        """The steps of the finished ones."""
        return [solution.steps for solution in self.solutions if solution.finished]


def sample_solutions(
    propose: Propose,
    n: int,
    *,
    depth: int = 64,
    together: int = 64,
    budget: Budget = UNLIMITED,
    seed: int = 0,
) -> Samples:
    """Draw n solutions step by step, so that best-of-n and votes run over the policy and the budget of a search.

    Each round continues all solutions in work by one step, in one call of the policy; where one ends, the next begins.
    Where the budget has fewer calls left than solutions are in work, those begun first go on, so of a large n as many
    are finished as the budget allows, and fewer than `together` are left over.

    Args:
        propose: the policy.
        n: how many to draw.
        depth: steps after which a solution is cut off.
        together: how many are in work at once.
        budget: of calls and tokens, counted as in a search.
        seed: with one seed and a policy that is a function of its arguments the solutions are always the same.

    Raises:
        ValueError: where a count isn't an integer of at least 1, or as `Asker.ask`.
    """
    for name, count in (("n", n), ("depth", depth), ("together", together)):
        check_count(count, name)
    asker = Asker(propose, budget, seed)
    solutions, in_work = list[Partial](), list[int]()
    while True:
        begun = min(together - len(in_work), n - len(solutions))
        in_work += range(len(solutions), len(solutions) + begun)
        solutions += [Partial((), math.nan, False)] * begun
        if not in_work:
            return Samples(solutions, asker.spent, "drawn")
        going = in_work[: asker.affordable(len(in_work))]
        if not going:
            return Samples([one for one in solutions if one.steps], asker.spent, "budget")
        ended = set[int]()
        for i, found in zip(going, asker.ask([solutions[i].steps for i in going], 1), strict=True):
            for steps, finished in found.items():
                solutions[i] = Partial(steps, math.nan, finished)
            if not found or solutions[i].finished or len(solutions[i].steps) == depth:
                ended.add(i)
        in_work = [i for i in in_work if i not in ended]
