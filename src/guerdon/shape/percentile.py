"""Normalisation by the spread of the last values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_number
from guerdon.core.context import Context
from guerdon.core.recent import RecentValues
from guerdon.core.registry import register
from guerdon.shape.channel import Channel, ChannelTransform, Floats


@register("percentile_normalize", kind="transform", example="{transform: percentile_normalize, window: 1000}")
class PercentileNormalize(ChannelTransform):
    """Where a value stands between two percentiles of the last `window` values, in [0, 1].

        x ↦ clip((x − low_x) / (high_x − low_x), 0, 1)

    `low_x`, `high_x`: the percentiles `low` and `high` of the window, with linear interpolation between
    neighbours. Values enter the window one after another in the order of the rows, each before it is
    normalised, so the result depends on that order. Where `high_x − low_x < min_spread`, which includes the
    first value, the result is `flat`.

    Few extreme values move a percentile little, which suits costs with a long tail. Equal percentiles from
    both ends (5 and 95) make it symmetric: the negated reward gives 1 minus the result.

    Rows that aren't OK stay as they are and don't enter. One object holds the window of one reward: give each
    part of a sum its own. `frozen=True` normalises without learning, for evaluation with a loaded state; with
    an empty window the result is then `flat`.

    Raises `ValueError` unless `window` ≥ 1, 0 ≤ `low` < `high` ≤ 100, `min_spread` > 0 and `flat` is finite.

    H. Zhang, T. Feng, J. You, "Router-R1: Teaching LLMs Multi-Round Routing and Aggregation via Reinforcement
    Learning", arXiv 2506.09033, repository ulab-uiuc/Router-R1. Its cost reward is this with the defaults, on
    `-sqrt(cost)`.
    """

    name = "percentile_normalize"
    scope = "batch"

    def __init__(
        self,
        *,
        window: int = 1000,
        low: float = 5.0,
        high: float = 95.0,
        min_spread: float = 1e-8,
        flat: float = 0.5,
        frozen: bool = False,
        channel: Channel = "outcome",
    ) -> None:
        super().__init__(channel)
        self._recent = RecentValues(window)
        if not 0 <= low < high <= 100:
            raise ValueError(f"low, high: expected 0 <= low < high <= 100, got low={low}, high={high}")
        self.window, self.low, self.high = self._recent.window, float(low), float(high)
        self.min_spread = check_number(min_spread, "min_spread", above=0.0)
        self.flat = check_number(flat, "flat")
        self.frozen = frozen

    def map(self, values: Floats, groups: NDArray[np.int64], context: Context) -> tuple[Floats, None]:
        return np.asarray([self._normalized(float(x)) for x in values], dtype=np.float64), None

    def _normalized(self, x: float) -> float:
        if not self.frozen:
            self._recent.enter(x)
        if not len(self._recent):
            return self.flat
        low, high = self._recent.percentile(self.low), self._recent.percentile(self.high)
        if high - low < self.min_spread:
            return self.flat
        return min(max((x - low) / (high - low), 0.0), 1.0)

    def state_dict(self) -> dict[str, Any]:
        return {"recent": self._recent.values()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave; of a longer window the last values."""
        self._recent = RecentValues(self.window, map(float, state["recent"]))
