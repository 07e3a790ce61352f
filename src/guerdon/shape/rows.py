"""Reductions and scans of rows that lie end to end: row i of n is the next `lengths[i]` of the m values."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from guerdon.shape.arrays import Array, device, is_torch, namespace
from guerdon.shape.statistics import segment_max, segment_sum

Operation: TypeAlias = Literal["add", "minimum"]

LONG = 64
"""Mean length of rows from which a loop over them costs less than passes over everything."""

BLOCK = 1 << 16
"""About how many values a block has: few enough that they and what a kernel makes of them fit into the cache."""


def row_index(lengths: Array) -> Array:
    """The row that each value belongs to (m,)."""
    xp = namespace(lengths)
    return xp.repeat(xp.arange(lengths.shape[0], device=device(lengths)), lengths)


def row_sum(values: Array, lengths: Array) -> Array:
    """Sum of each row (n,), in the dtype of `values`; 0 for a row without any."""
    if is_torch(values):
        return segment_sum(values, row_index(lengths), lengths.shape[0])
    return _reduce(np.add, values, lengths, 0.0)


def row_min(values: Array, lengths: Array) -> Array:
    """Smallest value of each row (n,); inf, or 0 in torch, for a row without any."""
    if is_torch(values):
        return -segment_max(-values, row_index(lengths), lengths.shape[0])
    return _reduce(np.minimum, values, lengths, np.inf)


def scan_to_end(values: Array, lengths: Array, operation: Operation, *, overwrite: bool = False) -> Array:
    """Sum, or minimum, of each value and all that follow it in its row (m,); differentiable in torch.

    Values are finite. With `overwrite` their memory may become the result's.
    """
    n, m = lengths.shape[0], values.shape[0]
    if is_torch(values) or m < LONG * n:
        return _scan_by_doubling(values, lengths, operation)
    # Without NaN fmin is the minimum, and NumPy accumulates it faster.
    accumulate = (np.add if operation == "add" else np.fmin).accumulate
    result = values if overwrite else np.empty_like(values)
    backwards, written, start = values[::-1], result[::-1], 0
    for length in reversed(lengths.tolist()):
        accumulate(backwards[start : start + length], out=written[start : start + length])
        start += length
    return result


def _scan_by_doubling(values: Array, lengths: Array, operation: Operation) -> Array:
    """After pass p each value stands for 2^p from it on; log2 of the longest row passes are enough."""
    xp = namespace(values)
    combine = getattr(xp, operation)
    values = xp.astype(values, values.dtype)
    row, longest, reach = row_index(lengths), int(xp.max(lengths)) if lengths.shape[0] else 0, 1
    while reach < longest:
        ahead = combine(values[:-reach], values[reach:])
        same_row = row[:-reach] == row[reach:]
        values = xp.concat([xp.where(same_row, ahead, values[:-reach]), values[-reach:]])
        reach *= 2
    return values


def by_rows(
    kernel: Callable[..., Array],
    lengths: Array,
    values: tuple[Array, ...],
    numbers: tuple[Array, ...] = (),
    *,
    overwrite: bool = False,
) -> Array:
    """`kernel(lengths, *values, *numbers)` of arrays (m,) and of one number a row (n,), in blocks of whole rows.

    The kernel gives (m,) in the dtype of the first of `values`, and what it gives for a row depends on that row alone.
    With `overwrite` the memory of the first may become the result's. Torch gets all rows at once.
    """
    if is_torch(values[0]):
        return kernel(lengths, *values, *numbers)
    bounds: NDArray[np.int64] = np.concatenate(([0], np.cumsum(lengths)))
    result = values[0] if overwrite else np.empty_like(values[0])
    cuts = np.searchsorted(bounds, np.arange(0, values[0].shape[0], BLOCK, dtype=np.int64)).tolist()
    for first, last in pairwise([*cuts, lengths.shape[0]]):
        block = slice(bounds[first], bounds[last])
        inner = (array[block] for array in values)
        result[block] = kernel(lengths[first:last], *inner, *(array[first:last] for array in numbers))
    return result


def _reduce(operation: np.ufunc, values: Array, lengths: Array, empty: float) -> Array:
    result: Array = np.full(lengths.shape[0], empty, dtype=values.dtype)
    filled = lengths > 0
    if values.size:
        result[filled] = operation.reduceat(values, (np.cumsum(lengths) - lengths)[filled])
    return result
