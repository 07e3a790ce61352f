"""A verifier of chains of arithmetic that misreads lines, fitted to how often a policy succeeds from what it sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from guerdon.core.checks import check_number
from guerdon.lab.chain_writer import ChainWriter, read
from guerdon.lab.chains import Chain, StepKind
from guerdon.lab.tabular import TabularPolicy
from guerdon.lab.world import Task
from guerdon.steer.proposals import Steps

_CALCULATED = (StepKind.RIGHT, StepKind.SLIP, StepKind.REPAIR)


class Seen(NamedTuple):
    """What a reader makes of a solution so far: operations that are `left`, whether it looks `off` the track, and
    whether it has `ended` with an answer. An answer before the last operation is off, and leaves none.
    """

    left: int
    off: bool
    ended: bool


class ChainReader:
    """Reads solutions of one chain, and takes a right result for a wrong one, or the reverse, with probability `mistaken`.

    A line behind the same lines is always read in the same way, whoever asks and whenever.
    """

    def __init__(self, chain: Chain, mistaken: float, rng: np.random.Generator) -> None:
        self.mistaken = check_number(mistaken, "mistaken", 0.0, 1.0)
        self._chain, self._rng = chain, rng
        self._seen: dict[Steps, Seen] = {(): Seen(len(chain.operations), False, False)}

    def __call__(self, steps: Steps) -> Seen:
        if steps not in self._seen:
            self._seen[steps] = self._look(self(steps[:-1]), steps)
        return self._seen[steps]

    def _look(self, before: Seen, steps: Steps) -> Seen:
        progress, line = read(self._chain, steps[:-1]), str(steps[-1])
        kind, off = progress.read(line).kind, before.off
        left = len(self._chain.operations) - progress.done
        if kind in _CALCULATED:
            wrong = (kind is StepKind.SLIP) != (self._rng.random() < self.mistaken)
            # A repair that looks right sets right what was wrong before it.
            off = wrong or (off and not line.startswith("no "))
        if progress.ended:
            return Seen(0, off or left > 0, True)
        return Seen(left, off, False)


def fit_verifier(
    writer: ChainWriter,
    policy: TabularPolicy,
    prover: TabularPolicy,
    tasks: Sequence[Task],
    mistaken: float,
    rng: np.random.Generator,
) -> Mapping[Seen, float]:
    """How often `prover` ends in the right answer when it goes on from what a reader sees.

        table[seen] = share of the prefixes that look so from which the prover succeeds

    Prefixes, the empty one among them, are those of one solution of `policy` for each task; from each the prover goes on
    once, since more solutions tell more than more completions. The table minimises the cross-entropy to the outcomes.
    What was never seen isn't in it.
    """
    found: dict[Seen, list[bool]] = {}
    for task in tasks:
        chain = Chain.of(task.chat(""))
        see = ChainReader(chain, mistaken, rng)
        lines = tuple(writer.play(task, policy, rng).sample.text.split("\n"))
        for length in range(len(lines) + 1):
            prefix = lines[:length]
            found.setdefault(see(prefix), []).append(_succeeds(writer, chain, prover, prefix, rng))
    return {seen: float(np.mean(outcomes)) for seen, outcomes in found.items()}


def _succeeds(
    writer: ChainWriter, chain: Chain, prover: TabularPolicy, steps: Steps, rng: np.random.Generator
) -> bool:
    propose = writer.proposals(chain, prover)
    while len(steps) < writer.longest and not read(chain, steps).ended:
        steps = (*steps, propose([steps], 1, rng)[0][0].step)
    return read(chain, steps).answered
