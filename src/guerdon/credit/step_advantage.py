"""Credit for progress: what a step changes in the prospects of a prover, another policy that goes on from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_choice, check_number
from guerdon.core.registry import register
from guerdon.core.signal import Signal
from guerdon.credit.estimators import GroupRelative, StepEstimator, Steps, check_dtype
from guerdon.credit.group_relative import Baseline, Singleton
from guerdon.credit.returns import discounted_returns, open_rows
from guerdon.credit.spread import spread_steps
from guerdon.shape.arrays import Array, check_finite, companion, floating

Reach: TypeAlias = Literal["own", "to_go"]
REACHES: tuple[Reach, ...] = get_args(Reach)


def step_advantages(
    q: Array, initial: Array, mask: Array | None = None, *, offsets: Array | None = None
) -> Array:
    """Advantage of each step under a prover, where a step leads to one state only.

        A_h = Q_h − Q_{h−1},    Q_0 = initial          in [−1, 1] for probabilities

    `Q_h` is the probability that the prover ends in the right answer when it goes on after step h. The sign is current
    minus *previous*, and is kept: clipping at 0 pays for a mistake and its repair. Rows sum to `Q_last − initial`. The
    difference of two Monte Carlo estimates has the variance of both: fit a verifier first.

    Args:
        q: (B, T), or (m,) with `offsets`.
        initial: (B,) or (n,) the prover's prospects before any step; they aren't 0.
        mask: (B, T) steps that exist; all by default.
        offsets: (n+1,) row offsets of ragged rows.

    Returns:
        Like `q`; 0 outside the mask. In torch the graph of `q` is kept.

    Raises:
        ValueError: on shapes that don't fit, NaN or infinity in a step that exists or in `initial`, or both `mask` and
            `offsets`.

    Amrith Setlur et al., "Rewarding Progress: Scaling Automated Process Verifiers for LLM Reasoning", arXiv 2410.08146.
    """
    rows = open_rows(q, mask, offsets)
    xp, values = rows.xp, rows.rewards
    before = xp.astype(companion(initial, values, "initial", tuple(rows.lengths.shape)), values.dtype)
    check_finite(before, "initial")
    previous = xp.roll(values, 1)
    filled = rows.lengths > 0
    previous[(xp.cumulative_sum(rows.lengths) - rows.lengths)[filled]] = before[filled]
    return rows.close(values - previous)


def effective_rewards(q: Array, advantages: Array, alpha: float = 3.0) -> Array:
    """Reward of a step: `Q^π_h + alpha · A^μ_h`, the prospects of the policy plus the progress for the prover.

    Args:
        q: (…) under the policy that is trained.
        advantages: like `q`, `step_advantages` under the prover.
        alpha: >= 0; it weighs progress alone. The paper trains a model of 2B parameters with 5, one of 9B with 3,
            and searches with about 0.5.

    Returns:
        Like `q`.

    Raises:
        ValueError: on shapes that differ, numbers that aren't finite, or alpha out of range.

    Amrith Setlur et al., "Rewarding Progress: Scaling Automated Process Verifiers for LLM Reasoning", arXiv 2410.08146.
    """
    check_number(alpha, "alpha", low=0.0)
    base, xp, dtype = floating(q, "q")
    progress = xp.astype(companion(advantages, base, "advantages", tuple(base.shape)), base.dtype)
    check_finite(base, "q")
    check_finite(progress, "advantages")
    return xp.astype(base + alpha * progress, dtype)


def best_of_k_success(q: Array, k: int) -> Array:
    """Success probability of the best of k attempts: `1 − (1 − q)^k`, a prover made from the policy itself.

    It spreads small probabilities: where q is 0 or 1 it is too, and no step is progress. The paper takes k = 4.

    `q` (…) in [0, 1], under the policy; the result is like it. Raises `ValueError` where a probability is outside or k is
    below 1.

    Amrith Setlur et al., "Rewarding Progress: Scaling Automated Process Verifiers for LLM Reasoning", arXiv 2410.08146.
    """
    check_number(k, "k", low=1)
    p, xp, dtype = floating(q, "q")
    if not bool(xp.all((p >= 0) & (p <= 1))):
        raise ValueError("q: expected probabilities in [0, 1], got one outside or NaN")
    return xp.astype(1 - (1 - p) ** k, dtype)


class ProverDiagnostics(NamedTuple):
    """What a prover is good for in each state (…): both should be large, and neither is for one that is too strong or
    too weak.
    """

    distinguishability: Array
    alignment: Array


def prover_diagnostics(policy: Array, q_prover: Array, q_policy: Array) -> ProverDiagnostics:
    """How well a prover tells the policy's steps apart, and how far it agrees with the policy's own prospects.

        A(a)                = Q(a) − Σ_b π(b) · Q(b)
        distinguishability  = Σ_a π(a) · A^μ(a)²                its variance under the policy
        alignment           = Σ_a π(a) · A^μ(a) · A^π(a)        negative where progress misleads

    Their sum, times the step size, bounds from below what one natural-gradient step on `A^μ` improves.

    Args:
        policy: (…, a) probabilities of the next steps, of sum 1.
        q_prover, q_policy: (…, a) prospects of prover and policy after each.

    Raises:
        ValueError: on shapes that differ, numbers that aren't finite, or probabilities that are negative or don't sum
            to 1 within 1e-4.

    Amrith Setlur et al., "Rewarding Progress: Scaling Automated Process Verifiers for LLM Reasoning", arXiv 2410.08146.
    """
    pi, xp, dtype = floating(policy, "policy")
    if pi.ndim < 1 or bool(xp.any(pi < 0)) or not bool(xp.all(xp.abs(xp.sum(pi, axis=-1) - 1) <= 1e-4)):
        raise ValueError("policy: expected probabilities (…, a) that sum to 1")
    advantages = list[Array]()
    for name, given in (("q_prover", q_prover), ("q_policy", q_policy)):
        q = xp.astype(companion(given, pi, name, tuple(pi.shape)), pi.dtype)
        check_finite(q, name)
        advantages.append(q - xp.sum(pi * q, axis=-1)[..., None])
    prover, own = advantages
    return ProverDiagnostics(
        xp.astype(xp.sum(pi * prover**2, axis=-1), dtype),
        xp.astype(xp.sum(pi * prover * own, axis=-1), dtype),
    )


@register("step_progress", kind="credit", example="{credit: step_progress, alpha: 5.0}")
@dataclass
class StepProgress(StepEstimator):
    """Outcome advantage plus the progress of each token's own step.

        own      A_{i,t} = (R_i − b_i) + alpha · A_{i,h(t)}             h(t): the first step that ends after token t
        to_go    A_{i,t} = (R_i − b_i) + alpha · Σ_{h≥h(t)} A_{i,h}

    The dense channel holds `step_advantages` under the prover. The default is the paper's policy gradient, in which a
    step is credited with its own progress alone; `to_go` telescopes to `alpha · (Q_last − Q_{h(t)−1})`. `b_i` is the
    baseline of the outcome in the group, and nothing is divided by a std. Tokens after the last step get the outcome.

    Tokens of a step come from `spans`, as in `step_group_relative`; steps are taken in the order of their ends. Samples
    that aren't OK get 0.

    Raises `ValueError` on options out of range, where the signal has no dense channel though samples were scored, or
    where its unit needs spans that aren't given.

    Amrith Setlur et al., "Rewarding Progress: Scaling Automated Process Verifiers for LLM Reasoning", arXiv 2410.08146.
    """

    alpha: float = 3.0
    reach: Reach = "own"
    baseline: Baseline = "leave_one_out"
    singleton: Singleton = "zero"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        check_number(self.alpha, "alpha", low=0.0)
        check_choice(self.reach, "reach", REACHES)
        check_dtype(self.dtype)
        self._outcome = GroupRelative(self.baseline, "none", self.singleton, dtype=self.dtype)

    def of_steps(
        self, signal: Signal, steps: Steps, groups: NDArray[np.integer[Any]], mask: NDArray[Any]
    ) -> NDArray[np.floating[Any]]:
        outcome, progress = self._outcome.of_samples(signal.outcome, groups), steps.values
        if self.reach == "to_go":
            progress = discounted_returns(progress, 1.0, offsets=steps.offsets)
        progress = self.alpha * progress
        return spread_steps(progress, steps.spans, mask, steps.offsets, base=outcome, dtype=self.dtype)
