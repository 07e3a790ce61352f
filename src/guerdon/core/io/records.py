"""Samples to native rows and files of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from guerdon.core.io.arrow import Table, described, load
from guerdon.core.io.files import open_binary, replacing, suffix_of
from guerdon.core.io.strict_json import check
from guerdon.core.samples import Chat, Episode, Sample

CHAT_FIELDS = ("prompt", "completion", "reference", "group")
EPISODE_FIELDS = (
    *("observations", "actions", "rewards", "terminated", "truncated", "infos"),
    *("reference", "group"),
)
_INT64 = range(-(1 << 63), 1 << 63)


def sample_record(sample: Sample) -> dict[str, Any]:
    """The sample as one native row: its fields, with the entries of `extra` as columns beside them.

    The row holds only what JSON has. An array of an `Episode` is `{"dtype", "shape", "data"}`, so that it is read
    back equal; in a `Chat` it becomes a list. `read` gives the sample back.

    Raises `TypeError` for a `Media` sample and for a value that JSON has no form for; `ValueError` on NaN, infinity,
    lone surrogates and nesting beyond 100 levels, and where an entry of `extra` has the name of a field.
    """
    if isinstance(sample, Chat):
        names, keep_arrays = CHAT_FIELDS, False
    elif isinstance(sample, Episode):
        names, keep_arrays = EPISODE_FIELDS, True
    else:
        raise TypeError(f"expected a Chat or an Episode, got {type(sample).__name__}, which has no row form")
    clash = next((name for name in names if name in sample.extra), None)
    if clash is not None:
        raise ValueError(f"extra[{clash!r}] has the name of a field; it needs another one to stand in a row")
    row = dict[str, Any]()
    for name, value in ({name: getattr(sample, name) for name in names} | dict(sample.extra)).items():
        try:
            check(value, depth=1)
            row[name] = _jsonable(value, keep_arrays)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name}: {error}") from None
    return row


def arrays_of(value: Any) -> Any:
    """The value with every `{"dtype", "shape", "data"}` in it as the array that it stands for."""
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        if entries.keys() == {"dtype", "shape", "data"}:
            return np.asarray(entries["data"], dtype=entries["dtype"]).reshape(entries["shape"])
        return {key: arrays_of(entry) for key, entry in entries.items()}
    if isinstance(value, list):
        return [arrays_of(entry) for entry in cast("list[Any]", value)]
    return value


def write_samples(samples: Sequence[Sample], path: str | PathLike[str]) -> None:
    """Write samples of one kind as native rows that `read` gives back equal; the file appears in one piece.

    `.jsonl` (`.gz`) has one row a line. `.parquet` has one column a field or entry of `extra`: text, int64, float64
    or bool where all its values are that, else JSON text. The schema metadata `guerdon` lists the columns of JSON
    text under `json`, and under `sparse` those in which null means that a sample has no such entry.

    Raises `TypeError` or `ValueError` that says which sample can't be written and why, see `sample_record`.
    """
    path = Path(path)
    suffix = suffix_of(path, (".jsonl", ".jsonl.gz", ".parquet"))
    with replacing(path) as scratch:
        if suffix == ".parquet":
            pq = load("pyarrow.parquet")
            pq.write_table(_sample_table(list(_records(samples))), scratch)
            return
        with open_binary(scratch, "wb") as file:
            for row in _records(samples):
                file.write(_json(row).encode() + b"\n")


def _records(samples: Sequence[Sample]) -> Iterator[dict[str, Any]]:
    for i, sample in enumerate(samples):
        if type(sample) is not type(samples[0]):
            kinds = f"{type(samples[0]).__name__} and {type(sample).__name__}"
            raise TypeError(f"samples[{i}]: expected samples of one kind in a file, got {kinds}")
        try:
            row = sample_record(sample)
        except (TypeError, ValueError) as error:
            raise type(error)(f"samples[{i}]: {error}") from None
        yield row


def _sample_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    pa = load()
    plain = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_(), None: pa.string()}
    columns, encoded, sparse = dict[str, Any](), list[str](), list[str]()
    for name in dict.fromkeys(name for row in rows for name in row):
        present = [row[name] for row in rows if name in row]
        if len(present) < len(rows):
            sparse.append(name)
        kind = _one_kind(present, nulls=len(present) == len(rows))
        if kind in plain:
            columns[name] = pa.array([row.get(name) for row in rows], plain[kind])
        else:
            encoded.append(name)
            columns[name] = pa.array([_json(row[name]) if name in row else None for row in rows], pa.string())
    return described(pa.table(columns), {"version": 1, "json": encoded, "sparse": sparse})


def _one_kind(values: Sequence[Any], nulls: bool) -> type | None:
    """The type that all values have, None where all are null, `object` where there is no such type.

    `nulls`: a null may stand beside other values.
    """
    kinds: set[type[Any]] = {type(value) for value in values}
    if nulls:
        kinds.discard(type(None))
    if len(kinds) > 1 or (int in kinds and any(value not in _INT64 for value in values if value is not None)):
        return object
    return next(iter(kinds), None)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _jsonable(value: Any, keep_arrays: bool) -> Any:
    """The value in JSON's types."""
    if isinstance(value, np.generic):
        scalar = cast("Any", value)
        plain = scalar.item()
        if isinstance(plain, np.generic):
            # A long double has no Python type, and a float would round it.
            raise TypeError(f"{scalar.dtype} has no form in JSON")
        return _jsonable(plain, keep_arrays)
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is not JSON")
        return value
    if isinstance(value, np.ndarray):
        array = cast("NDArray[Any]", value)
        return _array_record(array) if keep_arrays else _jsonable(array.tolist(), keep_arrays)
    if isinstance(value, Mapping):
        entries = cast("Mapping[Any, Any]", value)
        if not all(isinstance(key, str) for key in entries):
            raise TypeError("expected text as keys, as JSON has them")
        return {key: _jsonable(entry, keep_arrays) for key, entry in entries.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(entry, keep_arrays) for entry in cast("list[Any]", value)]
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _array_record(array: NDArray[Any]) -> dict[str, Any]:
    if array.dtype.kind not in "biufU" or array.dtype.char == "g":
        raise TypeError(f"an array of {array.dtype} has no form in JSON")
    data = _jsonable(array.ravel().tolist(), True)
    check(data)
    return {"dtype": array.dtype.str, "shape": list(array.shape), "data": data}
