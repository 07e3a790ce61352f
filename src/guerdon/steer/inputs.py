"""Checks of what comes in."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def as_vector(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Numbers (n,) as float64, NaN among them or not. Raises `ValueError` for anything else, booleans included."""
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iuf"):
        raise ValueError(f"{name}: expected a list of numbers, got {values!r:.80}")
    return array.astype(np.float64)
