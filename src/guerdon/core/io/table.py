"""Signals to Arrow tables and back, and files of such tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from guerdon.core.dense import Dense
from guerdon.core.io.arrow import Table, described, description_of, load
from guerdon.core.io.files import replacing, suffix_of
from guerdon.core.samples import Sample
from guerdon.core.signal import Signal, Status

VERSION = 1
SUFFIXES = (".parquet", ".jsonl", ".csv")
_STATUSES = [status.name.lower() for status in Status]


def to_table(
    signal: Signal,
    samples: Sequence[Sample] | None = None,
    *,
    rows: ArrayLike | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Table:
    """A Signal as an Arrow table of n rows; `from_table` gives it back equal.

    | column | type | |
    |---|---|---|
    | `row` | int64 | `rows`, else 0 to n-1 |
    | `group` | string, null | with `samples` |
    | `prompt`, `completion` | string, null | with `samples`: the text, or JSON text of the messages |
    | `reference` | string, null | with `samples`: JSON text |
    | `outcome` | float64 | null unless the status is ok |
    | `status` | dictionary of string | ok, abstained, failed, timed_out |
    | `reason`, `note` | string, null | lone surrogates as `\\udXXX` |
    | `std`, `seconds` | float64, null | where the Signal has them |
    | `dense` | list of (start, end, value) | where the Signal has it; start and end are null without spans |

    The columns of a part are named `parts/<name>/outcome` and so on, those of its parts `parts/<a>/parts/<b>/outcome`;
    in a name, `~` is written `~0` and `/` is `~1`. The schema metadata `guerdon` is JSON: `version`, `units` and
    `spans` of the dense columns, and the caller's `metadata`. Values, offsets and outcomes are not copied.

    Raises `ValueError` where `samples` or `rows` isn't as long as the Signal.
    """
    pa = load()
    n = len(signal)
    numbers = np.arange(n, dtype=np.int64) if rows is None else np.asarray(rows, dtype=np.int64)
    if numbers.shape != (n,):
        raise ValueError(f"rows: expected shape ({n},), got {numbers.shape}")
    columns: dict[str, Any] = {"row": pa.array(numbers)}
    if samples is not None:
        if len(samples) != n:
            raise ValueError(f"samples: expected {n} as the Signal has, got {len(samples)}")
        columns.update(_sample_columns(samples))
    description: dict[str, Any] = {"version": VERSION, "units": {}, "spans": []}
    columns.update(_signal_columns(signal, "", description))
    if metadata is not None:
        description["metadata"] = dict(metadata)
    return described(pa.table(columns), description)


def from_table(table: Table) -> Signal:
    """The Signal that `to_table` wrote, also from a slice or a concatenation of such tables.

    Raises `ValueError` where a column is missing, a status is unknown, the columns don't fit each other, or a dense
    column has no unit in the metadata (only Parquet files keep it).
    """
    description = description_of(table.schema) or {}
    if description.get("version", VERSION) > VERSION:
        raise ValueError(
            f"table: version {description['version']} is newer than this library reads ({VERSION})"
        )
    return _signal(table, "", description)


def table_metadata(table: Table) -> dict[str, Any]:
    """The `metadata` that was given to `to_table`; empty where there was none."""
    return (description_of(table.schema) or {}).get("metadata", {})


def write_table(table: Table, path: str | PathLike[str]) -> None:
    """Write a table of `to_table` as `.parquet`, `.jsonl` or `.csv`; the file appears in one piece.

    Parquet keeps everything. The text forms lose the schema metadata; in CSV, `dense` is JSON text.
    """
    path = Path(path)
    suffix = suffix_of(path, SUFFIXES)
    with replacing(path) as scratch:
        if suffix == ".parquet":
            pq = load("pyarrow.parquet")
            pq.write_table(table, scratch)
        elif suffix == ".jsonl":
            with scratch.open("w", encoding="utf-8", newline="\n") as file:
                for batch in table.to_batches(max_chunksize=8192):
                    for row in batch.to_pylist():
                        file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
        else:
            _write_csv(table, scratch)


def read_table(path: str | PathLike[str]) -> Table:
    """Read what `write_table` wrote, with the same column types."""
    path = Path(path)
    suffix = suffix_of(path, SUFFIXES)
    if suffix == ".parquet":
        pq = load("pyarrow.parquet")
        return pq.read_table(path)
    return _read_jsonl(path) if suffix == ".jsonl" else _read_csv(path)


def _signal_columns(signal: Signal, prefix: str, description: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    pa = load()
    ok = signal.ok
    yield prefix + "outcome", pa.array(signal.outcome, mask=None if ok.all() else ~ok)
    codes = pa.array(signal.status.astype(np.int32))
    yield prefix + "status", pa.DictionaryArray.from_arrays(codes, pa.array(_STATUSES))
    yield prefix + "reason", _texts(signal.reasons, len(signal))
    yield prefix + "note", _texts(signal.notes, len(signal))
    for name, values in (("std", signal.std), ("seconds", signal.seconds)):
        if values is not None:
            yield prefix + name, pa.array(values, mask=np.isnan(values))
    if signal.dense is not None:
        description["units"][prefix + "dense"] = signal.dense.unit
        if signal.dense.spans is not None:
            description["spans"].append(prefix + "dense")
        yield prefix + "dense", _dense_column(signal.dense, ok)
    for name, part in signal.parts.items():
        escaped = name.replace("~", "~0").replace("/", "~1")
        yield from _signal_columns(part, f"{prefix}parts/{escaped}/", description)


def _dense_column(dense: Dense, ok: NDArray[np.bool_]) -> Any:
    pa = load()
    if dense.spans is None:
        starts = ends = pa.nulls(dense.values.size, pa.int64())
    else:
        starts, ends = pa.array(dense.spans[:, 0]), pa.array(dense.spans[:, 1])
    entries = pa.StructArray.from_arrays([starts, ends, pa.array(dense.values)], ["start", "end", "value"])
    mask = None if ok.all() else pa.array(~ok)
    return pa.LargeListArray.from_arrays(pa.array(dense.offsets), entries, mask=mask)


def _sample_columns(samples: Sequence[Sample]) -> dict[str, Any]:
    pa = load()
    groups = [None if sample.group is None else str(sample.group) for sample in samples]
    references = [None if sample.reference is None else _json(sample.reference) for sample in samples]
    columns: dict[str, Any] = {"group": pa.array([group and _valid(group) for group in groups], pa.string())}
    for name in ("prompt", "completion"):
        values = [getattr(sample, name, None) for sample in samples]
        texts = [_valid(value) if isinstance(value, str) else value and _json(value) for value in values]
        columns[name] = pa.array(texts, pa.string())
    return columns | {"reference": pa.array(references, pa.string())}


def _json(value: Any) -> str:
    # A result is worth more than the exact form of a reference that JSON can't hold, so that one is shown instead.
    return _valid(json.dumps(value, ensure_ascii=False, default=repr))


def _valid(text: str) -> str:
    """Text that Arrow takes: lone surrogates escaped."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _texts(texts: Mapping[int, str], n: int) -> Any:
    pa = load()
    if not texts:
        return pa.nulls(n, pa.string())
    valid = {i: _valid(text) for i, text in texts.items()}
    return pa.array([valid.get(i) for i in range(n)], pa.string())


def _signal(table: Table, prefix: str, description: Mapping[str, Any]) -> Signal:
    fields: dict[str, Any] = {"status": _status(_column(table, prefix + "status"), prefix)}
    for name in ("outcome", "std", "seconds"):
        if name == "outcome" or prefix + name in table.column_names:
            fields[name] = _column(table, prefix + name).to_numpy(zero_copy_only=False)
    for name in ("reason", "note"):
        if prefix + name in table.column_names:
            texts = _column(table, prefix + name)
            if texts.null_count < len(texts):
                fields[name + "s"] = {i: text for i, text in enumerate(texts.to_pylist()) if text is not None}
    if prefix + "dense" in table.column_names:
        fields["dense"] = _dense(table, prefix + "dense", description)
    inside = prefix + "parts/"
    names = dict.fromkeys(
        name[len(inside) :].split("/", 1)[0] for name in table.column_names if name.startswith(inside)
    )
    parts = {
        name.replace("~1", "/").replace("~0", "~"): _signal(table, f"{inside}{name}/", description)
        for name in names
    }
    return Signal(**fields, parts=parts)


def _column(table: Table, name: str) -> Any:
    if name not in table.column_names:
        raise ValueError(f"table: no column {name!r}; the columns are {', '.join(table.column_names)}")
    column = table[name]
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _status(column: Any, prefix: str) -> NDArray[np.uint8]:
    pa = load()
    compute = load("pyarrow.compute")
    names = column.cast(pa.string())
    codes = compute.index_in(names, value_set=pa.array(_STATUSES))
    if codes.null_count:
        row = codes.is_null().to_numpy(zero_copy_only=False).argmax()
        raise ValueError(
            f"table: row {row} of {prefix}status is {names[row].as_py()!r}, expected one of {', '.join(_STATUSES)}"
        )
    return codes.to_numpy().astype(np.uint8)


def _dense(table: Table, name: str, description: Mapping[str, Any]) -> Dense:
    compute = load("pyarrow.compute")
    unit = description.get("units", {}).get(name)
    if unit is None:
        raise ValueError(
            f"table: the metadata has no unit for {name!r}; of the file types only Parquet keeps it"
        )
    column = _column(table, name)
    lengths = compute.fill_null(compute.list_value_length(column), 0).to_numpy()
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    entries = column.flatten()
    spans = None
    if name in description.get("spans", ()):
        spans = np.stack([entries.field(side).to_numpy() for side in ("start", "end")], axis=1)
    return Dense(entries.field("value").to_numpy(), offsets, spans, unit)


def column_type(name: str) -> Any:
    """The Arrow type of a column by its name."""
    pa = load()
    field = name.rsplit("/", 1)[-1]
    if field == "row":
        return pa.int64()
    if field in ("outcome", "std", "seconds"):
        return pa.float64()
    if field == "status":
        return pa.dictionary(pa.int32(), pa.string())
    if field == "dense":
        return pa.large_list(pa.struct({"start": pa.int64(), "end": pa.int64(), "value": pa.float64()}))
    return pa.string()


def _read_jsonl(path: Path) -> Table:
    pa = load()
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: pa.array([row.get(name) for row in rows], column_type(name)) for name in names})


def _write_csv(table: Table, path: Path) -> None:
    pa = load()
    csv = load("pyarrow.csv")
    for i, name in enumerate(table.column_names):
        column = table[name]
        if pa.types.is_large_list(column.type):
            cells = [None if cell is None else json.dumps(cell) for cell in column.to_pylist()]
            table = table.set_column(i, name, pa.array(cells, pa.string()))
        elif pa.types.is_dictionary(column.type):
            table = table.set_column(i, name, column.cast(pa.string()))
    csv.write_csv(table, path)


def _read_csv(path: Path) -> Table:
    pa = load()
    csv = load("pyarrow.csv")
    # One block, since Arrow refuses a cell that is longer than a block.
    whole = csv.ReadOptions(block_size=min(path.stat().st_size + 1, np.iinfo(np.int32).max))
    lines = csv.ParseOptions(newlines_in_values=True)
    names = csv.open_csv(path, read_options=whole, parse_options=lines).schema.names
    types = {
        name: pa.string() if pa.types.is_large_list(column_type(name)) else column_type(name)
        for name in names
    }
    cells = csv.ConvertOptions(
        column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    table = csv.read_csv(path, read_options=whole, parse_options=lines, convert_options=cells)
    for i, name in enumerate(names):
        if types[name] != column_type(name):
            values = [None if cell is None else json.loads(cell) for cell in table[name].to_pylist()]
            table = table.set_column(i, name, pa.array(values, column_type(name)))
    return table
