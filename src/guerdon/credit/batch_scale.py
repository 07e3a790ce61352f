"""Scales that all tokens of a batch share."""

from __future__ import annotations

from guerdon.core.checks import check_number
from guerdon.credit.returns import discounted_returns, open_rows
from guerdon.shape.arrays import Array, boolean, floating
from guerdon.shape.statistics import check_normalization, divide_by_std, group_statistics


def whiten(values: Array, mask: Array, *, ddof: int = 1, epsilon: float = 1e-8) -> Array:
    """Mean 0 and variance 1 over the tokens of a batch: `(x − mean) / sqrt(var + epsilon)`.

    Args:
        values: (n, T) real; what stands outside the mask has no influence.
        mask: (n, T) tokens that count; the others get 0.
        ddof: degrees of freedom taken off in the variance.
        epsilon: added to the variance.

    Returns:
        (n, T) like `values`. Equal values, or at most `ddof` of them, give 0.

    Raises:
        ValueError: where shapes don't fit or a value that counts isn't finite.

    As in the repository volcengine/verl.
    """
    check_normalization(ddof=ddof, epsilon=epsilon)
    rows = open_rows(floating(values, "values", ndim=2).values, mask, None)
    xp, one_group = rows.xp, rows.xp.zeros_like(rows.rewards, dtype=rows.xp.int64)
    statistics = group_statistics(rows.rewards, one_group, ddof=ddof)
    std = xp.sqrt(statistics.std**2 + epsilon)
    flat = statistics.flat[statistics.codes]
    whitened = divide_by_std(statistics.deviation, std[statistics.codes], flat, 0.0)
    return xp.astype(rows.close(whitened), values.dtype)


def unit_returns(rewards: Array, mask: Array | None = None, *, epsilon: float = 1e-6) -> Array:
    """Rewards scaled so that no undiscounted return in the batch leaves [−1, 1].

        r_{i,t} ← r_{i,t} / (max_{j,u} |Σ_{v≥u} r_{j,v}| + epsilon)

    Args:
        rewards: (n, T) rewards of tokens.
        mask: (n, T) tokens that exist; all by default. The others get 0.
        epsilon: > 0. Rewards that are all 0 stay so.

    Returns:
        (n, T) like `rewards`. The scale depends on what else is in the batch.

    Raises:
        ValueError: where shapes don't fit or a reward that counts isn't finite.

    Ganqu Cui et al., "Process Reinforcement through Implicit Rewards", arXiv 2502.01456, repository
    PRIME-RL/PRIME (there: batch_norm).
    """
    check_number(epsilon, "epsilon", above=0.0)
    r, xp, dtype = floating(rewards, "rewards", ndim=2)
    if mask is not None:
        r = xp.where(boolean(mask, r, "mask", tuple(r.shape)), r, 0.0)
    largest = xp.abs(discounted_returns(r, 1.0, mask))
    bound = xp.max(largest) if 0 not in largest.shape else 0.0
    return xp.astype(r / (bound + epsilon), dtype)
