"""From the numbers of the seeds to an interval and a verdict."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from guerdon.claims.harness.claim import Relation

Verdict: TypeAlias = Literal["holds", "does not hold", "inconclusive"]
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """Mean over seeds with its 95 % interval, `mean ± t_{0.975, n−1} · std / √n` (ddof 1)."""

    mean: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half of the width."""
        return (self.high - self.low) / 2

    @property
    def text(self) -> str:
        """`0.948 ± 0.0097`."""
        return f"{self.mean:.3g} ± {self.half:.2g}"

    @property
    def bounds(self) -> str:
        """`-3.09 to -1.36`."""
        return f"{self.low:+.3g} to {self.high:+.3g}"


def interval(values: Sequence[float]) -> Interval:
    """Of n ≥ 2 numbers; one number has an interval without bounds. Raises `ValueError` on none."""
    from scipy.special import stdtrit

    if not values:
        raise ValueError("values: expected at least one")
    mean, n = float(np.mean(values)), len(values)
    if n == 1:
        return Interval(mean, -math.inf, math.inf)
    quantile = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2))
    half = quantile * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half)


def judge(difference: Interval, relation: Relation, margin: float) -> Verdict:
    """Whether a difference is what was expected: its whole interval lies on one side of the bound, or it's inconclusive."""
    sign = 1.0 if relation in ("higher", "no_lower") else -1.0
    bound = margin if relation in ("higher", "lower") else -margin
    low, high = sorted((sign * difference.low, sign * difference.high))
    if low > bound:
        return "holds"
    return "does not hold" if high <= bound else "inconclusive"


def overall(verdicts: Iterable[Verdict]) -> Verdict:
    """Of a claim with several expectations: it holds where all do, and doesn't where one doesn't."""
    found = set(verdicts)
    for verdict in ("does not hold", "inconclusive"):
        if verdict in found:
            return verdict
    return "holds"
