"""Weights that change over training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from guerdon.core.algebra import finite
from guerdon.core.checks import check_choice, check_number
from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.core.signal import Signal
from guerdon.core.transform import Transform


@register(
    "schedule",
    kind="transform",
    example="{transform: schedule, points: [[0, 0.0], [100, 1.0]], interpolation: cosine}",
)
class Schedule(Transform):
    """Multiply outcome and dense values by a factor that depends on the training step.

    `points`: pairs `(step, factor)` with rising steps. Between two points, with `u` the share of the way from
    `step_0` to `step_1`, the factor is

        linear:  factor_0 + (factor_1 − factor_0) · u
        cosine:  factor_0 + (factor_1 − factor_0) · (1 − cos(π u)) / 2

    and before the first and after the last point it is that point's. `std` is multiplied by |factor|.

    Raises `ValueError` for points that don't rise, and on use where `context.step` is missing: a weight that
    silently stayed at its start would be a wrong reward.
    """

    name = "schedule"

    def __init__(
        self, points: Sequence[tuple[float, float]], interpolation: Literal["linear", "cosine"] = "linear"
    ) -> None:
        check_choice(interpolation, "schedule.interpolation", ("linear", "cosine"))
        pairs = [tuple(point) for point in points]
        if not pairs or any(len(pair) != 2 for pair in pairs):
            raise ValueError(f"schedule.points: expected at least one (step, factor), got {points!r}")
        self.points = [
            (check_number(s, "schedule step"), check_number(f, "schedule factor")) for s, f in pairs
        ]
        if any(later[0] <= earlier[0] for earlier, later in zip(self.points, self.points[1:], strict=False)):
            raise ValueError(
                f"schedule.points: expected rising steps, got {[step for step, _ in self.points]}"
            )
        self.interpolation = interpolation

    def factor(self, step: float) -> float:
        """The factor at a training step."""
        steps, factors = zip(*self.points, strict=True)
        position = float(np.interp(step, steps, np.arange(len(steps))))
        if self.interpolation == "cosine":
            whole = math.floor(position)
            position = whole + (1.0 - math.cos(math.pi * (position - whole))) / 2.0
        return float(np.interp(position, np.arange(len(factors)), factors))

    def apply(self, signal: Signal, groups: NDArray[np.int64], context: Context) -> Signal:
        if context.step is None:
            raise ValueError("schedule: context.step is missing; pass Context(step=…) with the training step")
        factor = self.factor(context.step)
        return finite(
            signal.outcome * factor,
            signal.status,
            signal.reasons,
            dense=None if signal.dense is None else signal.dense.scale(factor),
            parts=signal.parts,
            std=None if signal.std is None else signal.std * abs(factor),
            notes=signal.notes,
        )
