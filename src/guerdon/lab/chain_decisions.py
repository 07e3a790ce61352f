"""The decisions behind a solution of a chain, read from its text."""

from __future__ import annotations

from guerdon.core.segmenters import lines
from guerdon.lab.chain_writer import Choice, state_of
from guerdon.lab.chains import Chain, Progress, StepKind
from guerdon.lab.tabular import Decision

_CHOICES = {
    StepKind.RIGHT: Choice.WORK,
    StepKind.SLIP: Choice.WORK,
    StepKind.TRIVIAL: Choice.TRIVIAL,
    StepKind.REPAIR: Choice.REPAIR,
    StepKind.ANSWER: Choice.ANSWER,
    StepKind.OTHER: Choice.STRAY,
}


def read_decisions(chain: Chain, text: str) -> list[Decision]:
    """What a `ChainWriter` that wrote `text` decided, a line each, so that a policy can learn from another's solutions.

    Where two choices write the same line it is taken for the answer behind the last operation, and for a stray line
    where there is nothing to repair. What no `ChainWriter` writes is a stray line.
    """
    progress, decisions = Progress(chain), list[Decision]()
    for part, (start, end) in enumerate(lines(text)):
        line, state, ended = text[start:end], state_of(progress), progress.ended
        choice = _CHOICES[progress.read(line).kind]
        if choice is Choice.WORK and line.startswith("no "):
            choice = Choice.REPAIR
        elif progress.ended and not ended:
            choice = Choice.ANSWER
        decisions.append(Decision(state, int(choice), part))
    return decisions
