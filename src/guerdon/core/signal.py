"""Signal: what every reward returns and everything downstream consumes."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from guerdon.core.arrays import is_array
from guerdon.core.dense import Dense
from guerdon.core.samples import Unit


class Status(IntEnum):
    """What became of a sample: scored, not applicable here, raised, or stopped at its time limit."""

    OK = 0
    ABSTAINED = 1
    FAILED = 2
    TIMED_OUT = 3


class Abstain(Exception):
    """Raise inside a reward to abstain with a reason; returning None abstains without one."""


@dataclass(frozen=True, slots=True)
class Score:
    """What a reward says of one sample, where a single number isn't enough.

    `outcome`: finite, or None to abstain · `dense`: values of its parts, with `unit` and optionally `spans` ·
    `std` ≥ 0: uncertainty · `parts`: named numbers that the outcome was made of · `note`: a critique or reason.

    A reward that speaks only of parts leaves `outcome` at 0, the neutral element of that channel.
    """

    outcome: float | None = 0.0
    dense: Sequence[float] | NDArray[np.float64] | None = None
    spans: Sequence[tuple[int, int]] | NDArray[np.int64] | None = None
    unit: Unit = "step"
    std: float | None = None
    parts: Mapping[str, float | None] = field(default_factory=dict[str, "float | None"])
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A sample that has no value because its scoring raised or ran out of time; `reason` says what happened."""

    reason: str
    status: Status = Status.FAILED


Value: TypeAlias = "float | Score | Failure | Abstain | None"


def as_value(returned: Any) -> Value:
    """Normalise what a reward function returned for one sample; anything that isn't a value becomes a `Failure`."""
    kind = cast("type[Any]", type(returned))
    if kind is float or kind is int or kind is bool:
        try:
            number = float(returned)
        except OverflowError:
            return Failure("returned an integer that no float can hold, expected a finite number")
        return number if math.isfinite(number) else Failure(f"returned {number}, expected a finite number")
    if returned is None or kind is Score or kind is Failure or kind is Abstain:
        return returned
    if isinstance(returned, (numbers.Real, np.bool_)) or (is_array(returned) and returned.ndim == 0):
        try:
            return as_value(float(cast(Any, returned)))
        except (TypeError, ValueError, OverflowError) as error:
            return Failure(f"returned {kind.__name__}: {error}")
    if getattr(returned, "ndim", None) == 0 and hasattr(returned, "item"):
        return as_value(returned.item())
    return Failure(f"returned {kind.__name__}, expected a number, None or guerdon.Score")


class Signal:
    """Rewards of n samples, in columns.

    `outcome` (n,) float64 · `status` (n,) uint8, see `Status` · `dense`: ragged values of the samples' parts, or
    None · `parts`: the named Signals it was made of · `std` (n,) float64 or None · `reasons`, `notes`: text by row ·
    `seconds` (n,) float64 or None: how long each row took to score, where the engine measured it.

    A value is NaN exactly where the status isn't OK; such a row has no dense values either. The constructor
    raises `ValueError` where the columns don't fit each other or an OK row has a value that isn't finite.
    Signals are not changed after they are made: every method returns a new one.
    """

    __slots__ = ("dense", "notes", "outcome", "parts", "reasons", "seconds", "status", "std")

    def __init__(
        self,
        outcome: ArrayLike,
        status: ArrayLike | None = None,
        *,
        dense: Dense | None = None,
        parts: Mapping[str, Signal] | None = None,
        std: ArrayLike | None = None,
        reasons: Mapping[int, str] | None = None,
        notes: Mapping[int, str] | None = None,
        seconds: ArrayLike | None = None,
    ) -> None:
        values = np.asarray(outcome, dtype=np.float64)
        if values.ndim != 1:
            raise ValueError(f"Signal.outcome: expected shape (n,), got {values.shape}")
        n = values.shape[0]
        codes = np.zeros(n, dtype=np.uint8) if status is None else np.asarray(status, dtype=np.uint8)
        if codes.shape != (n,):
            raise ValueError(f"Signal.status: expected shape ({n},), got {codes.shape}")
        if n and codes.max() > Status.TIMED_OUT:
            raise ValueError(f"Signal.status: expected codes 0 to 3, got {int(codes.max())}")
        ok = codes == Status.OK
        bad = ok & ~np.isfinite(values)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise ValueError(
                f"Signal.outcome: row {row} is {values[row]} but its status is OK; give it another status"
            )
        if not ok.all():
            values = np.where(ok, values, np.nan)
        if dense is not None:
            if len(dense) != n:
                raise ValueError(f"Signal.dense: expected {n} rows, got {len(dense)}")
            dense = dense.keep(ok)
        for name, part in (parts or {}).items():
            if len(part) != n:
                raise ValueError(f"Signal.parts[{name!r}]: expected {n} rows, got {len(part)}")
        spread = None
        if std is not None:
            spread = np.asarray(std, dtype=np.float64)
            if spread.shape != (n,):
                raise ValueError(f"Signal.std: expected shape ({n},), got {spread.shape}")
            if np.any(spread[ok] < 0):
                raise ValueError("Signal.std: expected values of at least 0")
        took = None if seconds is None else np.asarray(seconds, dtype=np.float64)
        if took is not None and took.shape != (n,):
            raise ValueError(f"Signal.seconds: expected shape ({n},), got {took.shape}")
        self.seconds: NDArray[np.float64] | None = took
        self.outcome: NDArray[np.float64] = values
        self.status: NDArray[np.uint8] = codes
        self.dense = dense
        self.parts: dict[str, Signal] = dict(parts or {})
        self.std: NDArray[np.float64] | None = spread
        self.reasons: dict[int, str] = dict(reasons or {})
        self.notes: dict[int, str] = dict(notes or {})

    def __len__(self) -> int:
        return int(self.outcome.shape[0])

    def __repr__(self) -> str:
        counts = ", ".join(
            f"{count} {status.name.lower()}" for status, count in self.counts().items() if count
        )
        channels = f", dense={self.dense.unit}" if self.dense is not None else ""
        parts = f", parts={list(self.parts)}" if self.parts else ""
        return f"Signal({len(self)} samples: {counts or 'none'}{channels}{parts})"

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Rows that have a value (n,)."""
        return self.status == Status.OK

    @property
    def total(self) -> NDArray[np.float64]:
        """Outcome plus the sum of the dense channel (n,): one number a sample, for sorting and for reports."""
        return self.outcome if self.dense is None else self.outcome + self.dense.sums()

    def walk(self, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Signal]]:
        """This Signal and every part of it, outermost first, each with its names from the outside in."""
        yield path, self
        for name, part in self.parts.items():
            yield from part.walk((*path, name))

    def counts(self) -> dict[Status, int]:
        """How many rows have each status."""
        found = np.bincount(self.status, minlength=4)
        return {status: int(found[status]) for status in Status}

    @classmethod
    def from_values(cls, values: Sequence[Value]) -> Signal:
        """Columns from one `Value` a sample."""
        n = len(values)
        if all(type(value) is float for value in values):
            return cls(np.fromiter(cast("Sequence[float]", values), dtype=np.float64, count=n))
        outcome = np.full(n, np.nan)
        status = np.zeros(n, dtype=np.uint8)
        reasons, notes = dict[int, str](), dict[int, str]()
        dense_rows, std_rows = dict[int, Score](), dict[int, float]()
        part_names = dict[str, None]()
        for i, value in enumerate(values):
            if type(value) is float:
                outcome[i] = value
                continue
            if isinstance(value, Score):
                value = _checked(value)
            if value is None or isinstance(value, Abstain):
                status[i] = Status.ABSTAINED
                if value is not None and str(value):
                    reasons[i] = str(value)
            elif isinstance(value, Failure):
                status[i] = value.status
                reasons[i] = value.reason
            elif isinstance(value, Score):
                if value.note is not None:
                    notes[i] = value.note
                part_names.update(dict.fromkeys(value.parts))
                if value.outcome is None:
                    status[i] = Status.ABSTAINED
                    continue
                outcome[i] = value.outcome
                if value.dense is not None:
                    dense_rows[i] = value
                if value.std is not None:
                    std_rows[i] = value.std
            else:
                outcome[i] = float(value)
        std = None
        if std_rows:
            std = np.full(n, np.nan)
            std[list(std_rows)] = list(std_rows.values())
        dense = _dense_from_scores(n, dense_rows, status, outcome, reasons)
        parts = {name: cls.from_values([_part(value, name) for value in values]) for name in part_names}
        return cls(outcome, status, dense=dense, parts=parts, std=std, reasons=reasons, notes=notes)

    def value(self, i: int) -> Value:
        """Row i as one `Value`: the inverse of `from_values` for rows without nested parts."""
        status = Status(int(self.status[i]))
        if status is Status.ABSTAINED:
            parts = {name: _plain(part, i) for name, part in self.parts.items()}
            if parts or i in self.notes:
                return Score(None, parts=parts, note=self.notes.get(i))
            return Abstain(self.reasons[i]) if i in self.reasons else None
        if status is not Status.OK:
            return Failure(self.reasons.get(i, status.name.lower()), status)
        if self.dense is None and self.std is None and not self.parts and i not in self.notes:
            return float(self.outcome[i])
        std = None if self.std is None or not np.isfinite(self.std[i]) else float(self.std[i])
        return Score(
            float(self.outcome[i]),
            dense=None if self.dense is None else self.dense.row(i),
            spans=None if self.dense is None else self.dense.row_spans(i),
            unit="step" if self.dense is None else self.dense.unit,
            std=std,
            parts={name: _plain(part, i) for name, part in self.parts.items()},
            note=self.notes.get(i),
        )

    @classmethod
    def failed(cls, n: int, reason: str, status: Status = Status.FAILED) -> Signal:
        """n rows without a value, all for the same reason."""
        return cls(
            np.full(n, np.nan), np.full(n, status, dtype=np.uint8), reasons=dict.fromkeys(range(n), reason)
        )

    @classmethod
    def abstained(cls, n: int) -> Signal:
        """n rows that were not applicable."""
        return cls(np.full(n, np.nan), np.full(n, Status.ABSTAINED, dtype=np.uint8))

    def replace(self, **columns: Any) -> Signal:
        """The same Signal with some columns exchanged; the names are those of the constructor."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in Signal.__slots__}
        fields.update(columns)
        return Signal(fields.pop("outcome"), fields.pop("status"), **fields)

    def take(self, indices: ArrayLike) -> Signal:
        """Rows in the order of `indices`. Index -1 gives a row that abstained."""
        index = np.asarray(indices, dtype=np.int64)
        if index.size and (index.max() >= len(self) or index.min() < -1):
            raise IndexError(
                f"Signal.take: expected indices in [-1, {len(self)}), got {index.min()} to {index.max()}"
            )
        if not len(self):
            return Signal.abstained(index.size)
        absent = index < 0
        where = {old: list[int]() for old in (*self.reasons, *self.notes)}
        for new, old in enumerate(index.tolist()) if where else ():
            if old in where:
                where[old].append(new)
        return Signal(
            np.where(absent, np.nan, self.outcome[index]),
            np.where(absent, np.uint8(Status.ABSTAINED), self.status[index]),
            dense=None if self.dense is None else self.dense.take(index),
            parts={name: part.take(index) for name, part in self.parts.items()},
            std=None if self.std is None else np.where(absent, np.nan, self.std[index]),
            reasons={new: text for old, text in self.reasons.items() for new in where[old]},
            notes={new: text for old, text in self.notes.items() for new in where[old]},
            seconds=None if self.seconds is None else np.where(absent, 0.0, self.seconds[index]),
        )

    @staticmethod
    def concat(signals: Sequence[Signal]) -> Signal:
        """Stack along samples. A part or a `std` that some of them lack is absent in their rows."""
        if len(signals) == 1:
            return signals[0]
        lengths = [len(signal) for signal in signals]
        starts = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))).tolist()
        names = dict.fromkeys(name for signal in signals for name in signal.parts)
        std = seconds = None
        if any(signal.std is not None for signal in signals):
            std = np.concatenate([np.full(len(s), np.nan) if s.std is None else s.std for s in signals])
        if any(signal.seconds is not None for signal in signals):
            seconds = np.concatenate(
                [np.full(len(s), np.nan) if s.seconds is None else s.seconds for s in signals]
            )
        return Signal(
            np.concatenate([s.outcome for s in signals]) if signals else np.empty(0),
            np.concatenate([s.status for s in signals]) if signals else np.empty(0, np.uint8),
            dense=Dense.concat([s.dense for s in signals], lengths),
            parts={
                name: Signal.concat([s.parts.get(name) or Signal.abstained(len(s)) for s in signals])
                for name in names
            },
            std=std,
            reasons={
                start + i: t for start, s in zip(starts, signals, strict=False) for i, t in s.reasons.items()
            },
            notes={
                start + i: t for start, s in zip(starts, signals, strict=False) for i, t in s.notes.items()
            },
            seconds=seconds,
        )


def _plain(part: Signal, i: int) -> float | None:
    return float(part.outcome[i]) if part.status[i] == Status.OK else None


def _part(value: Value, name: str) -> Value:
    if isinstance(value, Score):
        return as_value(value.parts.get(name))
    return None if not isinstance(value, Failure) else value


def _checked(score: Score) -> Value:
    """A `Score` with readable columns, or the `Failure` that says which one isn't."""
    outcome = as_value(score.outcome)
    if isinstance(outcome, Failure):
        return Failure(f"Score.outcome: {outcome.reason}")
    if score.std is not None and not (math.isfinite(score.std) and score.std >= 0):
        return Failure(f"Score.std: expected a finite number of at least 0, got {score.std}")
    if score.dense is not None:
        try:
            row = np.asarray(score.dense, dtype=np.float64)
        except (TypeError, ValueError) as error:
            return Failure(f"Score.dense: {error}")
        if row.ndim != 1 or not np.all(np.isfinite(row)):
            return Failure("Score.dense: expected a flat list of finite numbers")
        if score.spans is not None and len(score.spans) != row.size:
            return Failure(
                f"Score.spans: expected {row.size} spans as there are dense values, got {len(score.spans)}"
            )
    return score


def _dense_from_scores(
    n: int,
    rows: Mapping[int, Score],
    status: NDArray[np.uint8],
    outcome: NDArray[np.float64],
    reasons: dict[int, str],
) -> Dense | None:
    """The dense channel of a batch. A row whose unit or use of spans differs from the first one's fails."""
    if not rows:
        return None
    first = next(iter(rows.values()))
    values: list[Any] = [()] * n
    spans: list[Any] = [()] * n
    for i, score in rows.items():
        if score.unit != first.unit or (score.spans is None) != (first.spans is None):
            status[i], outcome[i] = Status.FAILED, np.nan
            reasons[i] = f"dense unit {score.unit} does not fit the batch's {first.unit}"
            continue
        values[i] = score.dense
        spans[i] = score.spans if score.spans is not None else ()
    return Dense.from_rows(values, first.unit, None if first.spans is None else spans)
