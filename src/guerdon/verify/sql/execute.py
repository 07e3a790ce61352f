"""Databases that queries run on, and whether two results are the same."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from guerdon.core.checks import check_choice
from guerdon.verify.sql.database import Database, Dialect, LimitReached, Row, UnusableDatabase
from guerdon.verify.sql.duckdb_database import DuckdbDatabase
from guerdon.verify.sql.sqlite_database import SqliteDatabase

Order: TypeAlias = Literal["set", "multiset", "list"]
ORDERS: tuple[Order, ...] = get_args(Order)


def open_database(path: str | os.PathLike[str], seconds: float) -> Database:
    """Open a SQLite or DuckDB file for reading; which one it is, its first bytes say.

    `seconds` limits each query. Raises `UnusableDatabase` where the file is missing or is neither.
    """
    file = Path(path)
    try:
        with file.open("rb") as stream:
            head = stream.read(12)
    except (OSError, ValueError) as error:
        raise UnusableDatabase(str(error)) from None
    return (DuckdbDatabase if head[8:12] == b"DUCK" else SqliteDatabase).open(file, seconds)


def database_from_script(script: str, dialect: Dialect, seconds: float) -> Database:
    """A database in memory that `script` (`CREATE TABLE …; INSERT …;`) fills.

    `seconds` limits the script, and then each query. Raises `UnusableDatabase` where the script raises.
    """
    return (DuckdbDatabase if dialect == "duckdb" else SqliteDatabase).from_script(script, seconds)


def at_most(rows: Iterator[Row], count: int) -> Iterator[Row]:
    """The rows, or `LimitReached` where there are more than `count`."""
    for number, row in enumerate(rows):
        if number == count:
            raise LimitReached(f"the query has more than {count} rows")
        yield row


def same_result(
    expected: Collection[Row], rows: Iterable[Row], *, order: Order = "set", decimals: int | None = None
) -> bool:
    """Whether `rows` are the expected ones. It reads them only up to the first that can't be.

    `order`: `set` ignores the order of rows and duplicates, `multiset` the order, `list` nothing. The order of
    columns always counts, their names never. · `decimals`: floats are rounded to so many decimals first, so
    that two of them are the same where they round alike; None compares them exactly. 1 and 1.0 are the same.

    Raises `ValueError` for an unknown order.
    """
    check_choice(order, "order", ORDERS)
    expected = [_rounded(row, decimals) for row in expected]
    rows = (_rounded(row, decimals) for row in rows)
    if order == "list":
        return all(left == right for left, right in zip_longest(expected, rows))
    if order == "multiset":
        left_over = Counter(expected)
        for row in rows:
            if not left_over[row]:
                return False
            left_over[row] -= 1
        return not any(left_over.values())
    wanted, found = set(expected), set[Row]()
    for row in rows:
        if row not in wanted:
            return False
        found.add(row)
    return found == wanted


def _rounded(row: Row, decimals: int | None) -> Row:
    if decimals is None:
        return row
    return tuple(round(cell, decimals) if isinstance(cell, float) else cell for cell in row)
