"""Which samples a page carries in full where there are more than it can hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from guerdon.core.signal import Status
from guerdon.view.report.scores import Scores

EXTREMES = 100


def choose_rows(scores: Scores, limit: int) -> NDArray[np.int64]:
    """At most `limit` rows, ascending. All rows where they fit, else in this order until the page is full:

    1. failed and timed-out rows, evenly spaced where they alone would fill more than half of the page;
    2. of every set the `extremes_per_set` slowest, highest and lowest rows;
    3. rows evenly spaced over the rest.
    """
    n = len(scores)
    if n <= limit:
        return np.arange(n, dtype=np.int64)
    status, outcome, seconds = scores.signal.status, scores.signal.outcome, scores.signal.seconds
    chosen = np.zeros(n, dtype=bool)
    chosen[_spaced(np.flatnonzero(status >= Status.FAILED), limit // 2)] = True
    k = extremes_per_set(len(scores.sets), limit)
    for member in range(len(scores.sets)):
        rows = np.flatnonzero(scores.member == member)
        if seconds is not None:
            chosen[_largest(rows, seconds[rows], k)] = True
        chosen[_largest(rows, outcome[rows], k)] = True
        chosen[_largest(rows, -outcome[rows], k)] = True
    chosen[_spaced(np.flatnonzero(~chosen), limit - int(chosen.sum()))] = True
    return np.flatnonzero(chosen)


def extremes_per_set(sets: int, limit: int) -> int:
    """How many slowest, highest and lowest rows of each set are kept: they fill at most 3/8 of the page."""
    return min(EXTREMES, limit // (8 * max(sets, 1)))


def _spaced(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    if rows.size <= count:
        return rows
    return rows[np.linspace(0, rows.size - 1, max(count, 0)).astype(np.int64)]


def _largest(rows: NDArray[np.int64], values: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    known = rows[np.isfinite(values)]
    order = np.argsort(-values[np.isfinite(values)], kind="stable")
    return known[order[:k]]
