"""Mean and standard deviation of the groups of a batch, over the rows that count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from guerdon.core.checks import check_number
from guerdon.shape.arrays import Array, boolean, companion, device, floating, is_torch, namespace

STD_FLOOR = 1e-6
"""Default relative floor of a standard deviation: about eight units in the last place of float32."""


@dataclass(frozen=True, slots=True, eq=False)
class GroupStatistics:
    """Statistics of G groups over n rows.

    `codes` (n,): the group of each row, in [0, G) · `valid` (n,): rows that count · `count` (G,): valid rows
    · `mean` (G,): NaN for a group without valid rows · `std` (G,): 0 for a group of at most `ddof` valid rows
    · `flat` (G,): groups without spread · `deviation` (n,): value − mean, 0 in rows that don't count.
    """

    codes: Array
    valid: Array
    count: Array
    mean: Array
    std: Array
    flat: Array
    deviation: Array

    def z_scores(self, epsilon: float) -> Array:
        """`deviation / (std + epsilon)` (n,); 0 in flat groups and in rows that don't count."""
        return divide_by_std(self.deviation, self.std[self.codes], self.flat[self.codes], epsilon)


def group_statistics(
    values: Array,
    groups: Array | int,
    *,
    valid: Array | None = None,
    ddof: int = 1,
    std_floor: float = STD_FLOOR,
) -> GroupStatistics:
    """Mean and standard deviation of every group, over its valid rows.

        mean_g = Σ_{i∈g} x_i / k_g        std_g = sqrt( Σ_{i∈g} (x_i − mean_g)² / (k_g − ddof) )

    A group is *flat* where `k_g ≤ ddof`, `k_g ≤ 1` or `std_g ≤ std_floor · |mean_g|`: what spread it shows
    may be rounding residue of equal values. Deviations are taken from the group's largest value before they
    are summed, so equal values have a deviation of exactly 0 in every precision.

    Args:
        values: (n,) real. NaN marks a row that doesn't count.
        groups: (n,) integer codes, any integers in any order; or a group size, where groups are consecutive
            rows.
        valid: (n,) mask of rows that count.
        ddof: degrees of freedom taken off in the standard deviation; 1 is the sample std, 0 the population
            std.
        std_floor: relative floor of the standard deviation.

    Raises:
        ValueError: on shapes that don't fit, a group size that doesn't divide n, an infinite valid value, or values whose
            differences leave the range of their dtype.
    """
    x, xp, _ = floating(values, "values", ndim=1)
    n = x.shape[0]
    check_normalization(ddof=ddof, std_floor=std_floor)
    codes, size = _codes(groups, x)
    counts_row = ~xp.isnan(x)
    if valid is not None:
        counts_row = counts_row & boolean(valid, x, "valid", (n,))
    if bool(xp.any(xp.isinf(x) & counts_row)):
        raise ValueError("values: expected finite values, or NaN in rows that don't count; got infinity")

    count = segment_sum(xp.astype(counts_row, x.dtype), codes, size)
    occupied = count > 0
    largest = xp.where(occupied, segment_max(xp.where(counts_row, x, -xp.inf), codes, size), 0.0)
    below = xp.where(counts_row, x - largest[codes], 0.0)
    mean_below = segment_sum(below, codes, size) / xp.where(occupied, count, 1.0)
    deviation = xp.where(counts_row, below - mean_below[codes], 0.0)
    if not bool(xp.all(xp.isfinite(deviation))):
        raise ValueError(f"values: their differences leave the range of {x.dtype}")
    # Squares of deviations relative to the range can neither overflow nor vanish.
    span = segment_max(-below, codes, size)
    span = xp.where(span > 0, span, 1.0)
    squares = segment_sum((deviation / span[codes]) ** 2, codes, size)
    spread = (count > ddof) & (squares > 0)
    variance = xp.where(spread, squares, 1.0) / xp.where(spread, count - ddof, 1.0)
    std = xp.where(spread, span * xp.sqrt(variance), 0.0)  # the root of 0 has no gradient
    mean = largest + mean_below
    flat = ~spread | (count <= 1) | (std <= std_floor * xp.abs(mean))
    return GroupStatistics(codes, counts_row, count, xp.where(occupied, mean, xp.nan), std, flat, deviation)


def divide_by_std(deviation: Array, std: Array, flat: Array, epsilon: float) -> Array:
    """`deviation / (std + epsilon)`, and 0 where `flat`."""
    check_normalization(epsilon=epsilon)
    xp = namespace(deviation)
    return xp.where(flat, 0.0, deviation) / xp.where(flat, 1.0, std + epsilon)


def check_normalization(*, ddof: int = 0, epsilon: float = 0.0, std_floor: float = 0.0) -> None:
    """Raise `ValueError` where an option of a standard deviation is negative or not a number of its kind."""
    if ddof < 0 or ddof != int(ddof):
        raise ValueError(f"ddof: expected an integer of at least 0, got {ddof!r}")
    check_number(epsilon, "epsilon", low=0.0)
    check_number(std_floor, "std_floor", low=0.0)


def segment_sum(values: Array, codes: Array, size: int) -> Array:
    """Sum of the values of each code (size,), in the dtype of `values`; codes are in [0, size)."""
    if is_torch(values):
        return values.new_zeros(size).index_add(0, codes, values)
    return np.bincount(codes, weights=values, minlength=size).astype(values.dtype)


def segment_max(values: Array, codes: Array, size: int) -> Array:
    """Largest value of each code (size,); −inf, or 0 in torch, for a code without any."""
    if is_torch(values):
        return values.new_zeros(size).scatter_reduce(0, codes, values, "amax", include_self=False)
    largest = np.full(size, -np.inf, dtype=values.dtype)
    np.maximum.at(largest, codes, values)
    return largest


def _codes(groups: Array | int, like: Array) -> tuple[Array, int]:
    """Group of each row as a code in [0, G), and G."""
    xp = namespace(like)
    n = like.shape[0]
    if isinstance(groups, int) and not isinstance(groups, bool):
        if groups < 1 or n % groups:
            raise ValueError(f"groups: expected a group size that divides {n} rows, got {groups}")
        return xp.arange(n, device=device(like)) // groups, n // groups
    codes = companion(groups, like, "groups", (n,))
    if n and not xp.isdtype(codes.dtype, "integral"):
        raise TypeError(f"groups: expected integer codes or a group size, got dtype {codes.dtype}")
    found = xp.unique_inverse(codes)
    return found.inverse_indices, found.values.shape[0]
