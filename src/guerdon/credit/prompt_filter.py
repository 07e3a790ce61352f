"""Which prompts are worth training on."""

from __future__ import annotations

from guerdon.core.checks import check_number
from guerdon.shape.arrays import Array, check_finite, companion, floating
from guerdon.shape.statistics import group_statistics, segment_sum


def accuracy_filter(
    accuracy: Array,
    groups: Array | int,
    *,
    low: float = 0.2,
    high: float = 0.8,
    lengths: Array | None = None,
    max_length: int | None = None,
) -> Array:
    """Rows of prompts that are neither too hard nor too easy: `low ≤ mean accuracy of the group ≤ high`.

    Args:
        accuracy: (n,) in [0, 1] finite, how right each response is.
        groups: (n,) integer codes, or the size of groups that are consecutive.
        low, high: bounds, inclusive; compared in the precision of `accuracy`.
        lengths: (n,) tokens of each response.
        max_length: a prompt is dropped where one of its responses is as long as this, for it was cut off.

    Returns:
        (n,) bool, one answer for all rows of a group.

    Raises:
        ValueError: on shapes that don't fit, bounds that are reversed or leave [0, 1], accuracies that aren't
            finite, or only one of `lengths` and `max_length`.

    Ganqu Cui et al., "Process Reinforcement through Implicit Rewards", arXiv 2502.01456, repository
    PRIME-RL/PRIME.
    """
    check_number(low, "low", 0.0, 1.0)
    check_number(high, "high", low, 1.0)
    if (lengths is None) != (max_length is None):
        raise ValueError("lengths, max_length: expected both or neither")
    a, xp, _ = floating(accuracy, "accuracy", ndim=1)
    check_finite(a, "accuracy")
    statistics = group_statistics(a, groups)
    codes, count = statistics.codes, statistics.count
    # The plain quotient, for the mean by deviations misses a bound such as 1/5 by rounding.
    mean = segment_sum(a, codes, count.shape[0]) / count
    kept = ((mean >= low) & (mean <= high))[codes]
    if lengths is None:
        return kept
    cut = xp.astype(companion(lengths, a, "lengths", tuple(a.shape)) >= max_length, a.dtype)
    return kept & (segment_sum(cut, codes, count.shape[0])[codes] == 0)
