"""Min-form credit: from a step on counts the worst reward to come, not the sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_choice, check_number
from guerdon.core.registry import register
from guerdon.core.signal import Signal
from guerdon.credit.batch_scale import whiten
from guerdon.credit.estimators import StepEstimator, Steps, check_dtype
from guerdon.credit.group_relative import group_relative
from guerdon.credit.leave_one_out import (
    STEP_BASELINES,
    StepBaseline,
    leave_one_out_average,
    leave_one_out_steps,
)
from guerdon.credit.masks import tokens_before
from guerdon.credit.returns import discounted_returns, open_rows
from guerdon.credit.spread import spread_steps
from guerdon.shape.arrays import Array, boolean, check_finite, check_spans, floating
from guerdon.shape.rows import row_min, row_sum

Form: TypeAlias = Literal["sum", "min"]
FORMS: tuple[Form, ...] = ("sum", "min")


def good_minus_bad(logits: Array) -> Array:
    """Reward of a step from the two logits of a process reward model: `r = p(good) − p(bad)`, in [−1, 1].

    `logits` (…, 2) real, the class of good steps last; `p` is their softmax, so r is `tanh((l_1 − l_0) / 2)`, which
    is what is computed. The result (…) is like `logits`, differentiable in torch. Raises `ValueError` for another
    last axis or a logit that isn't finite.

    Jie Cheng et al., "Stop Summation: Min-Form Credit Assignment Is All Process Reward Model Needs for
    Reasoning", arXiv 2504.15275, repository CJReinforce/PURE.
    """
    x, xp, dtype = floating(logits, "logits")
    if x.ndim < 1 or x.shape[-1] != 2:
        raise ValueError(f"logits: expected shape (…, 2), got {tuple(x.shape)}")
    check_finite(x, "logits")
    return xp.astype(xp.tanh((x[..., 1] - x[..., 0]) / 2), dtype)


def min_form_returns(rewards: Array, mask: Array | None = None, *, offsets: Array | None = None) -> Array:
    """Strict min-form returns: `G_t = min_{u≥t} r_u` over the steps that exist.

    A minimum over tokens that aren't the end of a step would be at most their 0: take it over steps.

    Args:
        rewards: (B, T), or (m,) with `offsets`.
        mask: (B, T) steps that exist; all by default.
        offsets: (n+1,) row offsets of ragged rows.

    Returns:
        Like `rewards`; 0 outside the mask. In torch the gradient goes to the smallest reward.

    Raises:
        ValueError: as `discounted_returns`, the sum form.

    Jie Cheng et al., "Stop Summation: Min-Form Credit Assignment Is All Process Reward Model Needs for
    Reasoning", arXiv 2504.15275, repository CJReinforce/PURE.
    """
    rows = open_rows(rewards, mask, offsets)
    return rows.close(rows.scan("minimum"))


def softmin_rewards(
    rewards: Array, temperature: float = 0.1, mask: Array | None = None, *, offsets: Array | None = None
) -> Array:
    """Rewards weighted so that their *sum* is nearly their minimum.

        w_k = exp(−r_k / temperature) / Σ_l exp(−r_l / temperature)        over the steps of the row
        r*_k = w_k · r_k,    Σ_k r*_k → min_k r_k as temperature → 0

    With summed returns over r*, every step up to the worst one gets about the minimum, and the steps after it
    about 0. An estimator that sums needs no other change.

    Args:
        rewards: (B, T), or (m,) with `offsets`.
        temperature: > 0, in units of the reward; 0.1 is for rewards in [−1, 1].
        mask: (B, T) steps that exist; all by default.
        offsets: (n+1,) row offsets of ragged rows.

    Returns:
        Like `rewards`; 0 outside the mask. A row without steps has nothing to weight.

    Raises:
        ValueError: as `discounted_returns`, or where the temperature isn't above 0.

    Jie Cheng et al., "Stop Summation: Min-Form Credit Assignment Is All Process Reward Model Needs for
    Reasoning", arXiv 2504.15275, repository CJReinforce/PURE.
    """
    check_number(temperature, "temperature", above=0.0)
    rows = open_rows(rewards, mask, offsets)
    xp = rows.xp

    def weigh(lengths: Array, r: Array) -> Array:
        weight = xp.exp((xp.repeat(row_min(r, lengths), lengths) - r) / temperature)
        return weight * r / xp.repeat(row_sum(weight, lengths), lengths)

    return rows.close(rows.map(weigh))


def dense_return_advantages(
    rewards: Array, mask: Array, groups: Array | int, *, form: Form = "sum", whitened: bool = True
) -> Array:
    """Advantages of tokens: their return less the mean return of a token in the group's other rows.

        G_{i,t} = Σ_{u≥t} r_{i,u}  or  min_{u≥t} r_{i,u}        over all T columns, r = 0 outside the mask
        A_{i,t} = mask_{i,t} · (G_{i,t} − Σ_{j≠i} Σ_u G_{j,u} / ((k − 1) · T))

    This is the estimator of the repository's verl branch, with what follows from its counting of all columns: the
    baseline depends on how far the batch is padded, and a minimum is never above 0. `MinForm` has neither.

    Args:
        rewards: (n, T) rewards at the last tokens of steps; what stands outside the mask has no influence.
        mask: (n, T) tokens that count.
        groups: (n,) integer codes, or the size of groups that are consecutive.
        form: what a return is.
        whitened: whether `whiten` follows.

    Returns:
        (n, T) like `rewards`; 0 outside the mask, and, before whitening, in a row with nobody to compare with.

    Raises:
        ValueError: on shapes that don't fit, or a reward in the mask that isn't finite.

    Jie Cheng et al., "Stop Summation: Min-Form Credit Assignment Is All Process Reward Model Needs for
    Reasoning", arXiv 2504.15275, repository CJReinforce/PURE.
    """
    check_choice(form, "form", FORMS)
    r, xp, dtype = floating(rewards, "rewards", ndim=2)
    keep = boolean(mask, r, "mask", tuple(r.shape))
    r = xp.where(keep, r, 0.0)
    check_finite(r, "rewards")
    returns = min_form_returns(r) if form == "min" else discounted_returns(r, 1.0)
    width = xp.ones_like(r[:, 0]) * r.shape[1] if r.shape[1] else xp.sum(r, axis=1)
    average = leave_one_out_average(xp.sum(returns, axis=1), width, groups)[:, None]
    advantages = xp.where(keep & ~xp.isnan(average), returns - average, 0.0)
    return xp.astype(whiten(advantages, keep) if whitened else advantages, dtype)


@register("min_form", kind="credit", example="credit: min_form")
@dataclass
class MinForm(StepEstimator):
    """Min-form credit of step rewards, and the leave-one-out advantage of the outcome.

        r*  = softmin_rewards(r, temperature)             over the steps of a sample; r itself for `form="sum"`
        r'  = leave_one_out_steps(r*, baseline)
        A_t = outcome_weight · A + Σ_{k≥k(t)} r'_k        k(t): the first step that ends after token t

    `A` is the outcome less the mean of the others of the group. Steps are taken in the order of their ends; a token
    after the last one gets the outcome's part alone. Nothing is whitened. A sample alone in its group has the
    outcome advantage 0, and with a baseline the step rewards 0 too.

    `form="sum"` is what the min form is compared with: the same baselines, and returns that are sums.

    Needs the `spans` of the dense values in tokens, unless their unit is `token` or `time_step`. Raises `ValueError`
    where they are missing or the signal has no dense channel though samples were scored.

    Jie Cheng et al., "Stop Summation: Min-Form Credit Assignment Is All Process Reward Model Needs for
    Reasoning", arXiv 2504.15275, repository CJReinforce/PURE, whose main branch leaves the separator between two
    steps out of the loss: leave it out of `mask` for the same.
    """

    temperature: float = 0.1
    baseline: StepBaseline = "token"
    outcome_weight: float = 1.0
    form: Form = "min"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        check_number(self.temperature, "temperature", above=0.0)
        check_choice(self.baseline, "baseline", STEP_BASELINES)
        check_choice(self.form, "form", FORMS)
        check_number(self.outcome_weight, "outcome_weight")
        check_dtype(self.dtype)

    def of_steps(
        self, signal: Signal, steps: Steps, groups: NDArray[np.integer[Any]], mask: NDArray[Any]
    ) -> NDArray[np.floating[Any]]:
        outcome = group_relative(signal.outcome, groups, baseline="leave_one_out", scale="none")
        spans = check_spans(steps.spans, "spans", high=mask.shape[1])
        counted = tokens_before(mask != 0, steps.row[:, None], spans)
        rewards = steps.values
        if self.form == "min":
            rewards = softmin_rewards(rewards, self.temperature, offsets=steps.offsets)
        relative = leave_one_out_steps(
            rewards,
            steps.offsets,
            groups,
            baseline=self.baseline,
            tokens=counted[:, 1] - counted[:, 0],
            lengths=np.where(signal.ok, np.count_nonzero(mask, axis=1), 0),
        )
        returns = discounted_returns(relative, 1.0, offsets=steps.offsets)
        base = self.outcome_weight * outcome
        return spread_steps(returns, spans, mask, steps.offsets, base=base, dtype=self.dtype)
