"""The base of transforms that map the numbers of one channel and leave the rest of the Signal alone."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from guerdon.core.algebra import finite
from guerdon.core.checks import check_choice
from guerdon.core.context import Context
from guerdon.core.dense import Dense
from guerdon.core.signal import Signal
from guerdon.core.transform import Transform

Channel: TypeAlias = Literal["outcome", "dense"]
Floats: TypeAlias = NDArray[np.float64]


class ChannelTransform(Transform):
    """Maps the values of one channel. Implement `map`.

    `channel="outcome"` maps the outcomes of the rows that are OK; `channel="dense"` maps all dense values,
    each in the group of its sample. Rows that aren't OK neither change nor count. A value that overflows
    fails its row.
    """

    channel: Channel = "outcome"

    def __init__(self, channel: Channel = "outcome") -> None:
        check_choice(channel, f"{self.name}.channel", ("outcome", "dense"))
        self.channel = channel

    def map(
        self, values: Floats, groups: NDArray[np.int64], context: Context
    ) -> tuple[Floats, Floats | float | None]:
        """New values (k,) from finite values (k,) and their group codes (k,), and the factor on `std`.

        The factor is None where the map isn't affine in each value: the result then has no `std`.
        """
        raise NotImplementedError

    def apply(self, signal: Signal, groups: NDArray[np.int64], context: Context) -> Signal:
        if self.channel == "dense":
            return self._apply_dense(signal, groups, context)
        ok = signal.ok
        outcome = signal.outcome.copy()
        outcome[ok], factor = self.map(signal.outcome[ok], groups[ok], context)
        std = None
        if signal.std is not None and factor is not None:
            std = signal.std.copy()
            std[ok] *= np.abs(factor)
        return finite(
            outcome,
            signal.status,
            signal.reasons,
            dense=signal.dense,
            parts=signal.parts,
            std=std,
            notes=signal.notes,
        )

    def _apply_dense(self, signal: Signal, groups: NDArray[np.int64], context: Context) -> Signal:
        dense = signal.dense
        if dense is None:
            return signal
        values, _ = self.map(dense.values, np.repeat(groups, dense.lengths), context)
        overflow, bad = ~np.isfinite(values), np.zeros(len(signal), dtype=np.bool_)
        if overflow.any():
            bad[dense.row_index[overflow]] = True
            values = np.where(overflow, 0.0, values)
        mapped = Dense(values, dense.offsets, dense.spans, dense.unit)
        return finite(
            np.where(bad, np.inf, signal.outcome),
            signal.status,
            signal.reasons,
            dense=mapped.keep(~bad),
            parts=signal.parts,
            std=signal.std,
            notes=signal.notes,
        )
