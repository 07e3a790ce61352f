"""What a search needs of the world: next steps from a policy, values of what is written so far, and a budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from guerdon.core.checks import check_count, check_number
from guerdon.core.messages import Message
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.steer.aggregate import Aggregation, aggregate_signal
from guerdon.steer.inputs import as_vector

Steps: TypeAlias = "tuple[Hashable, ...]"
"""The steps of a solution so far; texts, or whatever a policy writes that can be hashed."""


class Proposal(NamedTuple):
    """A next step: `tokens` that it cost to sample, and whether the solution is `finished` with it."""

    step: Hashable
    tokens: int = 0
    finished: bool = False


class Partial(NamedTuple):
    """A solution so far: its `value`, NaN where it wasn't evaluated, and whether it is `finished`."""

    steps: Steps
    value: float
    finished: bool


class Propose(Protocol):
    """A policy that continues solutions."""

    def __call__(
        self, prefixes: Sequence[Steps], width: int, rng: np.random.Generator, /
    ) -> Sequence[Sequence[Proposal]]:
        """Up to `width` next steps for each of the prefixes, sampled with no other randomness than that of `rng`."""
        ...


Evaluate: TypeAlias = Callable[[Sequence[Steps]], ArrayLike]
"""Values (n,) of n solutions so far; NaN is one that can't be evaluated, and the search drops it."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a search may spend; None is without limit.

    `calls`: continuations asked of the policy; to continue two solutions in three ways is six calls, and a round that
    would go beyond isn't started · `tokens`: of sampled steps; what a round costs is known after it, so the last one
    may go beyond.

    Raises `ValueError` for a limit that isn't an integer of at least 1.
    """

    calls: int | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        for name in ("calls", "tokens"):
            if getattr(self, name) is not None:
                check_count(getattr(self, name), f"Budget.{name}")


UNLIMITED = Budget()


class Spent(NamedTuple):
    """What a search has spent: `calls` and `tokens` as `Budget` counts, and solutions so far that were `evaluated`.

    `without_value`: those of them that were dropped since their value is NaN.
    """

    calls: int = 0
    tokens: int = 0
    evaluated: int = 0
    without_value: int = 0

    def plus(self, **more: int) -> Spent:
        """With that much more of some."""
        return self._replace(**{name: getattr(self, name) + count for name, count in more.items()})


class Asker:
    """Asks a policy for one search, and keeps count. Randomness comes from `seed` alone."""

    def __init__(self, propose: Propose, budget: Budget, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.spent = Spent()
        self._propose, self._budget = propose, budget

    def affords(self, calls: int) -> bool:
        """Whether the budget allows that many calls more."""
        return self.affordable(calls) == calls

    def affordable(self, calls: int) -> int:
        """How many of these calls the budget allows."""
        limit, spent = self._budget, self.spent
        if limit.tokens is not None and spent.tokens >= limit.tokens:
            return 0
        return calls if limit.calls is None else min(calls, int(limit.calls) - spent.calls)

    def ask(self, prefixes: Sequence[Steps], width: int) -> list[dict[Steps, bool]]:
        """The different continuations of each prefix, and whether each is finished; one call of the policy.

        Raises `ValueError` where the policy answers for another number of prefixes or with more than `width` steps.
        """
        proposed = self._propose(prefixes, width, self.rng)
        if len(proposed) != len(prefixes) or any(len(steps) > width for steps in proposed):
            counts = [len(steps) for steps in proposed]
            raise ValueError(
                f"propose: expected up to {width} steps for {len(prefixes)} prefixes, got {counts}"
            )
        tokens = sum(proposal.tokens for steps in proposed for proposal in steps)
        self.spent = self.spent.plus(calls=width * len(prefixes), tokens=tokens)
        return [_join(prefix, steps) for prefix, steps in zip(prefixes, proposed, strict=True)]


class Expander(Asker):
    """Asks a policy and a value function for one search, and keeps count.

    A solution so far is evaluated once, however often a policy comes to it.
    """

    def __init__(self, propose: Propose, evaluate: Evaluate, budget: Budget, seed: int) -> None:
        super().__init__(propose, budget, seed)
        self._evaluate = evaluate
        self._values = dict[Steps, float]()

    def expand(self, prefixes: Sequence[Steps], width: int) -> list[list[Partial]]:
        """The different continuations of each prefix that have a value; one call of policy and value function each.

        Raises `ValueError` as `ask`, and where the value function doesn't give a finite number or NaN for each.
        """
        children = self.ask(prefixes, width)
        self._fill_values(steps for found in children for steps in found)
        return [
            [
                Partial(steps, self._values[steps], finished)
                for steps, finished in found.items()
                if not math.isnan(self._values[steps])
            ]
            for found in children
        ]

    def _fill_values(self, solutions: Iterable[Steps]) -> None:
        new = [steps for steps in dict.fromkeys(solutions) if steps not in self._values]
        if not new:
            return
        values = as_vector(self._evaluate(new), "evaluate")
        if values.size != len(new) or np.isinf(values).any():
            raise ValueError(f"evaluate: expected {len(new)} values, finite or NaN; got {values!r:.80}")
        self._values.update(zip(new, values.tolist(), strict=True))
        self.spent = self.spent.plus(evaluated=len(new), without_value=int(np.isnan(values).sum()))


def _join(prefix: Steps, proposals: Sequence[Proposal]) -> dict[Steps, bool]:
    """The different continuations, and whether each is finished, by what is said of it first."""
    found = dict[Steps, bool]()
    for proposal in proposals:
        found.setdefault((*prefix, proposal.step), proposal.finished)
    return found


def value_by(
    reward: Reward,
    prompt: str | list[Message],
    *,
    separator: str = "\n",
    how: Aggregation | Literal["outcome"] | None = None,
) -> Evaluate:
    """The value of a solution so far is what a reward gives to its text: `reward(Chat(prompt, separator.join(steps)))`.

    Steps are texts, and `separator` must be that of the reward too. `how`: "outcome", or how step scores become one
    number, see `aggregate`; needed where the reward has step scores. Where the reward abstains or fails, or has no step
    to score, the value is NaN.

    Raises `ValueError` when asked, where `how` is missing or of step scores that aren't there.
    """

    def evaluate(prefixes: Sequence[Any]) -> ArrayLike:
        signal = reward([Chat(prompt, separator.join(steps)) for steps in prefixes])
        if how is None and signal.dense is not None:
            raise ValueError(f"value_by: {reward.name} scores steps; say how they become one number, by how=")
        return signal.outcome if how is None or how == "outcome" else aggregate_signal(signal, how)

    return evaluate


def progress_value(value: Evaluate, prover: Evaluate, alpha: float = 0.5) -> Evaluate:
    """The worth of a step: what the policy makes of it, and the progress that it is for a prover.

        worth(s_1 … s_h) = value(s_1 … s_h) + alpha · (prover(s_1 … s_h) − prover(s_1 … s_{h−1}))

    `value` and `prover` estimate the probability of a right answer when the policy, or the prover, goes on from there;
    of no steps the prover estimates that of the problem. alpha weighs progress alone, which is signed; 0.2 to 0.7 were
    found to do.

    Raises `ValueError` where alpha is negative or not finite.

    Amrith Setlur et al., "Rewarding Progress: Scaling Automated Process Verifiers for LLM Reasoning", arXiv 2410.08146.
    """
    check_number(alpha, "alpha", low=0.0)

    def evaluate(prefixes: Sequence[Steps]) -> ArrayLike:
        asked = list(dict.fromkeys([*prefixes, *(steps[:-1] for steps in prefixes)]))
        proven = dict(zip(asked, as_vector(prover(asked), "prover").tolist(), strict=True))
        progress = np.array([proven[steps] - proven[steps[:-1]] for steps in prefixes])
        return as_vector(value(prefixes), "value") + alpha * progress

    return evaluate
