"""Scored samples of one or several tables as one Signal with sets, rows and groups; texts stay on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.core.io import from_table, table_metadata
from guerdon.core.io.arrow import load
from guerdon.core.signal import Signal

_LIGHT = ("row", "outcome", "status", "reason", "std", "seconds")


@dataclass(frozen=True, slots=True)
class ScoreSet:
    """One table: n scored samples. `group` (n,) int64 codes into `labels`, or -1 where nothing tells the group."""

    path: Path
    label: str
    step: int | None
    signal: Signal
    row: NDArray[np.int64]
    group: NDArray[np.int64]
    labels: Sequence[str]
    metadata: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.signal)


@dataclass(frozen=True, slots=True)
class Scores:
    """All sets, stacked: N rows. `member` (N,) is the set of each row, `group` (N,) codes into `labels`, or -1."""

    sets: Sequence[ScoreSet]
    signal: Signal
    member: NDArray[np.int64]
    row: NDArray[np.int64]
    group: NDArray[np.int64]
    labels: Sequence[str]

    def __len__(self) -> int:
        return len(self.signal)


def read_set(path: Path, label: str, step: int | None) -> ScoreSet:
    """The light columns of one table: numbers, statuses and reasons. Raises `ValueError` where it isn't such a table."""
    with load("pyarrow.parquet").ParquetFile(path) as parquet:
        names = parquet.schema_arrow.names
        # Also the heavy columns have to be readable when the details are asked for.
        from_table(parquet.schema_arrow.empty_table())
        table = parquet.read(columns=[name for name in names if name.rsplit("/", 1)[-1] in _LIGHT])
        signal = from_table(table)
        row = table["row"].to_numpy() if "row" in names else np.arange(len(signal), dtype=np.int64)
        group, labels = _groups(parquet, names, len(signal))
    return ScoreSet(path, label, step, signal, row, group, labels, table_metadata(table))


def stack(sets: Sequence[ScoreSet]) -> Scores:
    """Put sets under each other; a group never spans two sets."""
    labels, groups = list[str](), [np.empty(0, np.int64)]
    for each in sets:
        groups.append(np.where(each.group < 0, -1, each.group + len(labels)))
        labels += each.labels
    return Scores(
        sets,
        Signal.concat([each.signal for each in sets]),
        np.repeat(np.arange(len(sets), dtype=np.int64), [len(each) for each in sets]),
        np.concatenate([np.empty(0, np.int64), *(each.row for each in sets)]),
        np.concatenate(groups),
        labels,
    )


def _groups(parquet: Any, names: Sequence[str], n: int) -> tuple[NDArray[np.int64], list[str]]:
    """Group codes; rows without a group are grouped by equal prompts, as `core.samples.group_codes` does."""
    codes = np.full(n, -1, dtype=np.int64)
    known = dict[tuple[str, Any], int]()
    labels = list[str]()
    wanted = [name for name in ("group", "prompt") if name in names]
    start = 0
    for batch in parquet.iter_batches(columns=wanted) if wanted else ():
        columns = [
            batch[name].to_pylist() if name in wanted else [None] * len(batch) for name in ("group", "prompt")
        ]
        for i, (group, prompt) in enumerate(zip(*columns, strict=True), start):
            key = ("group", group) if group is not None else ("prompt", prompt)
            if group is None and prompt is None:
                continue
            if key not in known:
                known[key] = len(labels)
                labels.append(group if group is not None else f"prompt {len(labels) + 1}")
            codes[i] = known[key]
        start += len(batch)
    return codes, labels
