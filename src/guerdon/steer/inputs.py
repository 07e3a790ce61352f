"""Checks of what comes in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def as_vector(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Numbers (n,) as float64, NaN among them or not. Raises `ValueError` for anything else, booleans included."""
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iuf"):
        raise ValueError(f"{name}: expected a list of numbers, got {values!r:.80}")
    return array.astype(np.float64)


def check_count(value: Any, name: str, low: int = 1, high: int | None = None) -> None:
    """Raise `ValueError` where `value` isn't an integer in [low, high]."""
    if type(value) is not int or value < low or (high is not None and value > high):
        bounds = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name}: expected an integer {bounds}, got {value!r}")
