"""Whether dense scores rank the answers to a prompt as the verifier does."""

from __future__ import annotations

from guerdon.shape.arrays import Array, check_finite, companion, floating, namespace
from guerdon.shape.statistics import group_statistics


def ranking_accuracy(scores: Array, accuracy: Array, groups: Array | int) -> float:
    """How well scores rank the responses of a prompt by their accuracy, in [0, 1]; 0.5 is guessing.

        per group   Σ_{i<j} |acc_i − acc_j| · [(s_i > s_j) = (acc_i > acc_j)] / Σ_{i<j} |acc_i − acc_j|

    and the mean over groups. A group without any difference in accuracy counts as 0.5. Two equal scores read as "the
    first isn't higher": right where the first is worse, wrong where it is better, so the order of rows matters then.

    Args:
        scores: (n,) finite, such as the sums of a process reward over tokens.
        accuracy: (n,) finite.
        groups: (n,) integer codes, or the size of groups that are consecutive.

    Raises:
        ValueError: on shapes that don't fit, numbers that aren't finite, or no row at all.

    Ganqu Cui et al., "Process Reinforcement through Implicit Rewards", arXiv 2502.01456, repository
    PRIME-RL/PRIME (there: dpo_accuracy).
    """
    s, xp, _ = floating(scores, "scores", ndim=1)
    check_finite(s, "scores")
    if s.shape[0] == 0:
        raise ValueError("scores: expected at least one row")
    a = xp.astype(companion(accuracy, s, "accuracy", tuple(s.shape)), s.dtype)
    check_finite(a, "accuracy")
    statistics = group_statistics(s, groups)
    codes, size = statistics.codes, statistics.count.shape[0]
    return sum(_pair_accuracy(s[codes == group], a[codes == group]) for group in range(size)) / size


def _pair_accuracy(s: Array, a: Array) -> float:
    xp = namespace(s)
    gap = xp.triu(xp.abs(a[:, None] - a[None, :]), k=1)
    total = float(xp.sum(gap))
    agrees = (s[:, None] > s[None, :]) == (a[:, None] > a[None, :])
    return float(xp.sum(xp.where(agrees, gap, 0.0))) / total if total > 0 else 0.5
