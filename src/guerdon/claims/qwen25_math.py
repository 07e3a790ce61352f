"""Qwen2.5-Math: a reward model that a verifier rules over keeps the verifier's accuracy and orders answers of one class.

An Yang et al., "Qwen2.5-Math Technical Report: Toward Mathematical Expert Model via Self-Improvement", arXiv 2409.12122.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from guerdon.claims.harness.claim import Claim, Expect, Run, Setting, Tuning
from guerdon.core.context import Context
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal
from guerdon.lab.chain_practice import BEGINNER
from guerdon.lab.chain_rewards import right_answer
from guerdon.lab.chain_writer import ChainWriter, habits
from guerdon.lab.chains import Chain, Chains, StepKind, check_steps
from guerdon.lab.tabular import Practice, Rollout, TabularPolicy, practise
from guerdon.shape import VerifiedScore

LIKES: Mapping[StepKind, float] = {
    StepKind.RIGHT: 0.5,
    StepKind.REPAIR: 0.5,
    StepKind.ANSWER: 0.5,
    StepKind.TRIVIAL: 0.3,
    StepKind.SLIP: -0.7,
    StepKind.OTHER: -0.7,
}
MODEL, VERIFIER, SUM, SIGMOID = "model only", "verifier only", "sum", "sigmoid form"


class LengthyScore(Reward):
    """A reward model of solutions that sees which lines are wrong, and that likes long ones.

    s = Σ_k LIKES[kind_k] + noise · N(0, 1)        on the scale of logits
    """

    name = "lengthy_score"

    def __init__(self, noise: float = 0.3) -> None:
        self.noise = noise

    def score(self, sample: Chat, context: Context) -> float:
        assert context.rng is not None
        steps = check_steps(Chain.of(sample), sample.text).steps
        return sum(LIKES[step.kind] for step in steps) + self.noise * float(context.rng.standard_normal())


def make(arm: str) -> Reward:
    """The reward of an arm."""
    score = LengthyScore()
    if arm == SIGMOID:
        return VerifiedScore(score, right_answer)
    return {MODEL: score, VERIFIER: right_answer, SUM: score + right_answer}[arm]


def measured(samples: Sequence[Chat]) -> dict[str, float]:
    """What a policy writes."""
    checks = [check_steps(Chain.of(sample), sample.text) for sample in samples]
    wrong = [sum(LIKES[step.kind] < 0 for step in check.steps) for check in checks if check.answered]
    return {
        "success": float(np.mean([check.answered for check in checks])),
        "wrong lines": float(np.mean(wrong)) if wrong else 0.0,
        "lines": float(np.mean([len(check.steps) for check in checks])),
    }


def experiment(arm: str, setting: Setting, seed: int) -> Run:
    """Train one policy and measure it on fresh problems."""
    world, writer, policy = Chains(3, 97), ChainWriter(0.85), TabularPolicy(habits(BEGINNER))
    curves = {name: list[tuple[float, float]]() for name in ("success", "lines")}

    def note(step: int, rollouts: list[Rollout], signal: Signal) -> None:
        if step % 10 == 0:
            found = measured([rollout.sample for rollout in rollouts])
            for name, points in curves.items():
                points.append((step, found[name]))

    practice = Practice(steps=200, groups=8, group_size=8, learning_rate=setting["learning_rate"])
    practise(policy, world.tasks(200, seed), writer.play, make(arm), practice, seed=seed, on_step=note)
    rng = np.random.default_rng([seed, 1])
    fresh = world.tasks(1000, 10**6 + seed)
    return Run(measured([writer.play(task, policy, rng).sample for task in fresh]), curves)


CLAIM = Claim(
    slug="qwen25-math",
    says="In GRPO, a reward model's score that is squashed and put above or below zero by a rule verifier is better than the "
    "verifier or the reward model alone.",
    hypothesis="Under a reward model that likes length, the sigmoid form is right as often as with the verifier alone and far "
    "more often than with the model alone, and its right answers have fewer wrong lines than the verifier's.",
    setup="Chains of three operations modulo 97, at most 12 lines, and a table policy that chooses between work (right with "
    "probability 0.85), idle lines, stray lines, a repair and the answer. The reward model adds up 0.5 for a line that helps, "
    "0.3 for an idle one and −0.7 for a wrong one, with noise of 0.3. GRPO, 200 steps of 8 groups of 8; sigmoid form with α "
    "0.5. The sum adds the verdict to the score as it is.",
    arms=(SIGMOID, VERIFIER, SUM, MODEL),
    metrics={
        "success": "share of right answers on 1,000 fresh problems",
        "wrong lines": "wrong lines in a right answer, mean",
        "lines": "mean number of lines; 4 are needed, 12 are possible",
    },
    expect=(
        Expect("success", SIGMOID, "no_lower", VERIFIER, margin=0.02),
        Expect("success", SIGMOID, "higher", MODEL, margin=0.1),
        Expect("wrong lines", SIGMOID, "lower", VERIFIER),
    ),
    experiment=experiment,
    tuning=Tuning([{"learning_rate": rate} for rate in (0.1, 0.3, 1.0)], "success", seeds=2),
    axes={name: ("training step", text) for name, text in (("success", "right answers"), ("lines", "lines"))},
    remark="GRPO divides by the spread of a group: where all answers of a group are right, the score of the reward model, with "
    "its noise and its taste for idle lines, is all that is left and counts as much as a verdict does elsewhere. That buys right "
    "answers with fewer wrong lines, and costs some that are cut off behind idle lines. The model alone isn't hacked in these "
    "numbers, since tuning on success stops it early at the smallest rate; on other seeds, at the larger ones, it ends near twelve "
    "lines and no right answer. The listwise loss of the same report isn't compared here.",
)
