"""PPR: steps that are paid by a judge and by the outcome together resist a judge that likes wrong steps.

"Hybrid Reward Normalization for Process-supervised Non-verifiable Agentic Tasks", arXiv 2509.25598.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.claims.harness.claim import Claim, Expect, Run, Setting, Tuning
from guerdon.core.context import Context
from guerdon.core.function import reward
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Score, Signal
from guerdon.credit import Estimator, discounted_returns, gae, spread_steps
from guerdon.lab.tabular import Decision, Practice, Rollout, TabularPolicy, practise
from guerdon.shape.process_outcome import ProcessOutcome, Strategy

CLUES, MAX_STEPS = 4, 8
STEP_TEXTS = ("search the next clue", "search", "think it through once more at great length and then search")
OPTIONS = 4
RIGHT, WORDY, ANSWER = 0, 2, 3
# A wrong step with many words is worth 0.2 more to the judge than one with few.
RATINGS: Mapping[str, float] = dict(zip(STEP_TEXTS, (0.6, 0.5, 0.7), strict=True))
NOISE = 0.1
TASK = "Follow four clues."
STEPS = 150
STRATEGIES: Mapping[str, Strategy] = {
    "ReNorm": "renorm",
    "sum": "sum",
    "product": "product",
    "process only": "process",
    "outcome only": "outcome",
}


@reward
def correct(sample: Chat) -> float:
    """1 where the answer is the reference."""
    return float(sample.final == sample.reference)


class NoisyJudge(Reward):
    """Rates every turn in [0, 1] by what it says, with noise: better where it is right, best where it is wordy."""

    name = "noisy_judge"

    def score(self, sample: Chat, context: Context) -> Score:
        assert context.rng is not None
        ratings = [RATINGS.get(step.text, 0.5) for step in sample.steps()]
        noisy = np.array(ratings) + NOISE * context.rng.standard_normal(len(ratings))
        return Score(dense=np.clip(noisy, 0.0, 1.0), unit="turn")


class StepAdvantages(Estimator):
    """Generalised advantages of decisions, γ = λ = 1: step rewards at their decisions, the outcome at the last.

    The value of the n-th decision is the mean return of all rollouts of the batch that get there: all are about the
    same task.
    """

    def __call__(
        self,
        signal: Signal,
        groups: NDArray[np.integer[Any]],
        mask: NDArray[Any],
        spans: NDArray[np.integer[Any]] | None = None,
    ) -> NDArray[np.floating[Any]]:
        ends = mask.sum(axis=1)
        rewards = np.zeros(mask.shape)
        rewards[np.arange(len(ends)), ends - 1] = signal.outcome
        if signal.dense is not None:
            assert spans is not None
            rewards += spread_steps(signal.dense.values, spans, mask, signal.dense.offsets, share="last")
        returns = discounted_returns(rewards, 1.0, mask)
        values = np.broadcast_to(returns.sum(axis=0) / mask.sum(axis=0), mask.shape)
        return gae(rewards, values, 1.0, 1.0, mask)


def play(task: str, policy: TabularPolicy, rng: np.random.Generator) -> Rollout:
    """Eight turns at most. An answer is right with probability 0.95 where all four clues were found, else 0.05."""
    found, messages, decisions = 0, list[dict[str, Any]](), list[Decision]()
    for turn in range(MAX_STEPS):
        state = (turn, found)
        choice = policy.choose(state, OPTIONS, rng)
        decisions.append(Decision(state, choice, turn))
        if choice == ANSWER:
            right = rng.random() < (0.95 if found == CLUES else 0.05)
            messages.append({"role": "assistant", "content": "right" if right else "wrong"})
            break
        new = choice == RIGHT and found < CLUES
        found += new
        messages += [
            {"role": "assistant", "content": STEP_TEXTS[choice]},
            {"role": "tool", "content": f"clue {found}" if new else "nothing new"},
        ]
    return Rollout(Chat(task, messages, reference="right"), decisions)


def experiment(arm: str, setting: Setting, seed: int) -> Run:
    """Train one policy and measure it on fresh rollouts, before and after."""
    policy = TabularPolicy()
    paid = ProcessOutcome(NoisyJudge(), correct, strategy=STRATEGIES[arm])
    before = _measure(policy, seed)
    success, rating = list[float](), list[float]()

    def note(step: int, rollouts: list[Rollout], signal: Signal) -> None:
        judged, answered = signal.parts["noisy_judge"].dense, signal.parts["correct"].outcome
        assert judged is not None
        success.append(float(answered.mean()))
        rating.append(float(judged.values.mean()))

    practice = Practice(steps=STEPS, groups=8, group_size=8, learning_rate=setting["learning_rate"])
    practise(policy, [TASK], play, paid, practice, credit=StepAdvantages(), seed=seed, on_step=note)
    after = _measure(policy, seed)
    gained = {f"{name} gained": after[name] - before[name] for name in ("success", "rating")}
    points = range(0, STEPS, 5)
    return Run(
        {**after, **gained},
        {
            "success": [(s, float(np.mean(success[s : s + 5]))) for s in points],
            "rating": [(s, float(np.mean(rating[s : s + 5]))) for s in points],
        },
    )


def _measure(policy: TabularPolicy, seed: int) -> dict[str, float]:
    """On 1,000 fresh rollouts."""
    rng = np.random.default_rng([seed, 1])
    rollouts = [play(TASK, policy, rng) for _ in range(1000)]
    samples = [rollout.sample for rollout in rollouts]
    judged = NoisyJudge()(samples, Context(rng=rng)).dense
    assert judged is not None
    choices = [[decision.choice for decision in rollout.decisions] for rollout in rollouts]
    return {
        "success": float(correct(samples).outcome.mean()),
        "rating": float(judged.values.mean()),
        "steps": float(np.mean([len(row) - row.count(ANSWER) for row in choices])),
        "wordy steps": float(np.mean([row.count(WORDY) for row in choices])),
    }


CLAIM = Claim(
    slug="ppr",
    says="Judged steps that are normalised by the outcome (p + o − 1) train a better agent than the outcome alone or than "
    "the raw sum, with which training lags or collapses.",
    hypothesis="With ReNorm both success and the judge's rating rise, and success is higher than with the raw sum, "
    "which pays failed rollouts for steps that please the judge. It is no lower than with the outcome alone.",
    setup="Four clues in a row and at most eight turns. A turn is the right step, a wrong one, a wrong one with many "
    "words, or the answer, which is right with probability 0.95 after all four clues, else 0.05; without one in time the "
    "rollout fails. The judge rates steps 0.6, 0.5 and 0.7, with noise of 0.1. A softmax over the four in each turn and "
    "number of clues, uniform at first, is trained by generalised advantages (γ = λ = 1, the batch's mean return at "
    "each turn as the value) for 150 steps of 64 rollouts.",
    arms=tuple(STRATEGIES),
    metrics={
        "success": "share of right answers on 1,000 fresh rollouts after training",
        "rating": "the judge's mean rating of a turn there, in [0, 1]",
        "success gained": "success after training less that before",
        "rating gained": "rating after training less that before",
        "steps": "steps a rollout, the answer not counted",
        "wordy steps": "wrong steps with many words, a rollout",
    },
    expect=(
        Expect("success", "ReNorm", "higher", "sum", margin=0.05),
        Expect("success", "ReNorm", "no_lower", "outcome only", margin=0.03),
        Expect("success gained", "ReNorm", "higher", 0.0),
        Expect("rating gained", "ReNorm", "higher", 0.0),
    ),
    experiment=experiment,
    tuning=Tuning([{"learning_rate": rate} for rate in (0.3, 1.0, 3.0)], "success"),
    axes={
        "success": ("training step", "share of right answers"),
        "rating": ("training step", "judge's rating of a turn"),
    },
    remark="p + o − 1 is the raw sum less a price of 1 a step, so at a fixed number of steps a critic makes the two "
    "equal; here the number is free. The raw sum doesn't collapse: success pays it 1 a step, far more than the judge's "
    "bias. ReNorm charges failed rollouts for each step, which while few succeed teaches to answer at once: one of "
    "the five seeds stays there, and its spread leaves the comparisons open. Both end up padding with wordy steps. The judge "
    "alone is hacked entirely. The formula is recalled, not checked against the paper.",
)
