"""Search by steps that keeps a few of the best solutions so far."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from guerdon.core.checks import check_count
from guerdon.steer.proposals import UNLIMITED, Budget, Evaluate, Expander, Partial, Propose, Spent
from guerdon.steer.select import top_k

Stop: TypeAlias = Literal["finished", "depth", "budget", "no_steps"]


@dataclass(frozen=True, slots=True)
class Beams:
    """What a beam search found.

    `beams`: best first; where nothing could be proposed, the empty solution alone, with the value NaN · `spent` ·
    `stopped`: all beams are `finished`, the `depth` or the `budget` is reached, or `no_steps` were proposed, or none
    with a value.
    """

    beams: list[Partial]
    spent: Spent
    stopped: Stop

    @property
    def best(self) -> Partial:
        """The best finished solution; where none is finished, the best so far."""
        return next((beam for beam in self.beams if beam.finished), self.beams[0])


@dataclass(frozen=True, slots=True)
class BeamSearch:
    """Beam search over steps: each beam is continued in some ways, and the best of all continuations are kept.

        kept_{h+1} = top_k( finished beams of kept_h + `branch` continuations of each of the others, by value, beams )

    A finished beam keeps its value and its place only while `beams` others aren't better. Of equal values a finished
    beam comes first, then the continuations of the better beam. Equal continuations of a beam count once. All
    continuations of a depth are one call of the policy and one of the value function.

    With `beams=1` it is greedy search: the best of `branch` next steps is appended. Values may be those of the whole
    solution so far, or of its last step alone as `progress_value` gives; to rank the finished beams by another
    judge, use `best_of_n` on what it says of them.

    Called with `propose`, `evaluate`, and a `budget` and `seed` for this search, returns `Beams`; with one seed
    and a policy and values that are functions of their arguments always the same.

    Raises `ValueError` where a count isn't an integer of at least 1; when called, what `Expander.expand` raises.

    Amrith Setlur et al., "Rewarding Progress: Scaling Automated Process Verifiers for LLM Reasoning", arXiv 2410.08146;
    the greedy search is that of Teng Wang et al., "Towards Hierarchical Multi-Step Reward Models for Enhanced Reasoning in
    Large Language Models", arXiv 2503.13551, repository tengwang0318/hierarchial_reward_model.
    """

    beams: int = 4
    branch: int = 4
    depth: int = 8

    def __post_init__(self) -> None:
        for name in ("beams", "branch", "depth"):
            check_count(getattr(self, name), f"BeamSearch.{name}")

    def __call__(
        self, propose: Propose, evaluate: Evaluate, *, budget: Budget = UNLIMITED, seed: int = 0
    ) -> Beams:
        expander = Expander(propose, evaluate, budget, seed)
        kept, depth = [Partial((), math.nan, False)], 0
        while unfinished := [beam.steps for beam in kept if not beam.finished]:
            if depth == self.depth:
                return Beams(kept, expander.spent, "depth")
            if not expander.affords(self.branch * len(unfinished)):
                return Beams(kept, expander.spent, "budget")
            pool = [beam for beam in kept if beam.finished]
            pool += [child for found in expander.expand(unfinished, self.branch) for child in found]
            if not pool:
                return Beams(kept, expander.spent, "no_steps")
            kept = [pool[i] for i in top_k([beam.value for beam in pool], self.beams)]
            depth += 1
        return Beams(kept, expander.spent, "finished")
