"""Leave-one-out baselines for rewards below the level of a sample, and advantages from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_choice, check_number
from guerdon.core.registry import register
from guerdon.core.signal import Signal
from guerdon.credit.batch_scale import unit_returns, whiten
from guerdon.credit.estimators import StepEstimator, Steps, check_dtype
from guerdon.credit.masks import tokens_before
from guerdon.credit.returns import discounted_returns, open_rows
from guerdon.shape.arrays import (
    Array,
    boolean,
    check_finite,
    check_offsets,
    check_spans,
    companion,
    floating,
    namespace,
)
from guerdon.shape.rows import by_rows, row_sum
from guerdon.shape.statistics import group_statistics, segment_sum

StepBaseline: TypeAlias = Literal["token", "step", "none"]
STEP_BASELINES: tuple[StepBaseline, ...] = ("token", "step", "none")


def leave_one_out_average(totals: Array, counts: Array, groups: Array | int) -> Array:
    """What a unit is worth on average in the other samples of the group.

        b_i = Σ_{j∈g, j≠i} total_j / Σ_{j∈g, j≠i} count_j

    The unit is what `counts` counts: tokens, steps, or samples where it is 1.

    Args:
        totals: (n,) finite.
        counts: (n,) at least 0; a sample of count 0 says nothing about the others.
        groups: (n,) integer codes, or the size of groups that are consecutive.

    Returns:
        (n,) like `totals`; NaN where the others of the group count nothing, for the caller to decide.

    Raises:
        ValueError: on shapes that don't fit, a negative count, or numbers that aren't finite.
    """
    t, xp, dtype = floating(totals, "totals", ndim=1)
    check_finite(t, "totals")
    c = xp.astype(companion(counts, t, "counts", tuple(t.shape)), t.dtype)
    check_finite(c, "counts")
    if bool(xp.any(c < 0)):
        raise ValueError("counts: expected numbers of at least 0")
    statistics = group_statistics(t, groups)
    codes, size = statistics.codes, statistics.count.shape[0]
    t = xp.where(c > 0, t, 0.0)
    others = segment_sum(c, codes, size)[codes] - c
    rest = segment_sum(t, codes, size)[codes] - t
    return xp.astype(xp.where(others > 0, rest / xp.where(others > 0, others, 1.0), xp.nan), dtype)


def leave_one_out_steps(
    rewards: Array,
    offsets: Array,
    groups: Array | int,
    *,
    baseline: StepBaseline = "token",
    tokens: Array | None = None,
    lengths: Array | None = None,
) -> Array:
    """Step rewards less what the other samples of the group get for as much.

        token   r_{i,k} − tokens_{i,k} · Σ_{j≠i} Σ_l r_{j,l} / Σ_{j≠i} length_j
        step    r_{i,k} − mean over j≠i of (Σ_l r_{j,l} / steps_j)
        none    r_{i,k}

    With `step`, few long steps pay where rewards are negative on average and many short ones where they are
    positive; with `token`, how an answer is cut doesn't matter.

    Args:
        rewards: (m,) finite, steps of all samples end to end.
        offsets: (n+1,) row offsets.
        groups: (n,) integer codes, or the size of groups that are consecutive.
        tokens: (m,) tokens of each step; needed for `token`.
        lengths: (n,) tokens of each sample; by default the sum of its steps'. 0 keeps a sample out of the others'
            baseline.

    Returns:
        (m,) like `rewards`. A sample with nobody to compare with gets 0, unless the baseline is `none`.

    Raises:
        ValueError: on shapes that don't fit, numbers that aren't finite, or missing `tokens`.

    Jie Cheng et al., "Stop Summation: Min-Form Credit Assignment Is All Process Reward Model Needs for
    Reasoning", arXiv 2504.15275, repository CJReinforce/PURE.
    """
    check_choice(baseline, "baseline", STEP_BASELINES)
    r, xp, dtype = floating(rewards, "rewards", ndim=1)
    check_finite(r, "rewards")
    if baseline == "none":
        return rewards
    bounds = check_offsets(offsets, r, "offsets", r.shape[0])
    steps = bounds[1:] - bounds[:-1]
    totals = row_sum(r, steps)
    if baseline == "token":
        if tokens is None:
            raise ValueError("tokens: needed for the baseline 'token'")
        units = xp.astype(companion(tokens, r, "tokens", tuple(r.shape)), r.dtype, copy=False)
        if not bool(xp.all((units >= 0) & xp.isfinite(units))):
            raise ValueError("tokens: expected finite numbers of at least 0, got another")
        counts = row_sum(units, steps) if lengths is None else lengths
    else:
        units = xp.ones_like(r)
        totals = totals / xp.where(steps > 0, xp.astype(steps, r.dtype), 1.0)
        counts = steps > 0

    def relative(steps: Array, r: Array, units: Array, average: Array) -> Array:
        average = xp.repeat(average, steps)
        return xp.where(xp.isnan(average), 0.0, r - units * average)

    average = leave_one_out_average(totals, counts, groups)
    return xp.astype(by_rows(relative, steps, (r, units), (average,)), dtype, copy=False)


def leave_one_out_tokens(rewards: Array, mask: Array, groups: Array | int) -> Array:
    """Token rewards of one source less the group's baseline.

        b_i      = mean of r_{i,t} over the mask of row i
        r'_{i,t} = r_{i,t} · k/(k − 1) − Σ_{j∈g} b_j / (k − 1)        k rows of the group have a mask

    For a mask of one token a row it is the reward less the mean of the other rows. The baseline is a mean over
    tokens, not over sums, so that a row isn't favoured for being long.

    Args:
        rewards: (n, T) real; what stands outside the mask has no influence.
        mask: (n, T) where the source gives rewards: all tokens of the policy, or its last one for an outcome.
        groups: (n,) integer codes, or the size of groups that are consecutive.

    Returns:
        (n, T) like `rewards`; 0 outside the mask and in a row with nobody to compare with.

    Raises:
        ValueError: on shapes that don't fit, or a reward in the mask that isn't finite.

    Ganqu Cui et al., "Process Reinforcement through Implicit Rewards", arXiv 2502.01456, repository
    PRIME-RL/PRIME.
    """
    rows = open_rows(rewards, mask, None)
    factor, center = _baseline(row_sum(rows.rewards, rows.lengths), rows.lengths, groups)

    def relative(lengths: Array, r: Array, factor: Array, center: Array) -> Array:
        return rows.xp.repeat(factor, lengths) * (r - rows.xp.repeat(center, lengths))

    return rows.close(rows.map(relative, factor, center))


def _baseline(totals: Array, counts: Array, groups: Array | int) -> tuple[Array, Array]:
    """Numbers of rows (n,) with which a reward becomes `factor · (reward − center)`, less those of the other rows."""
    xp = namespace(totals)
    filled = counts > 0
    means = xp.where(filled, totals / xp.where(filled, xp.astype(counts, totals.dtype), 1.0), xp.nan)
    statistics = group_statistics(means, groups)
    k = statistics.count[statistics.codes]
    factor = xp.where(k > 1, k / xp.where(k > 1, k - 1, 1.0), 0.0)
    return factor, xp.where(k > 0, statistics.mean[statistics.codes], 0.0)


def last_token(mask: Array) -> Array:
    """The last token of each row's mask: (n, T) bool, with one True in every row whose mask has any.

    Raises `ValueError` where the mask isn't (n, T), `TypeError` where it isn't booleans or integers.
    """
    if getattr(mask, "ndim", None) != 2:
        raise ValueError(f"mask: expected an array (n, T), got {getattr(mask, 'shape', type(mask).__name__)}")
    keep = boolean(mask, mask, "mask", tuple(mask.shape))
    xp = namespace(keep)
    upto = xp.cumulative_sum(xp.astype(keep, xp.int64), axis=1)
    return keep & (upto == upto[:, -1:])


@register("rloo_dense", kind="credit", example="credit: rloo_dense")
@dataclass
class DenseLeaveOneOut(StepEstimator):
    """Leave-one-out over tokens, process and outcome apart, summed as returns and whitened.

        r'^s_{i,t} = leave_one_out_tokens(r^s, mask^s)                   for each source s
        R_{i,t}    = Σ_s Σ_{u≥t} discount_s^{u−t} · r'^s_{i,u}
        A          = whiten(R)                                            over all tokens of the batch

    The process source is the dense channel, each value at the last token of its span that is in the mask, and its
    mask is that of the tokens; the outcome stands at the last token of the row. `bounded` scales process rewards by
    `unit_returns` first, so that they can't outgrow the outcome. `process_weight` and `outcome_weight` matter by
    their ratio where returns are whitened. A row alone in its group gets a return of 0, which is whitened with the
    rest.

    Needs the `spans` of the dense values in tokens, unless their unit is `token` or `time_step`. Raises `ValueError`
    where they are missing or the signal has no dense channel though samples were scored.

    Ganqu Cui et al., "Process Reinforcement through Implicit Rewards", arXiv 2502.01456, repository
    PRIME-RL/PRIME.
    """

    discount: float = 1.0
    outcome_discount: float = 1.0
    process_weight: float = 1.0
    outcome_weight: float = 1.0
    bounded: bool = True
    whitened: bool = True
    dtype: str = "float32"

    def __post_init__(self) -> None:
        check_number(self.discount, "discount", 0.0, 1.0)
        check_number(self.outcome_discount, "outcome_discount", 0.0, 1.0)
        check_number(self.process_weight, "process_weight")
        check_number(self.outcome_weight, "outcome_weight")
        check_dtype(self.dtype)

    def of_steps(
        self, signal: Signal, steps: Steps, groups: NDArray[np.integer[Any]], mask: NDArray[Any]
    ) -> NDArray[np.floating[Any]]:
        keep = boolean(mask, mask, "mask", (len(signal), mask.shape[-1])) & signal.ok[:, None]
        lengths = np.count_nonzero(keep, axis=1)
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        filled = lengths > 0
        relative = self._process(steps, keep, lengths, groups)
        factor, center = _baseline(np.where(signal.ok, signal.outcome, 0.0), filled, groups)
        outcome = self.outcome_weight * (factor * (signal.outcome - center))[filled]
        last = offsets[1:][filled] - 1
        if self.discount == self.outcome_discount:
            relative[last] += outcome
            returns = discounted_returns(relative, self.discount, offsets=offsets)
        else:
            final = np.zeros_like(relative)
            final[last] = outcome
            returns = discounted_returns(relative, self.discount, offsets=offsets)
            returns += discounted_returns(final, self.outcome_discount, offsets=offsets)
        result = np.zeros(mask.shape, dtype=self.dtype)
        returns = returns.astype(self.dtype, copy=False)
        result[keep] = whiten(returns[None])[0] if self.whitened else returns
        return result

    def _process(
        self,
        steps: Steps,
        keep: NDArray[np.bool_],
        lengths: NDArray[np.int64],
        groups: NDArray[np.integer[Any]],
    ) -> NDArray[np.float64]:
        """Weighted process rewards of the tokens that count, end to end, less the baseline."""
        spans = check_spans(steps.spans, "spans", high=keep.shape[1])
        spans = tokens_before(keep, steps.row[:, None], spans)
        filled = spans[:, 1] > spans[:, 0]
        values = np.where(filled, steps.values, 0.0)
        if self.bounded:
            values = unit_returns(values, offsets=steps.offsets)
        totals = np.bincount(steps.row, weights=values, minlength=lengths.size)
        factor, center = _baseline(totals, lengths, groups)
        factor *= self.process_weight
        relative = np.repeat(-factor * center, lengths)
        relative[spans[filled, 1] - 1] += (factor[steps.row] * values)[filled]
        return relative
