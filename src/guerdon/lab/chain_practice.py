"""One training of a table policy on chains, and what it came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal
from guerdon.credit import Estimator
from guerdon.lab.chain_writer import ChainWriter, Choice, habits
from guerdon.lab.chains import Chain, Chains, StepKind, check_steps
from guerdon.lab.tabular import Practice, Rollout, TabularPolicy, practise

BEGINNER: Mapping[Choice, float] = {
    Choice.WORK: 1.0,
    Choice.TRIVIAL: 0.0,
    Choice.STRAY: -0.5,
    Choice.REPAIR: -0.5,
    Choice.ANSWER: 0.0,
}
"""A policy that mostly goes on, often idly, and answers before it is done as often as not."""
METRICS: Mapping[str, str] = {
    "success": "share of right answers on 1,000 fresh problems",
    "lines": "mean number of lines; 4 are needed, 12 are possible",
    "trivial": "share of lines that change nothing",
}


def practise_chains(
    reward: Reward,
    practice: Practice,
    *,
    credit: Estimator | None = None,
    seed: int,
    skill: float = 0.95,
    verified: float = 1.0,
) -> tuple[dict[str, float], dict[str, list[tuple[float, float]]]]:
    """Train a beginner on chains of three operations; `METRICS` of the trained policy, and the same while it trained.

    `skill`: see `ChainWriter` · `verified`: share of the problems whose column `verified` is true.
    """
    world, writer = Chains(3, 97), ChainWriter(skill)
    rng = np.random.default_rng([seed, 1])
    tasks = [
        replace(task, extra={**task.extra, "verified": bool(rng.random() < verified)})
        for task in world.tasks(200, seed)
    ]
    policy, curves = TabularPolicy(habits(BEGINNER)), {name: list[tuple[float, float]]() for name in METRICS}

    def note(step: int, rollouts: list[Rollout], signal: Signal) -> None:
        if step % 10 == 0:
            for name, value in measured([rollout.sample for rollout in rollouts]).items():
                curves[name].append((step, value))

    practise(policy, tasks, writer.play, reward, practice, credit=credit, seed=seed, on_step=note)
    played = [writer.play(task, policy, rng).sample for task in world.tasks(1000, 10**6 + seed)]
    return measured(played), curves


def measured(samples: Sequence[Chat]) -> dict[str, float]:
    """`METRICS` of samples of chains."""
    checks = [check_steps(Chain.of(sample), sample.text) for sample in samples]
    kinds = [step.kind for check in checks for step in check.steps]
    return {
        "success": float(np.mean([check.answered for check in checks])),
        "lines": len(kinds) / len(checks),
        "trivial": sum(kind is StepKind.TRIVIAL for kind in kinds) / max(1, len(kinds)),
    }
