"""Transforms that look at one value at a time."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_number
from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.shape.channel import Channel, ChannelTransform, Floats


@register("affine", kind="transform", example="{transform: affine, scale: 0.5, shift: -1.0}")
class Affine(ChannelTransform):
    """Scale and shift: `x ↦ scale · x + shift`.

    `std` is multiplied by |scale|. With `channel="dense"` every dense value is mapped.

    Raises `ValueError` where an argument isn't finite.
    """

    name = "affine"

    def __init__(self, scale: float = 1.0, shift: float = 0.0, channel: Channel = "outcome") -> None:
        super().__init__(channel)
        self.scale = check_number(scale, "affine.scale")
        self.shift = check_number(shift, "affine.shift")

    def map(self, values: Floats, groups: NDArray[np.int64], context: Context) -> tuple[Floats, float]:
        with np.errstate(over="ignore"):
            return self.scale * values + self.shift, self.scale


@register("clip", kind="transform", example="{transform: clip, low: -1.0, high: 1.0}")
class Clip(ChannelTransform):
    """Limit to an interval: `x ↦ min(max(x, low), high)`.

    Either end may be absent. The result has no `std`: a clipped value's uncertainty isn't the input's.

    Raises `ValueError` where both ends are absent, an end is NaN, or `low > high`.
    """

    name = "clip"

    def __init__(
        self, low: float | None = None, high: float | None = None, channel: Channel = "outcome"
    ) -> None:
        super().__init__(channel)
        if low is None and high is None:
            raise ValueError("clip: expected low, high or both")
        ends = (-math.inf if low is None else low, math.inf if high is None else high)
        if not ends[0] <= ends[1]:
            raise ValueError(f"clip: expected low <= high, got {low} and {high}")
        self.low, self.high = ends

    def map(self, values: Floats, groups: NDArray[np.int64], context: Context) -> tuple[Floats, None]:
        return np.clip(values, self.low, self.high), None


@register("threshold", kind="transform", example="{transform: threshold, at: 0.5}")
class Threshold(ChannelTransform):
    """Two levels: `x ↦ above` where `x ≥ at`, else `below`.

    `inclusive=False` compares with `x > at`: the tie rule matters for rewards on a grid. The result has no
    `std`.

    Raises `ValueError` where an argument isn't finite.
    """

    name = "threshold"

    def __init__(
        self,
        at: float,
        above: float = 1.0,
        below: float = 0.0,
        *,
        inclusive: bool = True,
        channel: Channel = "outcome",
    ) -> None:
        super().__init__(channel)
        self.at = check_number(at, "threshold.at")
        self.above = check_number(above, "threshold.above")
        self.below = check_number(below, "threshold.below")
        self.inclusive = inclusive

    def map(self, values: Floats, groups: NDArray[np.int64], context: Context) -> tuple[Floats, None]:
        reached = values >= self.at if self.inclusive else values > self.at
        return np.where(reached, self.above, self.below), None
