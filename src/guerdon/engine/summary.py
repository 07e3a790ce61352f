"""What a run came to, gathered chunk by chunk: status counts, moments of every part, reasons."""

from __future__ import annotations

import collections
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from guerdon.core.signal import Signal, Status

_REASONS = 1000


@dataclass(slots=True)
class Moments:
    """Count, mean, standard deviation (ddof 0), smallest and largest of the OK rows of one Signal, and its statuses."""

    statuses: dict[Status, int] = field(default_factory=lambda: dict.fromkeys(Status, 0))
    count: int = 0
    mean: float = math.nan
    low: float = math.inf
    high: float = -math.inf
    _squares: float = 0.0

    def add(self, signal: Signal) -> None:
        """Take in the rows of one chunk."""
        for status, count in signal.counts().items():
            self.statuses[status] += count
        values = signal.outcome[signal.ok]
        if not values.size:
            return
        mean, squares = float(values.mean()), float(((values - values.mean()) ** 2).sum())
        if self.count:
            delta, total = mean - self.mean, self.count + values.size
            squares += self._squares + delta * delta * self.count * values.size / total
            mean = self.mean + delta * values.size / total
        self.count += int(values.size)
        self.mean, self._squares = mean, squares
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))

    @property
    def std(self) -> float:
        """Standard deviation, ddof 0."""
        return math.sqrt(self._squares / self.count) if self.count else math.nan

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; null where there is no value."""
        numbers = {"mean": self.mean, "std": self.std, "min": self.low, "max": self.high}
        return {
            **{status.name.lower(): count for status, count in self.statuses.items()},
            **{key: value if math.isfinite(value) else None for key, value in numbers.items()},
        }


class Summary:
    """Gathers a run. `parts` has one `Moments` for each part, nested ones as `outer/inner`."""

    def __init__(self) -> None:
        self.samples = 0
        self.total = Moments()
        self.parts: dict[str, Moments] = {}
        self.reasons: collections.Counter[str] = collections.Counter()
        self.slowest = 0.0

    def add(self, signal: Signal) -> None:
        """Take in one chunk."""
        self.samples += len(signal)
        self.total.add(signal)
        for path, part in signal.walk():
            if path:
                self.parts.setdefault("/".join(path), Moments()).add(part)
        for text in signal.reasons.values():
            if text in self.reasons or len(self.reasons) < _REASONS:
                self.reasons[text] += 1
        if signal.seconds is not None and len(signal):
            self.slowest = max(self.slowest, float(np.nanmax(signal.seconds)))

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "samples": self.samples,
            "outcome": self.total.as_dict(),
            "parts": {name: moments.as_dict() for name, moments in self.parts.items()},
            "reasons": dict(self.reasons.most_common(20)),
        }
