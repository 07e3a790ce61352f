"""Clip and Delta: step rewards that are bounded whatever the number of steps.

Jiaxuan Gao et al., "On Designing Effective RL Reward at Training Time for LLM Reasoning", arXiv 2410.15115.
"""

from __future__ import annotations

from guerdon.claims.harness.claim import Claim, Expect, Run, Setting, Tuning
from guerdon.core.reward import Reward
from guerdon.credit import MinForm, rloo
from guerdon.lab.chain_practice import METRICS, practise_chains
from guerdon.lab.chain_rewards import HackableSteps, right_answer
from guerdon.lab.tabular import Practice
from guerdon.shape import StepClip, StepDelta

THRESHOLD = 0.8
WEIGHTS = (0.1, 0.3, 1.0)
RATES = (0.5, 2.0)
ARMS = ("success only", "steps summed", "clip", "delta", "clip and delta")


def make(arm: str, weight: float) -> Reward:
    """The reward of an arm: the outcome, and `weight` times its step rewards."""
    steps: Reward = HackableSteps(noise=0.05)
    if arm == "success only":
        return right_answer
    if arm.startswith("clip"):
        steps = steps | StepClip(THRESHOLD)
    if arm.endswith("delta"):
        steps = steps | StepDelta()
    return right_answer + weight * steps


def experiment(arm: str, setting: Setting, seed: int) -> Run:
    """Train one policy and measure it on fresh problems."""
    # Rewards to come of the objective itself: a baseline a token would make another objective of it.
    credit = rloo() if arm == "success only" else MinForm(form="sum", baseline="none")
    practice = Practice(steps=200, groups=8, group_size=8, learning_rate=setting["learning_rate"])
    reward = make(arm, setting.get("weight", 0.0))
    return Run(*practise_chains(reward, practice, credit=credit, seed=seed))


CLAIM = Claim(
    slug="rl-reward-clip-delta",
    says="Rewards of a process reward model added to success are hacked by repeating trivial steps; clipped and in "
    "differences they aren't, and training is no worse than with success alone.",
    hypothesis="Summed step rewards end in trivial lines; Clip, Delta and both together don't, and both together reach "
    "the success of success alone.",
    setup="Chains of three operations modulo 97, at most 12 lines, and a table policy that chooses between work (right "
    "with probability 0.95), trivial lines, stray lines, a repair and the answer. The process reward model gives work "
    "0.9, trivial lines 0.7 and wrong ones 0.2, with noise 0.05. 200 steps of 8 groups of 8; a line is credited "
    "with the leave-one-out advantage of the outcome and the sum of the step rewards from it on, without discount. Clip at 0.8. Every arm tries six "
    "settings: two rates with three weights of the steps, or six rates for success alone.",
    arms=ARMS,
    metrics=METRICS,
    expect=(
        Expect("trivial", "steps summed", "higher", "success only", margin=0.1),
        Expect("trivial", "clip and delta", "lower", "steps summed", margin=0.1),
        Expect("success", "clip and delta", "no_lower", "success only", margin=0.02),
    ),
    experiment=experiment,
    tuning=Tuning(
        [{"learning_rate": rate, "weight": weight} for rate in RATES for weight in WEIGHTS],
        "success",
        seeds=2,
        own={"success only": [{"learning_rate": rate} for rate in (0.2, 0.5, 1.0, 2.0, 3.0, 5.0)]},
    ),
    axes={name: ("training step", text) for name, text in (("success", "right answers"), ("lines", "lines"))},
    remark="Delta alone still writes trivial lines: the reward to come of a line is then its own score, and 0.7 without a "
    "baseline is more than nothing. It bounds the gain, and Clip takes it away. That clip and delta lose less than 0.02 of "
    "the success isn't shown, since one of five trainings fell behind.",
)
