"""Self-aligned reward: paying for what an answer takes from its question makes answers shorter, not poorer.

"Self-Aligned Reward: Towards Effective and Efficient Reasoners", arXiv 2509.05489, repository
amazon-science/Self-Aligned-Reward-Towards_Effective_and_Efficient_Reasoners.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.claims.harness.claim import Claim, Expect, Run, Setting, Tuning
from guerdon.core.context import Context
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal
from guerdon.credit import dr_grpo
from guerdon.lab.chain_rewards import right_answer
from guerdon.lab.chains import Chain, Chains
from guerdon.lab.characters import character_tokenizer
from guerdon.lab.implicit_fitting import Fitting, fitted_to_likelihood
from guerdon.lab.policy import make_model
from guerdon.lab.tabular import Decision, Practice, Rollout, TabularPolicy, practise
from guerdon.lab.world import Task
from guerdon.models import CausalLogProbs, SelfAligned
from guerdon.models.self_aligned import Form
from guerdon.shape import SavingOverMean
from guerdon.verify.length import UnitCount

WORLD, OPERATIONS = Chains(2, 5), 2
PROBLEMS, DEMONSTRATIONS = 16, 6_400
WRITTEN, IN_HEAD = 0.98, 0.9  # how often an operation comes out right
OUTCOME, ALIGNED, ALONE = "outcome only", "self-aligned", "self-aligned alone"
ENTROPY, LENGTH = "entropy", "length penalty"
ORDER = ("concise", "padded", "partly right", "unrelated")
WEIGHT = 0.2  # the published one, for all that is added to the outcome


def write(chain: Chain, kept: Sequence[bool], idle: Sequence[bool], slips: Sequence[int]) -> str:
    """A solution that writes only the operations kept out, with idle lines before them and before the answer.

    `slips`: what is added to each result, 0 where it is right.
    """
    value, lines = chain.start, list[str]()
    for operation, keep, filled, slip in zip(chain.operations, kept, idle, slips, strict=False):
        if filled:
            lines.append(f"{value}+0={value}")
        result = (chain.result(value, operation) + slip) % chain.modulus
        if keep:
            lines.append(f"{value}{operation.symbol}{operation.number}={result}")
        value = result
    return "\n".join([*lines, *([f"{value}+0={value}"] if idle[-1] else []), f"answer {value}"])


def talkative(state: Any, options: int) -> NDArray[np.float64]:
    """The untrained policy: an idle line at every second place, and seven of eight operations written out."""
    return np.array([0.0, 2.0 if state[0] == "write" else 0.0])


def play(task: Task, policy: TabularPolicy, rng: np.random.Generator) -> Rollout:
    """For each operation: an idle line or none, then write it out or do it in the head."""
    decisions, slips = list[Decision](), list[int]()
    for place in range(OPERATIONS + 1):
        decisions.append(Decision(("idle", place), policy.choose(("idle", place), 2, rng)))
        if place < OPERATIONS:
            decisions.append(Decision(("write", place), policy.choose(("write", place), 2, rng)))
            skill = WRITTEN if decisions[-1].choice else IN_HEAD
            slips.append(0 if rng.random() < skill else int(rng.integers(1, WORLD.modulus)))
    kept, idle = chosen(decisions, "write"), chosen(decisions, "idle")
    return Rollout(task.chat(write(Chain.of(task.chat("")), kept, idle, slips)), decisions)


def chosen(decisions: Sequence[Decision], kind: str) -> list[bool]:
    """The choices of a kind."""
    return [bool(d.choice) for d in decisions if isinstance(d.state, tuple) and d.state[0] == kind]


@cache
def language_model(seed: int) -> CausalLogProbs:
    """A model that imitates the untrained policy; a fifth of its texts stand without their question."""
    rng, untrained = np.random.default_rng([seed, 2]), TabularPolicy(talkative)
    samples = [play(task, untrained, rng).sample for task in WORLD.tasks(DEMONSTRATIONS, 10**6 + seed)]
    tokenizer = character_tokenizer(text for s in samples for text in (Chain.of(s).text, s.text))
    empty = [{"role": "user", "content": ""}]
    seen = [s if rng.random() < 0.8 else replace(s, prompt=empty) for s in samples]
    model = make_model(tokenizer, seed, layers=2, width=64)
    return CausalLogProbs(
        fitted_to_likelihood(model, tokenizer, seen, Fitting(learning_rate=5e-3), seed=seed), tokenizer
    )


class Remembered(Reward):
    """A reward of texts of which there are few: each is scored once."""

    name = "remembered"
    isolate = False

    def __init__(self, inner: Reward) -> None:
        self._inner, self._known = inner, dict[tuple[str, str], float]()

    def score_batch(self, samples: Sequence[Chat], context: Context) -> Signal:
        keys = [(Chain.of(sample).text, sample.text) for sample in samples]
        new = {key: s for key, s in zip(keys, samples, strict=True) if key not in self._known}
        if new:
            self._known |= zip(new, self._inner(list(new.values())).outcome.tolist(), strict=True)
        return Signal(np.array([self._known[key] for key in keys]))


def extra(arm: str, seed: int) -> Reward | None:
    """What an arm pays beside the outcome."""
    forms: Mapping[str, Form] = {ALIGNED: "relative", ALONE: "relative", ENTROPY: "absolute"}
    if arm in forms:
        return Remembered(SelfAligned(language_model(seed), form=forms[arm]))
    return UnitCount("characters") | SavingOverMean() if arm == LENGTH else None


Maker = Callable[[Chain, Chain], str]
ALL, NONE, RIGHT = (True,) * OPERATIONS, (False,) * (OPERATIONS + 1), (0,) * OPERATIONS
VERSIONS: Mapping[str, Maker] = {
    "concise": lambda chain, other: write(chain, ALL, NONE, RIGHT),
    "padded": lambda chain, other: write(chain, ALL, (True,) * (OPERATIONS + 1), RIGHT),
    "partly right": lambda chain, other: write(
        chain._replace(operations=(chain.operations[0], other.operations[1])), ALL, NONE, RIGHT
    ),
    "unrelated": lambda chain, other: write(other, ALL, NONE, RIGHT),
    "slip": lambda chain, other: write(chain, ALL, NONE, (1, 0)),
}


def means_of_versions(reward: Reward, seed: int, problems: int = 200) -> dict[str, float]:
    """The mean reward of each version of an answer; the versions of one problem are a group."""
    rng, samples = random.Random(seed), list[Chat]()
    for group, task in enumerate(WORLD.tasks(problems, 2 * 10**6 + seed)):
        chain = Chain.of(task.chat(""))
        other = next(o for o in iter(lambda: Chain.of(WORLD.draw(rng).chat("")), None) if _differs(o, chain))
        samples += [replace(task.chat(make(chain, other)), group=group) for make in VERSIONS.values()]
    means = reward(samples).outcome.reshape(problems, len(VERSIONS)).mean(axis=0)
    return dict(zip(VERSIONS, means.tolist(), strict=True))


def _differs(other: Chain, chain: Chain) -> bool:
    return other.start != chain.start and all(
        a != b for a, b in zip(other.operations, chain.operations, strict=True)
    )


def experiment(arm: str, setting: Setting, seed: int) -> Run:
    """Train one policy and measure it on fresh problems, and the arm's reward on versions of answers."""
    besides = extra(arm, seed)
    paid: Reward = right_answer
    if besides is not None:
        paid = WEIGHT * besides if arm == ALONE else right_answer + WEIGHT * besides
    policy, curve = TabularPolicy(talkative), list[tuple[float, float]]()

    def note(step: int, rollouts: list[Rollout], signal: Signal) -> None:
        if step % 10 == 0:
            curve.append((step, float(right_answer([r.sample for r in rollouts]).outcome.mean())))

    practice = Practice(steps=200, groups=8, group_size=8, learning_rate=setting["learning_rate"])
    tasks = WORLD.tasks(PROBLEMS, seed)
    practise(policy, tasks, play, paid, practice, credit=dr_grpo(), seed=seed, on_step=note)
    rng = np.random.default_rng([seed, 1])
    played = [play(task, policy, rng) for task in WORLD.tasks(2000, 3 * 10**6 + seed)]
    means = means_of_versions(right_answer if besides is None else besides, seed)
    return Run(
        {
            "success": float(right_answer([r.sample for r in played]).outcome.mean()),
            "idle lines": float(np.mean([sum(chosen(r.decisions, "idle")) for r in played])),
            "written out": float(np.mean([np.mean(chosen(r.decisions, "write")) for r in played])),
            "characters": float(np.mean([len(r.sample.text) for r in played])),
            "smallest gap": min(means[a] - means[b] for a, b in pairwise(ORDER)),
            **{f"reward, {name}": mean for name, mean in means.items()},
        },
        {"success": curve},
    )


CLAIM = Claim(
    slug="sar",
    says="Rewarding the relative drop in perplexity that the question brings, beside correctness, makes answers shorter and "
    "no less accurate, where a penalty on length costs accuracy.",
    hypothesis="The self-aligned reward ranks concise answers above padded ones, those above partly right ones, and those "
    "above unrelated ones. Added to the outcome it removes idle lines without loss of success, and keeps needed steps that "
    "a length penalty removes.",
    setup="Chains of two operations modulo 5. A table policy decides for each of three places whether to write an idle line "
    "(`2+0=2`), and for each operation whether to write it out, right with probability 0.98, or to do it in the head, right "
    "with probability 0.9; untrained it writes 1.5 idle lines and 7 of 8 operations. A language model over characters of two "
    "layers, fine-tuned on 6,400 answers of the untrained policy, a fifth of them without their question, gives the "
    "perplexities; it stays as it is. 200 steps of 8 groups of 8 on 16 problems, advantages without std, and a weight of 0.2 "
    "for whatever is added to the outcome: the self-aligned reward; its `absolute` form, which is entropy minimisation; how "
    "much shorter than the mean of the group an answer is. Versions of answers to 200 problems: concise; padded with three "
    "idle lines; partly right, whose second operation is another; unrelated, the answer to another question; and slip, whose "
    "first result is wrong.",
    arms=(ALIGNED, OUTCOME, LENGTH, ENTROPY, ALONE),
    metrics={
        "success": "share of right answers on 2,000 fresh problems",
        "idle lines": "mean number of lines that change nothing, of 3 possible",
        "written out": "share of the operations that are written out",
        "characters": "mean length of an answer",
        "smallest gap": "of the mean rewards of concise, padded, partly right and unrelated answers, the smallest difference of "
        "neighbours; above 0 where they are in this order. Of what is added to the outcome, or of the outcome alone",
        **{f"reward, {name}": f"mean of the same reward, {name} answers" for name in VERSIONS},
    },
    expect=(
        Expect("smallest gap", ALIGNED, "higher", 0.0),
        Expect("idle lines", ALIGNED, "lower", OUTCOME, margin=0.25),
        Expect("success", ALIGNED, "no_lower", OUTCOME, margin=0.02),
        Expect("written out", ALIGNED, "higher", LENGTH, margin=0.05),
    ),
    experiment=experiment,
    tuning=Tuning([{"learning_rate": rate} for rate in (2.0, 8.0)], "success", seeds=2),
    axes={"success": ("training step", "right answers")},
    remark="The reward sees what an answer takes from its question, not whether it is right: a wrong result follows as well "
    "from its own line as a right one does, so an answer with a slip is paid more than a padded right one. Entropy minimisation "
    "prefers padded answers. Alone the reward doesn't collapse as in the paper, for this policy can't write answers that "
    "are both short and wrong. What the length penalty destroys depends on its weight, which is the published one and wasn't "
    "tuned: in a trial on another seed with half of it the steps stayed and idle lines went, further than with the self-aligned "
    "reward. A slower rate than the one that was chosen for it takes it only part of the way in 200 steps. The language "
    "model isn't trained along with the policy.",
)
