"""What a sample without a value counts as, where a trainer has no way to leave it out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.core.signal import Signal


def group_mean(signal: Signal, codes: NDArray[np.integer[Any]], otherwise: float) -> NDArray[np.float64]:
    """Totals (n,) in which a row that isn't OK has the mean of the OK rows with its code.

    Such a row gets advantage 0 in a group-relative estimator and doesn't move the baseline. The std of the group comes
    out smaller by a factor `sqrt((k − 1)/(n − 1))`, k of n being OK. Where no row with that code is OK, `otherwise`.

    `codes` (n,): group of each row, in [0, n).
    """
    ok, total = signal.ok, signal.total
    sums = np.bincount(codes[ok], weights=total[ok], minlength=len(signal))
    counts = np.bincount(codes[ok], minlength=len(signal))
    means = np.where(counts > 0, sums / np.maximum(counts, 1), otherwise)
    return np.where(ok, total, means[codes])
