"""From values of samples and steps to values of tokens."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from guerdon.core.checks import check_choice
from guerdon.shape.arrays import (
    Array,
    boolean,
    check_finite,
    check_offsets,
    check_spans,
    companion,
    device,
    floating,
    namespace,
)
from guerdon.shape.rows import row_index
from guerdon.shape.statistics import segment_sum

Share: TypeAlias = Literal["each", "last", "mean"]
SHARES: tuple[Share, ...] = ("each", "last", "mean")


def broadcast_outcome(advantage: Array, mask: Array, *, dtype: Any = None) -> Array:
    """Give every token of a sample the sample's advantage: `A_{i,t} = A_i · mask_{i,t}`.

    Args:
        advantage: (n,) finite.
        mask: (n, T) tokens that count; others get 0.
        dtype: of the result, in the namespace of `advantage`; that of `advantage` by default.

    Raises `ValueError` on shapes that don't fit or an advantage that isn't finite, or wouldn't be in that dtype.
    """
    a, _, own = floating(advantage, "advantage", ndim=1)
    check_finite(a, "advantage")
    keep = boolean(mask, a, "mask", (a.shape[0], _width(mask)))
    return _cast(a, own if dtype is None else dtype, "advantage")[:, None] * keep


def spread_steps(
    values: Array,
    spans: Array,
    mask: Array,
    offsets: Array | None = None,
    *,
    share: Share = "each",
    base: Array | None = None,
    dtype: Any = None,
) -> Array:
    """Give the tokens of each step the step's value.

        A_{i,t} = mask_{i,t} · (base_i + Σ_{j: t ∈ span_{i,j}} w_{j,t} · value_{i,j})

        share   each   w_{j,t} = 1
                last   w_{j,t} = 1 at the last token of the span that is in the mask, else 0
                mean   w_{j,t} = 1 / (tokens of the span that are in the mask)

    Tokens in no span get `base`, tokens in several spans the sum, and tokens outside the mask 0. A step none
    of whose tokens is in the mask (a tool's output, say) has nobody to give its value to.

    Args:
        values: (m,) finite values of ragged steps; or (n, S) padded.
        spans: (m, 2) integers, half-open, in tokens of the row; or (n, S, 2), padded with empty spans.
        mask: (n, T) tokens that count.
        offsets: (n+1,) row offsets of ragged steps: those of `Dense`.
        base: (n,) finite, added to every token of a row, such as the advantage of its outcome.
        dtype: of the result, in the namespace of `values`; that of `values` by default. Sums are formed in
            the precision of `values`.

    Returns:
        (n, T). Each element is written once where spans are disjoint, whatever their order.

    Raises:
        ValueError: on shapes that don't fit, a span that leaves `[0, T]`, or a value that isn't finite, or whose sum
            with others isn't in that dtype.
    """
    check_choice(share, "share", SHARES)
    v, xp, own = floating(values, "values")
    check_finite(v, "values")
    width = _width(mask)
    if v.ndim == 2 and offsets is None:
        spans = companion(spans, v, "spans", (*v.shape, 2)).reshape(-1, 2)
        offsets = xp.arange(v.shape[0] + 1, device=device(v)) * v.shape[1]
        v = v.reshape(-1)
    if v.ndim != 1 or offsets is None:
        raise ValueError(f"values: expected shape (m,) with offsets, or (n, S); got {tuple(v.shape)}")
    bounds = check_offsets(offsets, v, "offsets", v.shape[0])
    n = bounds.shape[0] - 1
    keep = boolean(mask, v, "mask", (n, width))
    edges = check_spans(companion(spans, v, "spans", (v.shape[0], 2)), "spans", high=width)
    level = xp.zeros(n, dtype=v.dtype, device=device(v))
    if base is not None:
        level = xp.astype(companion(base, v, "base", (n,)), v.dtype)
        check_finite(level, "base")

    row = row_index(bounds[1:] - bounds[:-1])
    start, end = row * width + edges[:, 0], row * width + edges[:, 1]
    filled = end > start
    if share != "each":
        places = xp.nonzero(keep.reshape(-1))[0]
        low, high = xp.searchsorted(places, start), xp.searchsorted(places, end)
        filled = high > low
        if share == "mean":
            v = v / xp.where(filled, xp.astype(high - low, v.dtype), 1.0)
        elif places.shape[0]:
            start = places[xp.where(filled, high - 1, 0)]
            end = start + 1
    chosen = xp.nonzero(filled)[0]
    chosen = chosen[xp.argsort(start[chosen])]
    result = _paint(
        v[chosen], start[chosen], end[chosen], row[chosen], level, width, own if dtype is None else dtype
    )
    result *= keep
    return result


def _paint(v: Array, start: Array, end: Array, row: Array, level: Array, width: int, dtype: Any) -> Array:
    """(n, width) with `level` of the row, plus `v` in the spans `[start, end)`, sorted by `start`.

    Positions count through all rows.
    """
    xp = namespace(v)
    n = level.shape[0]
    if bool(xp.any(start[1:] < end[:-1])):
        length = end - start
        before = xp.cumulative_sum(length) - length
        place = xp.repeat(start - before, length) + xp.arange(int(xp.sum(length)), device=device(v))
        painted = segment_sum(xp.repeat(v, length), place, n * width).reshape(n, width)
        return _cast(painted + level[:, None], dtype, "values")

    # A row of disjoint spans is a sequence of runs: gap, span, gap, span, …, gap. One repeat writes them all.
    m = v.shape[0]
    gap = 2 * xp.arange(m, device=device(v)) + row
    upto = xp.searchsorted(row, xp.arange(n, device=device(v)), side="right")
    tail = 2 * upto + xp.arange(n, device=device(v))
    reached = xp.concat([xp.zeros(1, dtype=end.dtype, device=device(v)), end])
    run = xp.zeros(2 * m + n, dtype=v.dtype, device=device(v))
    length = xp.zeros(2 * m + n, dtype=end.dtype, device=device(v))
    run[gap], run[gap + 1], run[tail] = level[row], level[row] + v, level
    first = xp.arange(n, device=device(v)) * width
    length[gap] = start - xp.maximum(reached[:-1], first[row])
    length[gap + 1] = end - start
    length[tail] = first + width - xp.maximum(reached[upto], first)
    return xp.repeat(_cast(run, dtype, "values"), length).reshape(n, width)


def _cast(numbers: Array, dtype: Any, name: str) -> Array:
    xp = namespace(numbers)
    with np.errstate(over="ignore"):
        cast = xp.astype(numbers, dtype)
    if not bool(xp.all(xp.isfinite(cast))):
        raise ValueError(
            f"{name}: expected numbers that {dtype} can hold, got up to {float(xp.max(xp.abs(numbers))):g}"
        )
    return cast


def _width(mask: Array) -> int:
    if getattr(mask, "ndim", None) != 2:
        raise ValueError(f"mask: expected an array (n, T), got {getattr(mask, 'shape', type(mask).__name__)}")
    return int(mask.shape[1])
