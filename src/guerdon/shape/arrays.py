"""What the array functions of `shape` and `credit` accept: NumPy or torch arrays, checked at the door.

The first array of a call decides namespace and device; its companions (group codes, masks, offsets) are
brought there.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import array_api_compat

Array: TypeAlias = Any
"""A NumPy array or a torch tensor."""

_compat: Any = array_api_compat


def namespace(array: Array) -> Any:
    """The array-API namespace that `array` belongs to."""
    return _compat.array_namespace(array)


def device(array: Array) -> Any:
    """Where `array` lives."""
    return _compat.device(array)


def is_torch(array: Array) -> bool:
    """Whether `array` is a torch tensor; doesn't import torch."""
    return _compat.is_torch_array(array)


class Floating(NamedTuple):
    """`values` in a precision fit for sums, their namespace `xp`, and the `dtype` of the caller's result."""

    values: Array
    xp: Any
    dtype: Any


def floating(array: Array, name: str, ndim: int | None = None) -> Floating:
    """Open an array of real numbers.

    Integers and booleans become the default float; half precision is widened to float32 for the computation,
    and `dtype` stays the caller's. Raises `TypeError` for anything but a real array and `ValueError` for a
    wrong rank.
    """
    if not _compat.is_array_api_obj(array):
        raise TypeError(f"{name}: expected a NumPy or torch array, got {type(array).__name__}")
    xp = namespace(array)
    if ndim is not None:
        check_rank(array, name, ndim)
    if xp.isdtype(array.dtype, ("bool", "integral")):
        array = xp.astype(array, xp.asarray(0.0).dtype)
    elif not xp.isdtype(array.dtype, "real floating"):
        raise TypeError(f"{name}: expected real numbers, got dtype {array.dtype}")
    wide = array if array.dtype in (xp.float32, xp.float64) else xp.astype(array, xp.float32)
    return Floating(wide, xp, array.dtype)


def beside(array: Any, like: Array) -> Array:
    """`array` where `like` lives; its graph is kept."""
    if is_torch(like) and is_torch(array):
        return array.to(device(like))  # `torch.asarray` cuts the graph in older releases
    return namespace(like).asarray(array, device=device(like))


def companion(array: Any, like: Array, name: str, shape: tuple[int, ...]) -> Array:
    """`array` where `like` lives. Raises `ValueError` where its shape isn't `shape`."""
    moved = beside(array, like)
    if tuple(moved.shape) != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {tuple(moved.shape)}")
    return moved


def boolean(array: Any, like: Array, name: str, shape: tuple[int, ...]) -> Array:
    """A mask: booleans, or integers of which 0 means out. Raises `TypeError` for other dtypes."""
    moved = companion(array, like, name, shape)
    xp = namespace(like)
    if not xp.isdtype(moved.dtype, ("bool", "integral")):
        raise TypeError(f"{name}: expected booleans or integers, got dtype {moved.dtype}")
    return moved if moved.dtype == xp.bool else moved != 0


def check_rank(array: Array, name: str, ndim: int) -> None:
    """Raise `ValueError` where the rank isn't `ndim`."""
    if array.ndim != ndim:
        raise ValueError(f"{name}: expected rank {ndim}, got shape {tuple(array.shape)}")


def check_finite(array: Array, name: str) -> None:
    """Raise `ValueError` where a number is NaN or infinite."""
    xp = namespace(array)
    if not bool(xp.all(xp.isfinite(array))):
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")


def check_offsets(offsets: Any, like: Array, name: str, total: int, rows: int | None = None) -> Array:
    """Row offsets (n+1,) that rise from 0 to `total`, beside `like`. Raises `ValueError` otherwise."""
    xp = namespace(like)
    moved = beside(offsets, like)
    if (
        moved.ndim != 1
        or moved.shape[0] < 1
        or (rows is not None and moved.shape[0] != rows + 1)
        or not xp.isdtype(moved.dtype, "integral")
        or int(moved[0]) != 0
        or int(moved[-1]) != total
        or bool(xp.any(moved[1:] < moved[:-1]))
    ):
        length = "n+1" if rows is None else rows + 1
        raise ValueError(
            f"{name}: expected integers ({length},) that rise from 0 to {total}, got {offsets!r}"
        )
    return moved


def check_spans(spans: Array, name: str, high: int | None = None) -> Array:
    """Half-open spans (m, 2) as int64. Raises `ValueError` where one leaves [0, high] or is reversed."""
    xp = namespace(spans)
    if spans.ndim != 2 or spans.shape[1] != 2 or not xp.isdtype(spans.dtype, "integral"):
        raise ValueError(f"{name}: expected integers (m, 2), got {spans.dtype} {tuple(spans.shape)}")
    start, end = spans[:, 0], spans[:, 1]
    if bool(xp.any((start < 0) | (end < start))) or (high is not None and bool(xp.any(end > high))):
        limit = "" if high is None else f" <= {high}, the width of the mask"
        raise ValueError(f"{name}: expected 0 <= start <= end{limit} in every row")
    return xp.astype(spans, xp.int64)
