"""SCOPE: failures that a guide repairs from their first wrong step on give a signal to groups that have none.

"Recycling Failures: Salvaging Exploration in RLVR via Fine-Grained Off-Policy Guidance" (SCOPE), arXiv 2602.24110.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from guerdon.claims.harness.claim import Claim, Expect, Run, Setting, Tuning
from guerdon.core.context import Context
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.segmenters import lines
from guerdon.core.segments import Segments
from guerdon.core.signal import Signal
from guerdon.credit import Estimator, StepGroupRelative, grpo
from guerdon.lab.chain_decisions import read_decisions
from guerdon.lab.chain_practice import BEGINNER, measured
from guerdon.lab.chain_rewards import ExactSteps, right_answer
from guerdon.lab.chain_writer import CHOICES, ChainWriter, Choice, habits, read
from guerdon.lab.chains import Chain, Chains, check_steps
from guerdon.lab.tabular import Decision, Practice, Rollout, TabularPolicy, practise
from guerdon.train import Draft, Recycling, off_policy_loss, recycle

OPERATIONS, SKILL, LONGEST = 10, 0.9, 20
STEPS, GROUPS, GROUP_SIZE = 40, 8, 8
PROBLEMS, DRAWN = 40, 16
NOISE = 0.2
OUTCOME, WHOLE, SPLICE, STEPWISE = "outcome only", "full replacement", "splice", "PRM as reward"
NOISY_SPLICE, NOISY_STEPWISE = "splice, noisy PRM", "PRM as reward, noisy"


def step_writer(drafts: Sequence[Draft]) -> list[Segments]:
    """A guide that carries out what is left of each chain without a slip."""
    return [_carried_on(draft) for draft in drafts]


def _carried_on(draft: Draft) -> Segments:
    chain, writer, rng = Chain.of(draft.sample), ChainWriter(skill=1.0), np.random.default_rng(0)
    written = draft.prefix.splitlines()
    kept, progress = len(written), read(chain, tuple(written))
    while not progress.ended:
        written.append(writer.line(progress, Choice.WORK, rng))
        progress.read(written[-1])
    return tokens(chain, "\n".join(written), kept)


def tokens(chain: Chain, text: str, start: int = 0) -> Segments:
    """The lines of a solution from line `start` on, a token each, whose id is the choice."""
    spans = np.reshape(lines(text), (-1, 2))[start:]
    begin = int(spans[0, 0]) if len(spans) else len(text)
    ids = [decision.choice for decision in read_decisions(chain, text)[start:]]
    return Segments.from_offsets(ids, text[begin:], spans - begin)


def lines_as_tokens(sample: Chat) -> Segments:
    """The tokens of a rollout."""
    return tokens(Chain.of(sample), sample.text)


class Repairs:
    """Puts repaired rollouts in the place of failures, for `practise`, and notes how many groups have none right."""

    def __init__(self, policy: TabularPolicy, options: Recycling | None, noise: float, seed: int) -> None:
        self.silent = list[float]()
        self._policy, self._options, self._process = policy, options, ExactSteps(noise)
        self._rng = np.random.default_rng([seed, 2])

    def __call__(self, rollouts: list[Rollout], signal: Signal) -> tuple[list[Rollout], Signal]:
        if self._options is not None:
            rollouts, signal = self._repaired(rollouts, signal, self._options)
        right = signal.outcome.reshape(GROUPS, GROUP_SIZE).any(axis=1)
        self.silent.append(1.0 - float(right.mean()))
        return rollouts, signal

    def _repaired(
        self, rollouts: list[Rollout], signal: Signal, options: Recycling
    ) -> tuple[list[Rollout], Signal]:
        samples = [rollout.sample for rollout in rollouts]
        process = self._process(samples, Context(rng=self._rng))
        found = recycle(samples, signal, process, step_writer, right_answer, lines_as_tokens, options)
        learned = list(rollouts)
        for i, repair in found.repairs.items():
            sample, own = found.samples[i], rollouts[i].decisions[: repair.kept]
            guided = read_decisions(Chain.of(sample), sample.text)[repair.kept :]
            learned[i] = Rollout(sample, [*own, *guided], [*[1.0] * len(own), *self._slopes(guided)])
        return learned, found.signal

    def _slopes(self, decisions: Sequence[Decision]) -> list[float]:
        """What stands before ∇ log π in the gradient of the guide's tokens: f'(u) · u = f · (1 − f), f = u / (u + γ)."""
        chosen = [self._policy.probabilities(d.state, CHOICES)[d.choice] for d in decisions]
        shaped = -off_policy_loss(np.log(chosen), np.ones(len(chosen)))
        return (shaped * (1.0 - shaped)).tolist()


def make(arm: str, weight: float) -> tuple[Reward, Estimator, Recycling | None, float]:
    """Reward, credit and repairs of an arm, and how often its process reward model is wrong."""
    noise = NOISE if "noisy" in arm else 0.0
    if arm.startswith(STEPWISE):
        return right_answer + ExactSteps(noise), StepGroupRelative(step_weight=weight), None, noise
    if arm == OUTCOME:
        return right_answer, grpo(), None, noise
    return right_answer, grpo(), Recycling(max_successes=0, whole=arm == WHOLE), noise


def solved(rollout: Rollout) -> bool:
    """Whether its answer is right."""
    return check_steps(Chain.of(rollout.sample), rollout.sample.text).answered


def experiment(arm: str, setting: Setting, seed: int) -> Run:
    """Train one policy and measure it on fresh problems."""
    reward, credit, options, noise = make(arm, setting.get("weight", 0.0))
    world, writer, policy = (
        Chains(OPERATIONS, 97),
        ChainWriter(SKILL, LONGEST),
        TabularPolicy(habits(BEGINNER)),
    )
    repairs, success = Repairs(policy, options, noise, seed), list[tuple[float, float]]()

    def note(step: int, rollouts: list[Rollout], signal: Signal) -> None:
        success.append((step, float(np.mean([solved(rollout) for rollout in rollouts]))))

    practice = Practice(
        steps=STEPS, groups=GROUPS, group_size=GROUP_SIZE, learning_rate=setting["learning_rate"]
    )
    practise(
        policy,
        world.tasks(200, seed),
        writer.play,
        reward,
        practice,
        credit=credit,
        seed=seed,
        on_step=note,
        revise=repairs,
    )
    rng = np.random.default_rng([seed, 1])
    played = [
        [writer.play(task, policy, rng) for _ in range(DRAWN)] for task in world.tasks(PROBLEMS, 10**6 + seed)
    ]
    found = measured([rollout.sample for group in played for rollout in group])
    right = [{r.sample.text for r in group if solved(r)} for group in played]
    return Run(
        {
            **found,
            "success while training": float(np.mean([share for _, share in success])),
            "silent groups": float(np.mean(repairs.silent)),
            "distinct": float(np.mean([len({r.sample.text for r in group}) for group in played])),
            "distinct right": float(np.mean([len(texts) for texts in right])),
        },
        {"success": success, "silent": list(enumerate(repairs.silent))},
    )


RATES = (1.0, 2.0, 4.0, 8.0)
STEP_SETTINGS = [{"learning_rate": rate, "weight": weight} for rate in (1.0, 4.0) for weight in (0.1, 1.0)]

CLAIM = Claim(
    slug="scope-recycling",
    says="Failures repaired from their first wrong step on train better than the outcome alone and than process rewards, "
    "and leave more variety than whole solutions of a guide.",
    hypothesis="On problems that the policy nearly never solves, splicing gets more answers right after as many updates "
    "than the outcome alone and than rewards of the steps, which noise makes worse; and its solutions differ more than "
    "after full replacement.",
    setup="Chains of ten operations modulo 97, at most 20 lines; a table policy chooses between work (right with "
    "probability 0.9), trivial lines, stray lines, a repair and the answer, and begins with about 0.02 right. 40 steps of "
    "GRPO on 8 groups of 8. In a group without a right answer the failure with the longest right part, at least half of "
    "it, is repaired: a guide that makes no slip goes on from its first wrong line (splice), or writes all of it (full "
    "replacement). Lines of the guide have the shaped ratio u / (u + 0.1). The process reward model is the truth, or "
    "wrong about 0.2 of the lines (noisy); as reward its steps are normalised over the group and summed from each "
    "line on. Every arm tries four settings: four rates, or two rates with two weights of the steps.",
    arms=(SPLICE, NOISY_SPLICE, WHOLE, STEPWISE, NOISY_STEPWISE, OUTCOME),
    metrics={
        "success": "share of right answers of the trained policy, 16 on each of 40 fresh problems",
        "success while training": "mean share of right answers of the policy's own rollouts over all steps",
        "silent groups": "share of groups without a right answer behind the repairs, over all steps",
        "distinct": "different solutions among 16 of a problem, right or wrong",
        "distinct right": "different right solutions among 16 of a problem",
        "lines": "mean number of lines; 11 are needed, 20 are possible",
        "trivial": "share of lines that change nothing",
    },
    expect=(
        Expect("success", SPLICE, "higher", OUTCOME, margin=0.03),
        Expect("success", SPLICE, "higher", STEPWISE),
        Expect("success", NOISY_STEPWISE, "lower", STEPWISE),
        Expect("distinct", SPLICE, "higher", WHOLE),
    ),
    experiment=experiment,
    tuning=Tuning(
        [{"learning_rate": rate} for rate in RATES],
        "success",
        seeds=2,
        own={STEPWISE: STEP_SETTINGS, NOISY_STEPWISE: STEP_SETTINGS},
    ),
    axes={
        "success": ("training step", "right answers"),
        "silent": ("training step", "groups without a right answer"),
    },
    remark="Repairs leave almost no group without a right answer, where it is a fifth with the outcome alone. What that "
    "brings can't be told apart from chance: success after a fixed number of steps differs by 0.2 and more between five seeds. "
    "Lines of a guide weigh at most a quarter of the policy's own under the shaped ratio. Noise did the step "
    "rewards no harm, and the reverse would be no surprise: labels that are flipped at random favour no kind of line, and "
    "tuning gave the noisy arm the higher rate. Splice and full replacement leave the same variety. Wrong solutions nearly "
    "always differ, so that `distinct` favours whoever fails; `distinct right` shows no difference either. A table of "
    "22 states shares what it learns between all problems; silent groups cost a model more than they cost it.",
)
