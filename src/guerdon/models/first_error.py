"""Finding the first wrong step of a solution by a threshold on its step rewards."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from guerdon.core.checks import check_count
from guerdon.models.checks import row_offsets


class FirstErrorF1(NamedTuple):
    """`f1` in [0, 1] and the `threshold` that reaches it, None where none lifts it above 0.

    `right`: the share of solutions without an error that are found to have none · `wrong`: the share of the others
    whose first error is found exactly. Both are at that threshold, and 0 without one.
    """

    threshold: float | None
    f1: float
    right: float
    wrong: float


def first_error(scores: ArrayLike, offsets: ArrayLike, threshold: float) -> NDArray[np.int64]:
    """Position (n,) of each solution's first step whose score is below `threshold`; −1 where there is none.

    `scores` (m,) finite, of all steps end to end · `offsets` (n+1,) row offsets, rising from 0 to m. Raises `ValueError`
    where they don't fit.
    """
    values, bounds = _open(scores, offsets)
    return _first_below(values, bounds, threshold)


def first_error_f1(
    rewards: ArrayLike, offsets: ArrayLike, errors: ArrayLike, *, thresholds: int = 101, sigmoid: bool = True
) -> FirstErrorF1:
    """Best F1 of finding first errors, over thresholds that are evenly spaced in [0, 1].

        p_k = σ(reward_k),    found = the first k with p_k < threshold, −1 if none
        F1  = 2 · right · wrong / (right + wrong)

    with the rates of exact finds among solutions without and with an error. The first threshold with the best F1 is
    told. Choose it on other solutions than those that it is reported for.

    Args:
        rewards: (m,) finite rewards of the steps of all solutions end to end.
        offsets: (n+1,) row offsets, rising from 0 to m; the `dense.offsets` of a Signal.
        errors: (n,) integers, position of the first wrong step, −1 where all are right.
        thresholds: how many, at least 2.
        sigmoid: whether rewards pass σ; False for probabilities.

    Raises:
        ValueError: on shapes or offsets that don't fit, an error at a step that isn't there, or fewer than 2 thresholds.

    Where no solution has an error, or all have one, no threshold has an F1 above 0.

    Chujie Zheng et al., "ProcessBench: Identifying Process Errors in Mathematical Reasoning", arXiv 2412.06559, for the
    metric; the search is that of Lifan Yuan et al., "Free Process Rewards without Process Labels", arXiv 2412.01981,
    repository PRIME-RL/ImplicitPRM.
    """
    from scipy.special import expit

    values, bounds = _open(rewards, offsets)
    labels = _labels(errors, np.diff(bounds))
    check_count(thresholds, "thresholds", low=2)
    values = expit(values) if sigmoid else values
    faulty = labels >= 0
    best = FirstErrorF1(None, 0.0, 0.0, 0.0)
    if not 0 < faulty.sum() < faulty.size:
        return best
    for threshold in np.linspace(0.0, 1.0, thresholds).tolist():
        hit = _first_below(values, bounds, threshold) == labels
        right, wrong = float(hit[~faulty].mean()), float(hit[faulty].mean())
        f1 = 2 * right * wrong / (right + wrong) if right + wrong else 0.0
        if f1 > best.f1:
            best = FirstErrorF1(threshold, f1, right, wrong)
    return best


def _open(scores: ArrayLike, offsets: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError(f"scores: expected finite numbers (m,), got {scores!r:.80}")
    return values, row_offsets(offsets, "offsets", values.size)


def _labels(errors: ArrayLike, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    labels = np.asarray(errors)
    if labels.shape != lengths.shape or (labels.size and labels.dtype.kind not in "iu"):
        raise ValueError(f"errors: expected integers ({lengths.size},), got {errors!r:.80}")
    if (labels < -1).any() or (labels >= lengths).any():
        raise ValueError("errors: expected positions of steps, or -1; got one beyond its solution")
    return labels.astype(np.int64)


def _first_below(
    values: NDArray[np.float64], bounds: NDArray[np.int64], threshold: float
) -> NDArray[np.int64]:
    below = np.flatnonzero(values < threshold)
    following = np.append(below, values.size)[np.searchsorted(below, bounds[:-1])]
    return np.where(following < bounds[1:], following - bounds[:-1], -1)
