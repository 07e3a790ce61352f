"""Rewards of chains of arithmetic: of the answer, of the steps as they are, and of steps as a flawed model sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from guerdon.core.checks import check_number
from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.segmenters import lines
from guerdon.core.signal import Score, Value
from guerdon.lab.chains import Chain, CheckedStep, StepKind, check_steps

TRIVIAL_PAYS: Mapping[StepKind, float] = {
    StepKind.RIGHT: 0.9,
    StepKind.REPAIR: 0.9,
    StepKind.ANSWER: 0.9,
    StepKind.TRIVIAL: 0.7,
    StepKind.SLIP: 0.2,
    StepKind.OTHER: 0.2,
}
"""Scores of a process reward model that can be hacked: a true line is a good line, even if it brings nothing."""


@register("chain_answer", example="{reward: chain_answer}")
class ChainAnswer(Reward):
    """1 where the last line of a sample of `chains` gives the right answer, however it was come by, and 0 where not.

    A sample without the columns of that world fails.
    """

    name = "chain_answer"
    uses_context = False

    def score(self, sample: Chat, context: Context) -> float:
        return float(check_steps(Chain.of(sample), sample.text).answered)


right_answer = ChainAnswer()


class ExactSteps(Reward):
    """1 for every line after which the solution is on the track, and 0 for every other: the truth about the steps.

    `mistaken`: probability that a line gets the other label, in [0, 1], with randomness from the context's generator.

    The dense channel is a value a line, spans in characters; the outcome is 0. Raises `ValueError` where some label
    is to be mistaken and the context has no generator.
    """

    name = "exact_steps"

    def __init__(self, mistaken: float = 0.0) -> None:
        self.mistaken = check_number(mistaken, "mistaken", 0.0, 1.0)
        self.uses_context = mistaken > 0

    def score(self, sample: Chat, context: Context) -> Value:
        steps = check_steps(Chain.of(sample), sample.text).steps
        labels = np.array([step.on_track for step in steps], dtype=bool)
        if self.mistaken:
            labels ^= _generator(context).random(labels.size) < self.mistaken
        return _score(sample, labels.astype(np.float64))


class HackableSteps(Reward):
    """A process reward model that looks at each line by itself, and so can be hacked by true but useless lines.

        r_k = clip(scores[kind_k] + noise · N(0, 1), 0, 1)

    `scores`: of every kind of line, in [0, 1]; by default `TRIVIAL_PAYS` · `noise`: standard deviation, with randomness
    from the context's generator.

    The dense channel is a value a line, spans in characters; the outcome is 0. Raises `ValueError` on a score outside
    [0, 1] or a kind without one, and where there is noise and the context has no generator.
    """

    name = "hackable_steps"

    def __init__(self, scores: Mapping[StepKind, float] = TRIVIAL_PAYS, noise: float = 0.0) -> None:
        self.scores = {
            kind: check_number(scores.get(kind), f"scores[{kind.value}]", 0.0, 1.0) for kind in StepKind
        }
        self.noise = check_number(noise, "noise", low=0.0)
        self.uses_context = noise > 0

    def score(self, sample: Chat, context: Context) -> Value:
        steps: Sequence[CheckedStep] = check_steps(Chain.of(sample), sample.text).steps
        values = np.array([self.scores[step.kind] for step in steps])
        if self.noise:
            values = np.clip(values + self.noise * _generator(context).standard_normal(values.size), 0.0, 1.0)
        return _score(sample, values)


def _generator(context: Context) -> np.random.Generator:
    if context.rng is None:
        raise ValueError("context.rng: expected a generator, since this reward is random")
    return context.rng


def _score(sample: Chat, values: np.ndarray) -> Score:
    return Score(dense=values, spans=lines(sample.text), unit="step")
