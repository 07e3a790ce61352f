"""P2S: paying each step for how likely the rest of a path from the policy itself becomes, where no verifier is at hand.

"P2S: Probabilistic Process Supervision for General-Domain Reasoning Question Answering", arXiv 2601.20649.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from guerdon.claims.harness.claim import Claim, Expect, Run, Setting, Tuning
from guerdon.core.context import Context
from guerdon.core.reward import Reward, Scope
from guerdon.core.samples import Chat
from guerdon.core.signal import Score, Signal, Status, Value
from guerdon.core.tagged import last
from guerdon.credit import Estimator, StepGroupRelative, grpo
from guerdon.lab.fact_chains import FILLER, STOP, FactWriter, Lookup, lines_of
from guerdon.lab.tabular import Practice, Rollout, practise
from guerdon.models import AnswerProbability, PathFaithfulness

OUTCOME, LEVEL, GAIN = "answer probability", "PFR level", "PFR gain"
CANDIDATES = 4
HINT = 2.0
RATES, WEIGHTS = (1.0, 3.0), (0.1, 0.5)
STEPS, GROUPS, SIZE = 60, 8, 8


class OwnPath(Reward):
    """Path faithfulness to the best of some chains that the policy writes with a hint of the answer, for each group.

    Candidates are dropped that answer otherwise or state no fact. Of the others the one is the path after which the answer
    is likeliest without the hint; if none is left, the group gets no process reward, and nor does a chain without a line. The path ends with the mark before
    the answer, since otherwise its last step would be compared with itself.
    """

    name = "own_path"
    scope: Scope = "group"
    isolate = False

    def __init__(self, writer: FactWriter, process: PathFaithfulness, seed: int) -> None:
        self._writer, self._process = writer, process
        self._outcome = AnswerProbability(writer)
        self._rng = np.random.default_rng([seed, 2])

    def score_group(self, samples: Sequence[Chat], context: Context) -> Sequence[Value]:
        path = self._path(samples[0].extra["lookup"])
        unpaid = Score(dense=(), spans=())
        if path is None:
            return [unpaid] * len(samples)
        signal = self._process([replace(sample, reference=path) for sample in samples], context)
        return [
            unpaid if status == Status.ABSTAINED else signal.value(i)
            for i, status in enumerate(signal.status)
        ]

    def _path(self, lookup: Lookup) -> list[str] | None:
        drawn = [self._writer.write(lookup, self._rng, HINT).sample for _ in range(CANDIDATES)]
        kept = [chat for chat in drawn if right(chat) and set(lines_of(chat)) != {FILLER}]
        if not kept:
            return None
        best = kept[int(np.argmax(self._outcome(kept).outcome))]
        return [*lines_of(best), STOP]


def right(sample: Chat) -> bool:
    """Whether the answer is the reference. Only measures look at it."""
    block = last(sample.text, "answer")
    return block is not None and block.inner(sample.text) == sample.reference


def sound(sample: Chat) -> bool:
    """Whether a chain says in which city the asked person lives, and later in which country that is."""
    lookup: Lookup = sample.extra["lookup"]
    lines = [
        line for line in lines_of(sample) if line in (lookup.line(lookup.asked), lookup.line(lookup.city))
    ]
    return lines[:1] == [lookup.line(lookup.asked)] and lookup.line(lookup.city) in lines


def filler(sample: Chat) -> int:
    """Lines of a chain that say nothing."""
    return lines_of(sample).count(FILLER)


def bridged(sample: Chat) -> bool:
    """Whether a chain names the city in which the asked person lives."""
    return any(sample.extra["lookup"].city in line for line in lines_of(sample))


METRICS: Mapping[str, Callable[[Chat], float]] = {
    "accuracy": right,
    "bridge": bridged,
    "sound": sound,
    "filler": filler,
}


def make(arm: str, writer: FactWriter, weight: float, seed: int) -> tuple[Reward, Estimator]:
    """Reward and credit of an arm."""
    outcome = AnswerProbability(writer)
    if arm == OUTCOME:
        return outcome, grpo()
    process = PathFaithfulness(writer, form="gain" if arm == GAIN else "level")
    return outcome + OwnPath(writer, process, seed), StepGroupRelative(step_weight=weight)


def experiment(arm: str, setting: Setting, seed: int) -> Run:
    """Train one policy and measure it on fresh questions."""
    writer, rng = FactWriter(), np.random.default_rng([seed, 1])
    paid, credit = make(arm, writer, setting.get("weight", 0.0), seed)
    found = list[dict[str, float]]()

    def note(step: int, rollouts: list[Rollout], signal: Signal) -> None:
        if not signal.ok.all():
            raise ValueError(f"step {step}: {next(iter(signal.reasons.values()))}")
        found.append(measure([rollout.sample for rollout in rollouts]))

    practice = Practice(steps=STEPS, groups=GROUPS, group_size=SIZE, learning_rate=setting["learning_rate"])
    tasks = [Lookup.draw(rng) for _ in range(200)]
    practise(writer.policy, tasks, writer.play, paid, practice, credit=credit, seed=seed, on_step=note)
    fresh = [writer.write(Lookup.draw(rng), rng).sample for _ in range(1000)]
    while_training = {
        f"{name} while training": float(np.mean([row[name] for row in found])) for name in METRICS
    }
    return Run(
        {**measure(fresh), **while_training},
        {name: [(step, row[name]) for step, row in enumerate(found)] for name in METRICS},
    )


def measure(samples: Sequence[Chat]) -> dict[str, float]:
    """Of each of `METRICS` the mean over samples."""
    return {name: float(np.mean([*map(of, samples)])) for name, of in METRICS.items()}


CLAIM = Claim(
    slug="p2s",
    says="Without a verifier, rewards for the probability of the rest of a path that the policy itself wrote train better "
    "reasoning than the probability of the answer alone.",
    hypothesis="With the gain in path faithfulness chains are sound earlier than with the probability of the answer alone, "
    "and answers are no worse; the gain pays filler less than the level does.",
    setup="Twelve facts in a prompt, where six people live and in which of three countries six cities lie, and the country "
    "of one person is asked for. A table policy writes up to six lines: the fact about that person, the fact about what "
    "the last line named, another fact, filler, or the end; untrained it writes each of the leading facts at odds of 8 to "
    "11 against all others. The answer is read off the last fact and isn't trained. All probabilities are those of the live "
    f"policy. {STEPS} steps of {GROUPS} groups of {SIZE}. The path is the best of four chains that are written with a hint, "
    "under which a line that names the answer is e² times as likely; the untrained policy's states both facts in six of "
    "ten cases. Steps are aligned by their index, and step advantages are z-scores over the group that are summed to the end. "
    "Every arm tries four settings: two rates with two weights of the steps, or four rates without them.",
    arms=(OUTCOME, LEVEL, GAIN),
    metrics={
        "accuracy": "share of right answers on 1,000 fresh questions after training; a perfect chain has 0.9",
        "bridge": "share of those chains that name the city in between",
        "sound": "share of those that state where the person lives and then where that city lies",
        "filler": "lines of filler in a chain of those",
        **{
            f"{name} while training": f"{name} over all rollouts of training"
            for name in ("accuracy", "bridge", "sound", "filler")
        },
    },
    expect=(
        Expect("sound while training", GAIN, "higher", OUTCOME),
        Expect("accuracy", GAIN, "no_lower", OUTCOME, margin=0.03),
        Expect("filler while training", GAIN, "lower", LEVEL),
    ),
    experiment=experiment,
    tuning=Tuning(
        [{"learning_rate": rate, "weight": weight} for rate in RATES for weight in WEIGHTS],
        "accuracy while training",
        seeds=2,
        own={OUTCOME: [{"learning_rate": rate} for rate in (0.5, 1.0, 2.0, 3.0)]},
    ),
    axes={
        "accuracy": ("training step", "right answers"),
        "bridge": ("training step", "chains with the city"),
        "sound": ("training step", "sound chains"),
        "filler": ("training step", "lines of filler"),
    },
    remark="All arms learn the task within about ten steps, so little is left for a process reward to speed up: the gain "
    "doesn't differ from the probability of the answer alone, and in filler not from the level. Tuning chose the smaller weight "
    "of the steps for the gain and the larger one for the level, so the forms aren't compared at one weight, and the largest "
    "rate for all. Two things were settled after trials on other seeds, in which both forms did worse than the answer alone and "
    "which also had faults in code. The path ends with the mark before the answer: otherwise its last step is compared with "
    "itself, and a chain is paid for not yet writing it. And the untrained policy leads on more often: before, one path in "
    "twenty was right.",
)
