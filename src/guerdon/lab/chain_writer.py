"""A table policy that writes solutions of chains step by step, and the exact worth of what it has written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_count, check_number
from guerdon.lab.chains import Chain, Operation, Progress
from guerdon.lab.tabular import Decision, Rollout, TabularPolicy
from guerdon.lab.world import Task
from guerdon.steer.proposals import Proposal, Propose, Steps


class Choice(IntEnum):
    """What the policy decides on at each step; whether it comes out right is up to its skill."""

    WORK = 0
    """The next operation; behind the last one an answer."""
    TRIVIAL = 1
    """A line that changes nothing."""
    STRAY = 2
    """An operation that isn't asked for."""
    REPAIR = 3
    """The operation before once more; without one before, a stray line."""
    ANSWER = 4
    """The value at hand as the answer, whatever is left to do."""


CHOICES = len(Choice)


class State(NamedTuple):
    """What the policy sees: operations that are `left`, and whether the value at hand is off the track."""

    left: int
    off: bool


def habits(likely: Mapping[Choice, float]) -> Any:
    """A prior for `TabularPolicy`: logits of choices in every state, 0 where none is given."""

    def prior(state: Any, options: int) -> NDArray[np.float64]:
        return np.array([likely.get(Choice(choice), 0.0) for choice in range(options)])

    return prior


class ChainWriter:
    """Writes solutions of chains with a table policy whose decisions are those of `Choice`.

    `skill`: probability that an operation that is carried out has its right result · `longest`: after how many steps
    a solution is cut off.
    """

    def __init__(self, skill: float = 0.9, longest: int = 12) -> None:
        check_number(skill, "skill", 0.0, 1.0)
        check_count(longest, "longest")
        self.skill, self.longest = skill, longest

    def play(self, task: Task, policy: TabularPolicy, rng: np.random.Generator) -> Rollout:
        """One rollout, for `practise`. Decision k belongs to part k, which is line k."""
        progress, written, decisions = Progress(Chain.of(task.chat(""))), list[str](), list[Decision]()
        while len(written) < self.longest and not progress.ended:
            state = state_of(progress)
            choice = policy.choose(state, CHOICES, rng)
            decisions.append(Decision(state, choice, part=len(written)))
            written.append(self.line(progress, Choice(choice), rng))
            progress.read(written[-1])
        return Rollout(task.chat("\n".join(written)), decisions)

    def proposals(self, chain: Chain, policy: TabularPolicy) -> Propose:
        """The policy as a search asks for it: lines that go on from the lines so far, a token each."""

        def propose(prefixes: Sequence[Steps], width: int, rng: np.random.Generator) -> list[list[Proposal]]:
            return [[self._proposal(chain, policy, prefix, rng) for _ in range(width)] for prefix in prefixes]

        return propose

    def line(self, progress: Progress, choice: Choice, rng: np.random.Generator) -> str:
        """The text of a step."""
        chain, value = progress.chain, progress.value
        if choice is Choice.TRIVIAL:
            return f"{value}+0={value}"
        if choice is Choice.WORK and progress.done < len(chain.operations):
            return self._carried_out(chain, value, chain.operations[progress.done], rng)
        if choice is Choice.REPAIR and progress.before is not None:
            operation = chain.operations[progress.done - 1]
            return f"no {self._carried_out(chain, progress.before, operation, rng)}"
        if choice in (Choice.WORK, Choice.ANSWER):
            return f"answer {value}"
        # Of a value that isn't at hand, so that it can't be the operation that is asked for.
        stray = Operation("+", int(rng.integers(1, chain.modulus)))
        left = (value + 1) % chain.modulus
        return f"{left}+{stray.number}={chain.result(left, stray)}"

    def _carried_out(self, chain: Chain, value: int, operation: Operation, rng: np.random.Generator) -> str:
        result = chain.result(value, operation)
        if rng.random() >= self.skill:
            result = (result + int(rng.integers(1, chain.modulus))) % chain.modulus
        return f"{value}{operation.symbol}{operation.number}={result}"

    def _proposal(
        self, chain: Chain, policy: TabularPolicy, prefix: Steps, rng: np.random.Generator
    ) -> Proposal:
        progress = read(chain, prefix)
        choice = Choice(policy.choose(state_of(progress), CHOICES, rng))
        line = self.line(progress, choice, rng)
        progress.read(line)
        return Proposal(line, 1, progress.ended or len(prefix) + 1 >= self.longest)

    def success(self, chain: Chain, policy: TabularPolicy, prefix: Steps = ()) -> float:
        """Probability of a right answer when `policy` goes on from the lines so far.

            V(s) = Σ_choice π(choice | s) · Σ_s' P(s' | s, choice) · V(s')

        Exact but for slips that come back on the track by chance, which it leaves out.
        """
        progress = read(chain, prefix)
        if progress.ended:
            return float(progress.answered)
        return self._worth(policy)(state_of(progress), _repairable(progress), self.longest - len(prefix))

    def _worth(self, policy: TabularPolicy) -> Any:
        """V of a state, whether the last operation worked on the right value (None where none was), and steps left."""

        @cache
        def worth(state: State, before: bool | None, steps: int) -> float:
            if steps <= 0:
                return 0.0
            (left, off), rest = state, steps - 1
            answer = float(left == 0 and not off)
            stay = worth(state, None, rest)
            work, repair = answer, stay
            if left:
                slip = worth(State(left - 1, True), not off, rest)
                work = slip if off else self._mixed(worth(State(left - 1, False), True, rest), slip)
            if before is not None:
                slip = worth(State(left, True), None, rest)
                repair = self._mixed(worth(State(left, False), None, rest), slip) if before else slip
            worths = {Choice.WORK: work, Choice.TRIVIAL: stay, Choice.STRAY: stay, Choice.REPAIR: repair}
            probabilities = policy.probabilities(state, CHOICES)
            return float(
                sum(probabilities[choice] * (worths | {Choice.ANSWER: answer})[choice] for choice in Choice)
            )

        return worth

    def _mixed(self, right: float, slip: float) -> float:
        return self.skill * right + (1.0 - self.skill) * slip


def read(chain: Chain, prefix: Steps) -> Progress:
    """How far the lines so far are."""
    progress = Progress(chain)
    for line in prefix:
        progress.read(str(line))
    return progress


def state_of(progress: Progress) -> State:
    """What the policy sees of it."""
    return State(len(progress.chain.operations) - progress.done, not progress.on_track)


def _repairable(progress: Progress) -> bool | None:
    """Whether the last operation worked on the right value, and a repair leads back; None where there is nothing to
    repair."""
    if progress.before is None:
        return None
    return progress.before == progress.chain.values[progress.done - 1]
