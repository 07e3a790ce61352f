"""OTC: a reward that counts tool calls makes a policy call as often as needed, and no more.

Hongru Wang et al., "Acting Less is Reasoning More! Teaching Model to Act Efficiently", arXiv 2504.14870.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from guerdon.claims.harness.claim import Claim, Expect, Run, Setting, Tuning
from guerdon.core.function import reward
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.lab.tabular import Decision, Practice, Rollout, TabularPolicy, practise
from guerdon.verify.tool_efficiency import ToolEfficiency, tool_productivity

MAX_CALLS = 6
STEPS = 200
NEEDS = (0, 1, 2, 3)


@reward
def correct(sample: Chat) -> float:
    """1 where the answer is the reference."""
    return float(sample.final == sample.reference)


def make_reward(arm: str) -> Reward:
    """The reward of an arm."""
    if arm == "outcome only":
        return correct
    return ToolEfficiency(correct, c=MAX_CALLS, mode="grpo" if arm == "OTC-GRPO" else "ppo")


def play(task: int, policy: TabularPolicy, rng: np.random.Generator) -> Rollout:
    """Make some calls, then answer: right with probability 0.95 where they cover the hidden need, and 0.1 where not."""
    calls = policy.choose(task, MAX_CALLS + 1, rng)
    right = rng.random() < (0.95 if calls >= task else 0.1)
    turns: list[Any] = []
    for _ in range(calls):
        call = {"type": "function", "function": {"name": "search", "arguments": {"query": str(task)}}}
        turns += [
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "name": "search", "content": "found"},
        ]
    turns.append({"role": "assistant", "content": "right" if right else "wrong"})
    return Rollout(Chat(f"question {task}", turns, reference="right"), [Decision(task, calls)])


def experiment(arm: str, setting: Setting, seed: int) -> Run:
    """Train one policy and measure it on fresh questions."""
    policy = TabularPolicy()
    curve = list[tuple[float, float]]()

    def note(step: int, rollouts: list[Rollout], signal: Any) -> None:
        if step % 10 == 0:
            curve.append((step, float(np.mean([r.decisions[0].choice for r in rollouts]))))

    practice = Practice(steps=STEPS, groups=8, group_size=8, learning_rate=setting["learning_rate"])
    practise(policy, NEEDS, play, make_reward(arm), practice, seed=seed, on_step=note)
    rng = np.random.default_rng([seed, 1])
    needs = rng.choice(NEEDS, size=2000)
    rollouts = [play(int(need), policy, rng) for need in needs]
    calls = np.array([r.decisions[0].choice for r in rollouts])
    right = np.array([r.sample.final == "right" for r in rollouts])
    return Run(
        {
            "accuracy": float(right.mean()),
            "calls": float(calls.mean()),
            "excess": float(np.maximum(calls - needs, 0).mean()),
            "productivity": tool_productivity(right, calls),
        },
        {"calls": curve},
    )


CLAIM = Claim(
    slug="otc-po",
    says="Scaling the outcome reward by tool efficiency cuts tool calls by a large factor at comparable accuracy.",
    hypothesis="OTC-GRPO makes fewer calls than it would with the outcome alone, and is no less accurate.",
    setup="Questions with a hidden need of 0 to 3 calls; 0 to 6 are possible. The answer is right with probability 0.95 "
    "where the calls cover the need, and 0.1 where not. A softmax over the number of calls for each need is trained "
    "with GRPO for 200 steps of 8 groups of 8. OTC-GRPO compares with the fewest calls among the correct answers of "
    "the group, OTC-PPO counts calls by themselves.",
    arms=("OTC-GRPO", "OTC-PPO", "outcome only"),
    metrics={
        "accuracy": "share of right answers on 2,000 fresh questions",
        "calls": "mean number of calls; 1.5 are needed on average",
        "excess": "mean number of calls beyond the need",
        "productivity": "right answers per call",
    },
    expect=(
        Expect("calls", "OTC-GRPO", "lower", "outcome only", margin=0.5),
        Expect("accuracy", "OTC-GRPO", "no_lower", "outcome only", margin=0.03),
    ),
    experiment=experiment,
    tuning=Tuning([{"learning_rate": rate} for rate in (0.1, 0.3, 1.0)], "accuracy"),
    axes={"calls": ("training step", "calls a question")},
)
