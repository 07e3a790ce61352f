"""Scales that all tokens of a batch share."""

from __future__ import annotations

import math

import numpy as np

from guerdon.core.checks import check_number
from guerdon.credit.returns import open_rows
from guerdon.shape.arrays import Array, floating, is_torch, namespace
from guerdon.shape.rows import scan_to_end
from guerdon.shape.statistics import STD_FLOOR, check_normalization


def whiten(values: Array, mask: Array | None = None, *, ddof: int = 1, epsilon: float = 1e-8) -> Array:
    """Mean 0 and variance 1 over the tokens of a batch: `(x − mean) / sqrt(var + epsilon)`.

    Args:
        values: (n, T) real; what stands outside the mask has no influence.
        mask: (n, T) tokens that count; all by default. The others get 0.
        ddof: degrees of freedom taken off in the variance.
        epsilon: added to the variance.

    Returns:
        (n, T) like `values`, integers as the default float. Equal values, or at most `ddof` of them, give 0.

    Raises:
        ValueError: where shapes don't fit, a value that counts isn't finite, or differences of values leave the range of
            their dtype.

    As in the repository volcengine/verl.
    """
    check_normalization(ddof=ddof, epsilon=epsilon)
    wide, xp, dtype = floating(values, "values", ndim=2)
    rows = open_rows(wide, mask, None, "values")
    whitened = rows.close(_standard(rows.rewards, ddof, epsilon))
    real = wide.dtype if xp.isdtype(dtype, ("bool", "integral")) else dtype
    return xp.astype(whitened, real, copy=False)


def _standard(x: Array, ddof: int, epsilon: float) -> Array:
    """`whiten` of values (m,) that all count, relative to their range, so that squares neither overflow nor vanish."""
    xp, m = namespace(x), x.shape[0]
    if m <= max(ddof, 1):
        return xp.zeros_like(x)
    largest = xp.max(x)
    span = largest - xp.min(x)
    if not bool(xp.isfinite(span)):
        raise ValueError(f"values: their differences leave the range of {x.dtype}")
    if span == 0:
        return xp.zeros_like(x)
    deviation = x - largest
    deviation /= span
    center = xp.mean(deviation)
    deviation -= center
    std = span * xp.sqrt(xp.vecdot(deviation, deviation) / (m - ddof))
    if std <= STD_FLOOR * xp.abs(largest + span * center):
        return xp.zeros_like(x)
    scale = span / xp.hypot(std, xp.full_like(std, math.sqrt(epsilon)))
    return deviation * scale if is_torch(x) else np.multiply(deviation, scale, out=deviation)


def unit_returns(
    rewards: Array, mask: Array | None = None, *, offsets: Array | None = None, epsilon: float = 1e-6
) -> Array:
    """Rewards scaled so that no undiscounted return in the batch leaves [−1, 1].

        r_{i,t} ← r_{i,t} / (max_{j,u} |Σ_{v≥u} r_{j,v}| + epsilon)

    Args:
        rewards: (n, T) rewards of tokens, or (m,) with `offsets`.
        mask: (n, T) tokens that exist; all by default. The others get 0.
        offsets: (n+1,) row offsets of ragged rows.
        epsilon: > 0. Rewards that are all 0 stay so.

    Returns:
        Like `rewards`. The scale depends on what else is in the batch.

    Raises:
        ValueError: where shapes don't fit, a reward that counts isn't finite, or a return leaves the range of the dtype.

    Ganqu Cui et al., "Process Reinforcement through Implicit Rewards", arXiv 2502.01456, repository
    PRIME-RL/PRIME (there: batch_norm).
    """
    check_number(epsilon, "epsilon", above=0.0)
    rows = open_rows(rewards, mask, offsets)
    r = rows.rewards
    if not r.shape[0]:
        return rows.close(r)
    returns = scan_to_end(r, rows.lengths, "add")
    bound = rows.xp.maximum(rows.xp.max(returns), -rows.xp.min(returns))
    if not bool(rows.xp.isfinite(bound)):
        raise ValueError(f"rewards: a return leaves the range of {r.dtype}")

    def scaled(_: Array, r: Array) -> Array:
        return r / (bound + epsilon)

    return rows.close(rows.map(scaled))
