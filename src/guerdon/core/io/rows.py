"""Sources to raw rows, each with its place in the source. Nothing here knows what a column means."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, cast

from guerdon.core.io.arrow import description_of, load
from guerdon.core.io.files import open_binary, suffix_of
from guerdon.core.io.strict_json import check, elements, parse_row
from guerdon.core.samples import Chat, Episode, Media

Source: TypeAlias = "str | PathLike[str] | Iterable[Any]"
LINES = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
DOCUMENTS = (".json", ".json.gz")
PART_BYTES = 64 << 20
PARQUET_ROWS = 1024


class Row(NamedTuple):
    """One row: its number from 0, its line from 1, and its value, or the reason why it has none.

    `raw` is what stood in a text file; a row from elsewhere is its value. `size`: bytes that reading it took.
    """

    number: int
    line: int
    value: Any
    reason: str | None = None
    raw: bytes | None = None
    size: int = 0

    @property
    def text(self) -> str:
        """What a rejects file keeps."""
        if self.raw is not None:
            return self.raw.decode("utf-8", "surrogateescape")
        try:
            return json.dumps(self.value, default=_as_text)
        except (TypeError, ValueError, RecursionError) as error:
            return f"<{type(self.value).__name__} that can't be written as JSON: {error}>"


def open_rows(source: Source) -> tuple[str, Iterator[Row]]:
    """Name and rows of a source.

    Raises `ValueError` on an unknown suffix and `FileNotFoundError`; while iterating, `ValueError` on a file that
    can't be read on.
    """
    if isinstance(source, (str, PathLike)):
        path = Path(source)
        suffix = suffix_of(path, (*LINES, *DOCUMENTS, ".parquet"))
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file")
        if not path.is_file():
            raise ValueError(f"{path}: expected a file, got a folder")
        if suffix == ".parquet":
            return str(path), _named(path, _parquet(path))
        return str(path), _named(path, (_lines if suffix in LINES else _document)(path))
    if isinstance(source, Mapping):
        keys = ", ".join(map(repr, cast("Mapping[Any, Any]", source)))
        raise ValueError(
            f"source: expected one data set or a list of rows, got a mapping; choose one of {keys}"
        )
    if hasattr(source, "features"):
        plain: Any = source
        return f"<{type(source).__name__}>", _in_memory(plain.with_format(None), without_nulls)
    if not isinstance(cast("Any", source), Iterable):
        raise TypeError(f"source: expected a path, a data set or rows, got {type(source).__name__}")
    return f"<{type(source).__name__}>", _in_memory(source, lambda value: value)


def _named(path: Path, rows: Iterator[Row]) -> Iterator[Row]:
    try:
        yield from rows
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ValueError(f"{path}: can't be read on: {error}") from error


def _lines(path: Path) -> Iterator[Row]:
    with open_binary(path) as file:
        for number, line in enumerate(file):
            raw = line.rstrip(b"\r\n")
            if number == 0:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            if raw and not raw.isspace():
                yield _row(number, number + 1, raw)


def _document(path: Path) -> Iterator[Row]:
    with open_binary(path) as file:
        text = file.read().removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    line, counted = 1, 0
    for number, (offset, element, reason) in enumerate(elements(text)):
        line, counted = line + text.count("\n", counted, offset), offset
        raw = element.encode("utf-8", "surrogateescape")
        yield _row(number, line, raw) if reason is None else Row(number, line, None, reason, raw, len(raw))


def _row(number: int, line: int, raw: bytes) -> Row:
    try:
        return Row(number, line, parse_row(raw), None, raw, len(raw))
    except ValueError as error:
        return Row(number, line, None, str(error), raw, len(raw))


def _in_memory(source: Iterable[Any], clean: Callable[[Any], Any]) -> Iterator[Row]:
    for number, value in enumerate(source):
        reason = None
        if not isinstance(value, (Mapping, Chat, Episode, Media)):
            reason = f"expected a mapping or a sample, got {type(value).__name__}"
        elif isinstance(value, Mapping):
            try:
                check(value)
            except ValueError as error:
                reason = str(error)
        yield Row(number, number + 1, value if reason else clean(value), reason)


def _parquet(path: Path) -> Iterator[Row]:
    pq = load("pyarrow.parquet")
    file = pq.ParquetFile(path)
    names = file.schema_arrow.names
    if len(set(names)) < len(names):
        raise ValueError(f"two columns have the same name among {', '.join(names)}")
    size = sum(file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups))
    limit = max(1, PART_BYTES * file.metadata.num_rows // size) if size else PARQUET_ROWS
    written = description_of(file.schema_arrow)
    number = 0
    for part in file.iter_batches(batch_size=min(PARQUET_ROWS, limit)):
        row_size = part.nbytes // max(1, part.num_rows)
        for value, reason in _arrow_rows(part):
            if reason is None:
                value = without_nulls(value) if written is None else _decoded(value, written)
            yield Row(number, number + 1, value, reason, size=row_size)
            number += 1


def _arrow_rows(batch: Any) -> Iterator[tuple[dict[str, Any], str | None]]:
    try:
        for value in batch.to_pylist():
            yield value, None
    except UnicodeDecodeError:
        # Arrow doesn't check text that a file calls UTF-8, so one bad cell stops the whole batch.
        for i in range(batch.num_rows):
            yield _arrow_row(batch.slice(i, 1))


def _arrow_row(row: Any) -> tuple[dict[str, Any], str | None]:
    try:
        return row.to_pylist()[0], None
    except UnicodeDecodeError as error:
        pa = load()
        columns = [row.column(i).cast(_as_binary(field.type)) for i, field in enumerate(row.schema)]
        raw = pa.RecordBatch.from_arrays(columns, names=row.schema.names).to_pylist()[0]
        return raw, f"not UTF-8: {error.reason} at {error.start}"


def _as_binary(kind: Any) -> Any:
    """The Arrow type with every string in it as bytes."""
    pa = load()
    types = load("pyarrow.types")
    if types.is_string(kind) or types.is_large_string(kind):
        return pa.large_binary()
    if types.is_dictionary(kind):
        return _as_binary(kind.value_type)
    if types.is_list(kind) or types.is_large_list(kind):
        return pa.large_list(_as_binary(kind.value_type))
    if types.is_struct(kind):
        return pa.struct([(field.name, _as_binary(field.type)) for field in kind])
    return kind


def _decoded(row: Mapping[str, Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """A row as `write_samples` was given it: `json` columns hold JSON text, null in a `sparse` one is no entry."""
    encoded, sparse = written.get("json", ()), written.get("sparse", ())
    return {
        name: json.loads(cell) if name in encoded and cell is not None else cell
        for name, cell in row.items()
        if cell is not None or name not in sparse
    }


def without_nulls(value: Any) -> Any:
    """The value with the null entries of its messages removed.

    Arrow gives every message of a column the same keys, null where a message lacks one; a null there says nothing.
    """
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        if "role" in entries:
            return _stripped(entries)
        return {key: without_nulls(entry) for key, entry in entries.items()}
    if isinstance(value, list):
        return [without_nulls(entry) for entry in cast("list[Any]", value)]
    return value


def _stripped(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _stripped(entry) for key, entry in cast("dict[str, Any]", value).items() if entry is not None
        }
    if isinstance(value, list):
        return [_stripped(entry) for entry in cast("list[Any]", value)]
    return value


def _as_text(value: Any) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else repr(value)
