"""Checks of arrays that the losses and scores of this room share."""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np
from numpy.typing import NDArray


def check_shapes(shape: tuple[int, ...], **arrays: Any) -> None:
    """Raise `ValueError`, which names the first array whose shape isn't `shape`."""
    for name, array in arrays.items():
        if tuple(array.shape) != shape:
            raise ValueError(f"{name}: expected shape {shape}, got {tuple(array.shape)}")


def widened(array: Any) -> Any:
    """In float32 unless it is in float64: half precision has too little room for sums and small differences."""
    xp = array_api_compat.array_namespace(array)
    return array if array.dtype in (xp.float32, xp.float64) else xp.astype(array, xp.float32)


def check_batch(array: Any, name: str) -> None:
    """Raise `ValueError` unless `array` is (n,) with n of at least 1: a mean over nothing has no value."""
    if array.ndim != 1 or array.shape[0] < 1:
        raise ValueError(f"{name}: expected shape (n,) with n of at least 1, got {tuple(array.shape)}")


def row_offsets(offsets: Any, name: str, total: int) -> NDArray[np.int64]:
    """Row offsets (n+1,) from any array or list. Raises `ValueError` unless they rise from 0 to `total`."""
    bounds = np.asarray(offsets.tolist() if hasattr(offsets, "tolist") else offsets)
    if (
        bounds.ndim != 1
        or bounds.size < 1
        or bounds.dtype.kind not in "iu"
        or bounds[0] != 0
        or bounds[-1] != total
        or (np.diff(bounds) < 0).any()
    ):
        raise ValueError(f"{name}: expected integers (n+1,) that rise from 0 to {total}, got {offsets!r:.80}")
    return bounds.astype(np.int64)
