"""Reading a file of records in which every row must be sound."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import Any, TypeVar

from guerdon.core.io.rows import open_rows

T = TypeVar("T")


def read_rows(path: str | PathLike[str], parse: Callable[[dict[str, Any]], T]) -> list[T]:
    """`parse` of every row: a benchmark's figure over the rows that happened to be readable would be another figure.

    Raises `ValueError`, which names file and line, on a row that can't be read or that `parse` refuses, and where there
    is none; `FileNotFoundError`.
    """
    name, rows = open_rows(path)
    found = list[T]()
    for row in rows:
        try:
            if row.reason is not None:
                raise ValueError(row.reason)
            found.append(parse(row.value))
        except ValueError as error:
            raise ValueError(f"{name}, line {row.line}: {error}") from None
    if not found:
        raise ValueError(f"{name}: no rows")
    return found
