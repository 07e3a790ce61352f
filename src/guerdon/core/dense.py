"""Ragged values: how a Signal carries rewards below the level of a sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_choice
from guerdon.core.samples import UNITS, Unit


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """Values of the parts of n samples, stored flat.

    `values` (m,) float64, finite · `offsets` (n+1,) int64: sample i owns `values[offsets[i]:offsets[i+1]]` ·
    `spans` (m, 2) int64, half-open intervals counted as `Step` says, or None where value j of a sample is
    simply its j-th part · `unit`: token, step, turn or time_step.

    Raises `ValueError` where the shapes don't fit, offsets fall, a value is not finite or a span is reversed.
    """

    values: NDArray[np.float64]
    offsets: NDArray[np.int64]
    spans: NDArray[np.int64] | None
    unit: Unit

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", np.asarray(self.values, dtype=np.float64))
        object.__setattr__(self, "offsets", np.asarray(self.offsets, dtype=np.int64))
        values, offsets = self.values, self.offsets
        check_choice(self.unit, "Dense.unit", UNITS)
        if values.ndim != 1:
            raise ValueError(f"Dense.values: expected shape (m,), got {values.shape}")
        if offsets.ndim != 1 or offsets.size < 1 or offsets[0] != 0 or offsets[-1] != values.size:
            raise ValueError(f"Dense.offsets: expected (n+1,) from 0 to {values.size}, got {offsets!r}")
        if np.any(np.diff(offsets) < 0):
            raise ValueError("Dense.offsets: expected non-decreasing offsets")
        if not np.all(np.isfinite(values)):
            raise ValueError("Dense.values: expected finite values, got NaN or infinity")
        if self.spans is not None:
            spans = np.asarray(self.spans, dtype=np.int64)
            if spans.shape != (values.size, 2):
                raise ValueError(f"Dense.spans: expected shape ({values.size}, 2), got {spans.shape}")
            if np.any(spans[:, 0] < 0) or np.any(spans[:, 1] < spans[:, 0]):
                raise ValueError("Dense.spans: expected 0 <= start <= end in every row")
            object.__setattr__(self, "spans", spans)

    @classmethod
    def from_rows(
        cls,
        rows: Sequence[Sequence[float] | NDArray[Any]],
        unit: Unit,
        spans: Sequence[Sequence[tuple[int, int]] | NDArray[Any]] | None = None,
    ) -> Dense:
        """Build from one list of values (and one list of spans) a sample."""
        lengths = [len(row) for row in rows]
        offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))).astype(np.int64)
        values = np.concatenate([np.asarray(row, dtype=np.float64) for row in rows]) if rows else np.empty(0)
        flat = None
        if spans is not None:
            for i, (row, row_spans) in enumerate(zip(rows, spans, strict=True)):
                if len(row) != len(row_spans):
                    raise ValueError(f"Dense row {i}: {len(row)} values but {len(row_spans)} spans")
            flat = np.asarray([pair for row in spans for pair in row], dtype=np.int64).reshape(-1, 2)
        return cls(values, offsets, flat, unit)

    def __len__(self) -> int:
        return int(self.offsets.size - 1)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of parts of each sample (n,)."""
        return np.diff(self.offsets)

    @property
    def row_index(self) -> NDArray[np.int64]:
        """The sample that each value belongs to (m,)."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths)

    def row(self, i: int) -> NDArray[np.float64]:
        """Values of sample i."""
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def row_spans(self, i: int) -> NDArray[np.int64] | None:
        """Spans of sample i, or None."""
        return None if self.spans is None else self.spans[self.offsets[i] : self.offsets[i + 1]]

    def __iter__(self) -> Iterator[NDArray[np.float64]]:
        return (self.row(i) for i in range(len(self)))

    def sums(self) -> NDArray[np.float64]:
        """Sum of each sample's values (n,); 0 for a sample without parts."""
        return np.bincount(self.row_index, weights=self.values, minlength=len(self)).astype(np.float64)

    def scale(self, factor: float | NDArray[np.float64]) -> Dense:
        """Multiply by one factor, or by one factor a sample (n,). A row whose factor is not finite becomes empty."""
        factors = np.broadcast_to(np.asarray(factor, dtype=np.float64), (len(self),))
        kept = self.keep(np.isfinite(factors))
        return Dense(kept.values * factors[kept.row_index], kept.offsets, kept.spans, kept.unit)

    def keep(self, rows: NDArray[np.bool_]) -> Dense:
        """Empty the rows where `rows` (n,) is False."""
        if rows.all():
            return self
        chosen = np.repeat(rows, self.lengths)
        offsets = np.concatenate(([0], np.cumsum(np.where(rows, self.lengths, 0)))).astype(np.int64)
        return Dense(
            self.values[chosen], offsets, None if self.spans is None else self.spans[chosen], self.unit
        )

    def take(self, indices: NDArray[np.int64]) -> Dense:
        """Rows in the order of `indices`; -1 gives an empty row."""
        lengths = np.where(indices < 0, 0, self.lengths[indices])
        offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        start = self.offsets[:-1][indices] - offsets[:-1]
        source = np.arange(int(offsets[-1]), dtype=np.int64) + np.repeat(start, lengths).astype(np.int64)
        return Dense(
            self.values[source], offsets, None if self.spans is None else self.spans[source], self.unit
        )

    @staticmethod
    def concat(parts: Sequence[Dense | None], lengths: Sequence[int]) -> Dense | None:
        """Stack along samples; None stands for `lengths[k]` samples without parts. None if all are None."""
        present = [part for part in parts if part is not None]
        if not present:
            return None
        unit = _one_unit(present)
        if any(part.spans is None for part in present) and any(part.spans is not None for part in present):
            raise ValueError("Dense: some signals give spans and others don't; they can't be stacked")
        counts = [
            np.zeros(n, np.int64) if part is None else part.lengths
            for part, n in zip(parts, lengths, strict=True)
        ]
        offsets = np.concatenate(([0], np.cumsum(np.concatenate(counts)))).astype(np.int64)
        spans = (
            None
            if present[0].spans is None
            else np.concatenate([p.spans for p in present if p.spans is not None])
        )
        return Dense(np.concatenate([p.values for p in present]), offsets, spans, unit)

    @staticmethod
    def add(parts: Sequence[Dense]) -> Dense:
        """Sum of several channels of one unit: equal spans are added, others stand side by side in the row.

        Without spans, rows must have equal lengths or be empty. Raises `ValueError` on mixed units.
        """
        unit = _one_unit(parts)
        first = parts[0]
        if len(parts) == 1:
            return first
        same = all(
            np.array_equal(p.offsets, first.offsets)
            and (
                (p.spans is None and first.spans is None)
                or (p.spans is not None and first.spans is not None and np.array_equal(p.spans, first.spans))
            )
            for p in parts
        )
        if same:
            total = np.sum([p.values for p in parts], axis=0)
            return Dense(total, first.offsets, first.spans, unit)
        rows = list[NDArray[np.float64]]()
        spans = list[NDArray[np.int64]]()
        with_spans = any(p.spans is not None for p in parts if p.values.size)
        for i in range(len(first)):
            filled = [p for p in parts if p.lengths[i]]
            if not with_spans:
                if len({int(p.lengths[i]) for p in filled}) > 1:
                    raise ValueError(
                        f"Dense row {i}: channels without spans have different lengths; give spans"
                    )
                rows.append(np.sum([p.row(i) for p in filled], axis=0) if filled else np.empty(0))
                continue
            total = dict[tuple[int, int], float]()
            for part in filled:
                row_spans = part.row_spans(i)
                if row_spans is None:
                    raise ValueError("Dense: some channels give spans and others don't; they can't be added")
                for (start, end), value in zip(row_spans.tolist(), part.row(i).tolist(), strict=True):
                    total[(start, end)] = total.get((start, end), 0.0) + value
            ordered = sorted(total)
            spans.append(np.asarray(ordered, dtype=np.int64).reshape(-1, 2))
            rows.append(np.asarray([total[key] for key in ordered], dtype=np.float64))
        return Dense.from_rows(rows, unit, spans if with_spans else None)


def _one_unit(parts: Sequence[Dense]) -> Unit:
    units = {part.unit for part in parts}
    if len(units) != 1:
        raise ValueError(
            f"Dense: can't combine channels of different units ({', '.join(sorted(units))}); "
            "bring them to one unit first, for example by mapping steps to tokens"
        )
    return parts[0].unit
