"""Rows of unlike length, as arrays and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def ragged(nested: Sequence[Sequence[Any]]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Values (m, …) of all rows end to end, and their offsets (n+1,)."""
    values = np.array([value for row in nested for value in row], dtype=np.float64)
    return values, np.cumsum([0, *map(len, nested)])


def rows(values: NDArray[Any], offsets: NDArray[np.int64]) -> list[list[float]]:
    """The rows of values (m,), as lists."""
    return [row.tolist() for row in np.split(values, offsets[1:-1])]
