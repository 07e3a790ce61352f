"""One number of a solution from the scores of its steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from guerdon.core.checks import check_choice, check_number
from guerdon.core.signal import Signal
from guerdon.shape.arrays import check_offsets
from guerdon.steer.inputs import as_vector

Floats: TypeAlias = NDArray[np.float64]
Aggregation: TypeAlias = Literal[
    "min", "max", "prod", "geometric_mean", "mean", "mean_logit", "mean_odd", "last"
]
AGGREGATIONS: tuple[Aggregation, ...] = get_args(Aggregation)


def aggregate(
    step_scores: ArrayLike, how: Aggregation = "prod", *, margin: float = 1e-6, empty: float | None = None
) -> float:
    """One number from the step scores of one solution: `aggregate_rows` of a single row.

    Sunghwan Kim et al., "Evaluating Robustness of Reward Models for Mathematical Reasoning", arXiv 2410.01729, repository
    kimsh0507/RewardMATH_official.
    """
    p = np.asarray(step_scores)
    return float(aggregate_rows(p, [0, p.size], how, margin=margin, empty=empty)[0])


def aggregate_rows(
    step_scores: ArrayLike,
    offsets: ArrayLike,
    how: Aggregation = "prod",
    *,
    margin: float = 1e-6,
    empty: float | None = None,
) -> Floats:
    """One number a solution, from the scores of the steps of all solutions end to end.

    With the scores p_1 … p_K of a solution:

        min, max, last      of p_1 … p_K
        mean                Σ p_k / K
        prod                Π p_k
        geometric_mean      (Π p_k)^(1/K)                            p_k ≥ 0
        mean_logit          σ( Σ log(q_k / (1 − q_k)) / K )          0 ≤ p_k ≤ 1,  q = clip(p, margin, 1 − margin)
        mean_odd            max(0, Σ q_k / (1 − q_k) / K)            p_k ≤ 1,  q = min(p, 1 − margin)

    A product falls with every step, so it prefers short solutions; where 0.9 a step is good, compare `geometric_mean`.
    `mean_odd` is unbounded: one step of 1 counts for `1 / margin` of 0.5.

    Args:
        step_scores: (m,) finite; probabilities that a step is right, for most rules.
        offsets: (n+1,) row offsets, rising from 0 to m. For a Signal take `aggregate_signal`.
        how: the rule.
        margin: in (0, 0.5), what keeps the odds of a score of 0 or 1 finite.
        empty: the result of a solution without steps; the benchmark takes 0.5. By default there is none.

    Returns:
        (n,) float64.

    Raises:
        ValueError: for another rule, scores that aren't numbers or are out of the rule's range, offsets that don't
            fit, or a solution without steps where `empty` isn't given.

    Sunghwan Kim et al., "Evaluating Robustness of Reward Models for Mathematical Reasoning", arXiv 2410.01729, repository
    kimsh0507/RewardMATH_official.
    """
    check_choice(how, "how", AGGREGATIONS)
    check_number(margin, "margin", high=0.5, above=0.0)
    p = as_vector(step_scores, "step_scores")
    if not np.isfinite(p).all():
        raise ValueError("step_scores: expected finite numbers, got NaN or infinity")
    bounds = check_offsets(offsets, p, "offsets", p.size)
    _check_range(p, how)
    lengths = np.diff(bounds)
    filled = lengths > 0
    if not filled.all() and empty is None:
        raise ValueError(
            f"step_scores: solution {int(np.argmin(filled))} has no step; say what it gets, by empty="
        )
    found = np.full(lengths.size, np.nan if empty is None else empty)
    if filled.any():
        found[filled] = _RULES[how](p, bounds[:-1][filled], lengths[filled], margin)
    return found


def aggregate_signal(signal: Signal, how: Aggregation = "prod", *, margin: float = 1e-6) -> Floats:
    """One number (n,) a sample from its dense values: `aggregate_rows`, and NaN for one that isn't OK or has no step.

    Raises `ValueError` where there is no dense channel though a sample is OK, and as `aggregate_rows`.
    """
    dense, found = signal.dense, np.full(len(signal), np.nan)
    if dense is None:
        if signal.ok.any():
            raise ValueError("signal: there is no dense channel, so no step scores to aggregate")
        return found
    rows = aggregate_rows(dense.values, dense.offsets, how, margin=margin, empty=np.nan)
    return np.where(signal.ok, rows, found)


def _mean(values: Floats, starts: NDArray[Any], lengths: NDArray[Any]) -> Floats:
    return np.add.reduceat(values, starts) / lengths


def _geometric_mean(p: Floats, starts: NDArray[Any], lengths: NDArray[Any], _: float) -> Floats:
    # By logarithms, for the product of a long solution underflows.
    with np.errstate(divide="ignore"):
        return np.exp(_mean(np.log(p), starts, lengths))


def _mean_logit(p: Floats, starts: NDArray[Any], lengths: NDArray[Any], margin: float) -> Floats:
    q = np.clip(p, margin, 1 - margin)
    return 1 / (1 + np.exp(-_mean(np.log(q / (1 - q)), starts, lengths)))


def _mean_odd(p: Floats, starts: NDArray[Any], lengths: NDArray[Any], margin: float) -> Floats:
    q = np.minimum(p, 1 - margin)
    return np.maximum(_mean(q / (1 - q), starts, lengths), 0.0)


_RULES: dict[str, Callable[[Floats, NDArray[Any], NDArray[Any], float], Floats]] = {
    "min": lambda p, starts, lengths, _: np.minimum.reduceat(p, starts),
    "max": lambda p, starts, lengths, _: np.maximum.reduceat(p, starts),
    "prod": lambda p, starts, lengths, _: np.multiply.reduceat(p, starts),
    "geometric_mean": _geometric_mean,
    "mean": lambda p, starts, lengths, _: _mean(p, starts, lengths),
    "mean_logit": _mean_logit,
    "mean_odd": _mean_odd,
    "last": lambda p, starts, lengths, _: p[starts + lengths - 1],
}


def _check_range(p: Floats, how: Aggregation) -> None:
    low = 0.0 if how in ("geometric_mean", "mean_logit") else -np.inf
    high = 1.0 if how in ("mean_logit", "mean_odd") else np.inf
    if p.size and (p.min() < low or p.max() > high):
        raise ValueError(
            f"step_scores: {how} is of scores in [{low:g}, {high:g}]; got {p.min():g} to {p.max():g}"
        )
