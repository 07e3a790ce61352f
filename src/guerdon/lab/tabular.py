"""A policy that is a table, and its training by policy gradient with any reward and any credit estimator.

A claim about a reward needs a learner that is small enough to run a hundred times. Here a decision plays the part
that a token plays in a language model, so rewards and estimators are the ones that a large policy is trained with.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from guerdon.core.context import Context
from guerdon.core.dense import Dense
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal
from guerdon.credit import Estimator, grpo

Floats: TypeAlias = NDArray[np.float64]
Prior: TypeAlias = Callable[[Hashable, int], Floats]


class Decision(NamedTuple):
    """One choice that a policy made, and the part (turn, step) of its sample that the choice belongs to."""

    state: Hashable
    choice: int
    part: int = 0


class TabularPolicy:
    """A softmax over numbered options in every state: `pi(a | s) = exp(z[s, a]) / Σ_b exp(z[s, b])`.

    `prior(state, options)` gives the logits (options,) of a state that is met for the first time, by default 0.
    """

    def __init__(self, prior: Prior | None = None) -> None:
        self._prior: Prior = prior or (lambda state, options: np.zeros(options))
        self._logits: dict[Hashable, Floats] = {}

    def probabilities(self, state: Hashable, options: int) -> Floats:
        """Of the `options` choices in `state` (options,). Raises `ValueError` where it had another number of them."""
        logits = self._logits.get(state)
        if logits is None:
            logits = self._logits[state] = np.array(self._prior(state, options), dtype=np.float64)
        if logits.shape != (options,):
            raise ValueError(f"options: state {state!r} has {logits.shape[0]} options, got {options}")
        return softmax(logits)

    def choose(self, state: Hashable, options: int, rng: np.random.Generator) -> int:
        """Draw a choice."""
        cumulative = np.cumsum(self.probabilities(state, options))
        return int(min(np.searchsorted(cumulative, rng.random() * cumulative[-1], "right"), options - 1))

    def improve(
        self, decisions: Sequence[Sequence[Decision]], advantages: NDArray[Any], learning_rate: float
    ) -> None:
        """One step up the policy gradient, averaged over the visits of each state.

            z[s] += learning_rate · Σ_{i,t: s_{i,t} = s} A_{i,t} · (onehot(a_{i,t}) − pi(· | s)) / visits(s)

        Averaging a state at a time lets rare states learn as fast as frequent ones; it changes the length of each
        state's step, never its direction.

        Args:
            decisions: of n samples, at most T each.
            advantages: (n, T); what lies behind a sample's last decision is ignored.
            learning_rate: above 0.
        """
        weights: dict[Hashable, list[tuple[int, float]]] = {}
        for row, values in zip(decisions, advantages, strict=True):
            for decision, advantage in zip(row, values, strict=False):
                weights.setdefault(decision.state, []).append((decision.choice, float(advantage)))
        for state, visits in weights.items():
            logits = self._logits[state]
            choices, values = zip(*visits, strict=True)
            pushed = np.bincount(choices, weights=values, minlength=logits.shape[0])
            logits += learning_rate * (pushed - sum(values) * softmax(logits)) / len(visits)


class Rollout(NamedTuple):
    """What a policy made of a task: the sample that is scored, and the decisions that led to it.

    `weights`: what the advantage of each decision is multiplied with, None for 1 each.
    """

    sample: Chat
    decisions: Sequence[Decision]
    weights: Sequence[float] | None = None


Play: TypeAlias = Callable[[Any, TabularPolicy, np.random.Generator], Rollout]
OnStep: TypeAlias = Callable[[int, list[Rollout], Signal], None]
Revise: TypeAlias = Callable[[list[Rollout], Signal], tuple[list[Rollout], Signal]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Practice:
    """How long and how fast to practise.

    `steps`: of the policy gradient · `groups`: tasks a step · `group_size`: rollouts a task · `learning_rate`.
    """

    steps: int = 200
    groups: int = 16
    group_size: int = 8
    learning_rate: float = 0.5

    def __post_init__(self) -> None:
        for name in ("steps", "groups", "group_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"Practice.{name}: expected at least 1, got {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ValueError(f"Practice.learning_rate: expected above 0, got {self.learning_rate}")


def practise(
    policy: TabularPolicy,
    tasks: Sequence[Any],
    play: Play,
    reward: Reward,
    practice: Practice | None = None,
    *,
    credit: Estimator | None = None,
    seed: int = 0,
    on_step: OnStep | None = None,
    revise: Revise | None = None,
) -> TabularPolicy:
    """Train `policy` on `tasks` in place: roll out, score, estimate advantages, step; and return it.

    Each step draws tasks, lets `play(task, policy, rng)` make `group_size` rollouts of each, scores them with
    `reward` (with the step and a generator in its context) and gives every decision the advantage that `credit`
    computes for it, by default `grpo()`. A sample that isn't OK has advantage 0. Value j of a sample's dense channel
    belongs to the decisions of part j. `on_step(step, rollouts, signal)` sees every step before its update. Behind it
    `revise(rollouts, signal)` may return others to learn from, as many and in the same groups, such as failures that a
    guide repaired. Equal arguments and seeds give equal policies.

    Raises `ValueError` without tasks, where no sample of a step gets a value, or where a dense value belongs to no
    decision.
    """
    if not tasks:
        raise ValueError("tasks: expected at least one")
    plan, estimate, rng = practice or Practice(), credit or grpo(), np.random.default_rng(seed)
    groups = np.repeat(np.arange(plan.groups), plan.group_size)
    for step in range(plan.steps):
        drawn = rng.integers(len(tasks), size=plan.groups)
        rollouts = [play(tasks[drawn[group]], policy, rng) for group in groups]
        rollouts = [
            rollout._replace(sample=replace(rollout.sample, group=int(group)))
            for rollout, group in zip(rollouts, groups, strict=True)
        ]
        samples = [rollout.sample for rollout in rollouts]
        signal = reward(samples, Context(step=step, total_steps=plan.steps, rng=rng))
        if not signal.ok.any():
            raise ValueError(
                f"reward: no sample of step {step} has a value; the first says: {signal.reasons.get(0, 'nothing')}"
            )
        if on_step is not None:
            on_step(step, rollouts, signal)
        if revise is not None:
            rollouts, signal = revise(rollouts, signal)
        decisions = [rollout.decisions for rollout in rollouts]
        lengths = np.array([len(row) for row in decisions])
        mask = np.arange(max(1, lengths.max())) < lengths[:, None]
        spans = None if signal.dense is None else _spans(signal.dense, decisions)
        advantages = estimate(signal, groups, mask, spans) * _weights(rollouts, mask)
        policy.improve(decisions, advantages, plan.learning_rate)
    return policy


def _weights(rollouts: Sequence[Rollout], mask: NDArray[np.bool_]) -> Floats:
    """Of the decisions (n, T)."""
    weights = mask.astype(np.float64)
    for i, rollout in enumerate(rollouts):
        if rollout.weights is not None:
            weights[i, : len(rollout.decisions)] = rollout.weights
    return weights


def _spans(dense: Dense, decisions: Sequence[Sequence[Decision]]) -> NDArray[np.int64]:
    """From the first to the last decision of each dense value's part (m, 2), half-open."""
    spans = np.empty((dense.values.size, 2), dtype=np.int64)
    for row, start, end in zip(decisions, dense.offsets[:-1], dense.offsets[1:], strict=True):
        for part in range(end - start):
            places = [place for place, decision in enumerate(row) if decision.part == part]
            if not places:
                raise ValueError(f"decisions: dense value {part} of a sample belongs to no decision")
            spans[start + part] = places[0], places[-1] + 1
    return spans


def softmax(logits: Floats) -> Floats:
    """Over the last axis."""
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)
