"""The last values of a stream, in order of size: percentiles without sorting them anew."""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Iterable


class RecentValues:
    """A window of the last `window` values. Raises `ValueError` where `window` isn't an integer of at least 1."""

    def __init__(self, window: int, values: Iterable[float] = ()) -> None:
        if window != int(window) or window < 1:
            raise ValueError(f"window: expected an integer of at least 1, got {window!r}")
        self.window = int(window)
        self._recent = deque[float](values, maxlen=self.window)
        self._sorted = sorted(self._recent)

    def __len__(self) -> int:
        return len(self._recent)

    def enter(self, value: float) -> None:
        """Take a value in; the oldest goes where the window is full."""
        if len(self._recent) == self.window:
            del self._sorted[bisect.bisect_left(self._sorted, self._recent[0])]
        self._recent.append(value)
        bisect.insort(self._sorted, value)

    def percentile(self, percent: float) -> float:
        """Linear interpolation at position percent/100 · (k − 1) of the k values. Raises `IndexError` without any."""
        position = percent / 100 * (len(self._sorted) - 1)
        below = int(position)
        if below == len(self._sorted) - 1:
            return self._sorted[below]
        share = position - below
        return (1 - share) * self._sorted[below] + share * self._sorted[below + 1]

    def values(self) -> list[float]:
        """The values, oldest first."""
        return list(self._recent)
