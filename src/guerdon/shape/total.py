"""From dense values to one outcome a sample."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from guerdon.core.algebra import finite
from guerdon.core.checks import check_choice
from guerdon.core.context import Context
from guerdon.core.dense import Dense
from guerdon.core.registry import register
from guerdon.core.signal import Signal, Status
from guerdon.core.transform import Transform

Reduction: TypeAlias = Literal["sum", "mean", "min", "last"]


@register("total", kind="transform", example="{transform: total, reduce: min}")
class Total(Transform):
    """Reduce the dense channel to a number and add it to the outcome: `outcome_i + reduce(values_i)`.

    `reduce`: `sum`, `mean`, `min` or `last`. The result has no dense channel. A sample without parts has the
    sum 0; its mean, min and last don't exist, so there it abstains with that reason. Rows that aren't OK stay
    as they are.

    Raises `ValueError` for another `reduce`.
    """

    name = "total"

    def __init__(self, reduce: Reduction = "sum") -> None:
        check_choice(reduce, "total.reduce", ("sum", "mean", "min", "last"))
        self.reduce: Reduction = reduce

    def apply(self, signal: Signal, groups: NDArray[np.int64], context: Context) -> Signal:
        n = len(signal)
        dense = signal.dense or Dense(np.empty(0), np.zeros(n + 1, dtype=np.int64), None, "step")
        filled = dense.lengths > 0
        reduced = np.zeros(n)
        if self.reduce == "sum":
            reduced, filled = dense.sums(), np.ones(n, dtype=np.bool_)
        elif self.reduce == "mean":
            reduced[filled] = dense.sums()[filled] / dense.lengths[filled]
        elif self.reduce == "min":
            reduced[filled] = (
                np.minimum.reduceat(dense.values, dense.offsets[:-1][filled]) if filled.any() else 0.0
            )
        else:
            reduced[filled] = dense.values[dense.offsets[1:][filled] - 1]
        without = signal.ok & ~filled
        reason = f"total({self.reduce!r}): the sample has no parts"
        return finite(
            signal.outcome + reduced,
            np.where(without, np.uint8(Status.ABSTAINED), signal.status),
            {**signal.reasons, **{int(i): reason for i in np.flatnonzero(without)}},
            parts=signal.parts,
            std=signal.std,
            notes=signal.notes,
        )
