"""PURE: a minimum over step rewards to come can't be pushed up by more steps, as their sum can.

Jie Cheng et al., "Stop Summation: Min-Form Credit Assignment Is All Process Reward Model Needs for Reasoning", arXiv
2504.15275.
"""

from __future__ import annotations

from guerdon.claims.harness.claim import Claim, Expect, Run, Setting, Tuning
from guerdon.core.predicates import ExtraEquals
from guerdon.core.reward import Reward
from guerdon.credit import Estimator, MinForm, rloo
from guerdon.lab.chain_practice import METRICS, practise_chains
from guerdon.lab.chain_rewards import HackableSteps, right_answer
from guerdon.lab.chains import StepKind
from guerdon.lab.tabular import Practice
from guerdon.shape import Affine

GOOD, FILLER, WRONG = 0.8, 0.75, 0.1
"""Probabilities of being good, so that `p(good) − p(bad)` is 0.6, 0.5 and −0.8."""
SCORES = {
    StepKind.RIGHT: GOOD,
    StepKind.REPAIR: GOOD,
    StepKind.ANSWER: GOOD,
    StepKind.TRIVIAL: FILLER,
    StepKind.SLIP: WRONG,
    StepKind.OTHER: WRONG,
}


def make(arm: str) -> tuple[Reward, Estimator]:
    """Reward and credit of an arm."""
    steps = HackableSteps(SCORES) | Affine(2.0, -1.0, channel="dense")
    if arm == "outcome only":
        return right_answer, rloo()
    baseline = "none" if arm.endswith("no baseline") else "token"
    if arm.startswith("sum form"):
        return steps, MinForm(form="sum", baseline=baseline)
    if not arm.endswith("verified"):
        return steps, MinForm(baseline=baseline)
    return steps + right_answer.when(ExtraEquals("verified", True)), MinForm()


def experiment(arm: str, setting: Setting, seed: int) -> Run:
    """Train one policy and measure it on fresh problems."""
    reward, credit = make(arm)
    practice = Practice(steps=200, groups=8, group_size=8, learning_rate=setting["learning_rate"])
    return Run(*practise_chains(reward, practice, credit=credit, seed=seed, verified=0.1))


CLAIM = Claim(
    slug="pure-min-form",
    says="With step rewards of a process reward model, training collapses if returns are sums, and not if they are "
    "minima.",
    hypothesis="Under a process reward model that likes filler nearly as much as work, the sum form writes filler until "
    "it is cut off; the min form stays short and gets more answers right, and a tenth of verified answers adds to that.",
    setup="Chains of three operations modulo 97, a line a step, at most 12 lines; a table policy chooses between work "
    "(right with probability 0.95), filler, a stray line, a repair and the answer. The process reward model looks at "
    "each line alone: work 0.6, filler 0.5, wrong −0.8. 200 steps of 8 groups of 8. Min form: softmin at "
    "temperature 0.1; both forms with the repository's baseline, the mean reward of a token in the group's other "
    "solutions, and without a baseline. Verified: the outcome of a tenth of the problems as well.",
    arms=(
        "min form",
        "min form, a tenth verified",
        "sum form",
        "min form, no baseline",
        "sum form, no baseline",
        "outcome only",
    ),
    metrics=METRICS,
    expect=(
        Expect("success", "min form", "higher", "sum form", margin=0.1),
        Expect("trivial", "min form, no baseline", "lower", "sum form, no baseline", margin=0.1),
        Expect("success", "min form, a tenth verified", "higher", "min form"),
    ),
    experiment=experiment,
    tuning=Tuning([{"learning_rate": rate} for rate in (0.5, 2.0)], "success", seeds=2),
    axes={name: ("training step", text) for name, text in (("success", "right answers"), ("lines", "lines"))},
    remark="Without a baseline it is as the paper says: the sum form fills all twelve lines, the min form doesn't. With the "
    "repository's own baseline, the average reward of a token, filler pays less than average and the sum form keeps short "
    "as well. So here the collapse comes from a return that is positive for any further line, and a baseline for each "
    "token cures it too, as long as filler is rated below average. The policy is a table of ten states and the reward "
    "model doesn't drift, so this can't show what training a language model for long would find to exploit. A tenth of "
    "verified answers adds little: the reward model never calls a step wrong that isn't.",
)
