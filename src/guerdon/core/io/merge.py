"""One table from the tables of a run's chunks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from guerdon.core.io.arrow import description_of, load
from guerdon.core.io.files import replacing
from guerdon.core.io.table import column_type, read_table, write_table


def merge_tables(parts: Sequence[Path], out: Path) -> None:
    """Write the rows of several Parquet files of `to_table` to one file, in order.

    A column that some of them lack is empty in their rows: such a part abstained there. A Parquet `out` is written in
    constant memory; the text forms hold everything at once. The file appears in one piece.
    """
    pa, pq = load(), load("pyarrow.parquet")
    schema = _common_schema(parts)
    if out.suffix != ".parquet":
        write_table(pa.concat_tables([_complete(read_table(part), schema) for part in parts]), out)
        return
    with replacing(out) as scratch, pq.ParquetWriter(scratch, schema) as writer:
        for part in parts:
            writer.write_table(_complete(read_table(part), schema))


def _common_schema(parts: Sequence[Path]) -> Any:
    """All columns in order of first appearance, and one description of them."""
    pa, pq = load(), load("pyarrow.parquet")
    fields = dict[str, Any]()
    described: dict[str, Any] = {}
    for part in parts:
        schema = pq.read_schema(part)
        for field in schema:
            fields.setdefault(field.name, pa.field(field.name, column_type(field.name)))
        mine: dict[str, Any] = description_of(schema) or {}
        units: dict[str, str] = {**described.get("units", {}), **mine.get("units", {})}
        spans = sorted({*described.get("spans", ()), *mine.get("spans", ())})
        described = {**described, **mine, "units": units, "spans": spans}
    return pa.schema(list(fields.values()), metadata={"guerdon": json.dumps(described)})


def _complete(table: Any, schema: Any) -> Any:
    pa = load()
    for name in schema.names:
        if name not in table.column_names:
            status = name.rsplit("/", 1)[-1] == "status"
            cells = pa.array(["abstained"] * table.num_rows) if status else pa.nulls(table.num_rows)
            table = table.append_column(name, cells.cast(column_type(name)))
    return table.select(schema.names).cast(schema)
