"""Normalisation by everything seen so far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.shape.channel import Channel, ChannelTransform, Floats
from guerdon.shape.statistics import STD_FLOOR, check_normalization


@register("running_normalize", kind="transform", example="{transform: running_normalize}")
class RunningNormalize(ChannelTransform):
    """z-score by the running mean and std: `x ↦ (x − mean) / (std + epsilon)`.

    Each batch first enters the statistics and is then normalised. With `k` values of mean `m` and sum of
    squared deviations `q` in the batch, and `count`, `mean`, `m2` before it:

        Δ = m − mean
        mean ← mean + Δ · k / (count + k)
        m2   ← m2 + q + Δ² · count · k / (count + k)
        count ← count + k
        std  = sqrt(m2 / (count − ddof))

    While at most `ddof` values, or one, were seen, or the std is at most `std_floor · |mean|`, the result is
    0. Rows that aren't OK stay as they are and don't enter. One object holds the statistics of one reward:
    give each part of a sum its own. `frozen=True` normalises without learning, for evaluation with a loaded
    state.

    Raises `ValueError` where `ddof`, `epsilon` or `std_floor` is negative.

    B. P. Welford, "Note on a method for calculating corrected sums of squares and products", Technometrics
    1962; merged by batch as in T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating formulae and a pairwise
    algorithm for computing sample variances", 1979.
    """

    name = "running_normalize"
    scope = "batch"

    def __init__(
        self,
        *,
        ddof: int = 1,
        epsilon: float = 1e-6,
        std_floor: float = STD_FLOOR,
        frozen: bool = False,
        channel: Channel = "outcome",
    ) -> None:
        super().__init__(channel)
        check_normalization(ddof=ddof, epsilon=epsilon, std_floor=std_floor)
        self.ddof, self.epsilon, self.std_floor = ddof, epsilon, std_floor
        self.frozen = frozen
        self._count, self._mean, self._m2 = 0, 0.0, 0.0

    def map(self, values: Floats, groups: NDArray[np.int64], context: Context) -> tuple[Floats, float]:
        if not self.frozen and values.size:
            self._learn(values)
        if self._count <= max(self.ddof, 1):
            return np.zeros_like(values), 0.0
        std = math.sqrt(self._m2 / (self._count - self.ddof))
        if std <= self.std_floor * abs(self._mean):
            return np.zeros_like(values), 0.0
        return (values - self._mean) / (std + self.epsilon), 1.0 / (std + self.epsilon)

    def _learn(self, values: Floats) -> None:
        k, mean = values.size, float(values.mean())
        total, delta = self._count + k, mean - self._mean
        self._mean += delta * k / total
        self._m2 += float(((values - mean) ** 2).sum()) + delta**2 * self._count * k / total
        self._count = total

    def state_dict(self) -> dict[str, Any]:
        return {"count": self._count, "mean": self._mean, "m2": self._m2}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._count, self._mean, self._m2 = int(state["count"]), float(state["mean"]), float(state["m2"])
