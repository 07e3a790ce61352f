"""Read-only DuckDB."""

from __future__ import annotations

import math
from collections.abc import Generator, Hashable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from threading import Timer
from typing import Any

from guerdon.core.extras import need
from guerdon.verify.sql.database import (
    Database,
    LimitReached,
    QueryError,
    Row,
    UnusableDatabase,
    check_query,
    time_limit,
)

_CONFIG = {
    # Without files, a name in a query can't mean a data frame in the caller's Python code either.
    "enable_external_access": False,
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "temp_directory": "",
    "memory_limit": "1GB",
    "threads": 1,
    "lock_configuration": True,
}
_BATCH = 256


class DuckdbDatabase(Database):
    """A DuckDB file, or a database in memory that a script fills.

    A query is one statement of the type SELECT (which includes `WITH`, `VALUES` and `FROM t`); everything else
    is refused. Files, extensions, settings and Python's variables are out of reach, and memory ends at 1 GB.
    `seconds` is kept by a timer that interrupts the query; a single call of a function isn't interrupted.

    Needs the extra `sql`; raises `MissingExtra` without.
    """

    def __init__(self, connection: Any, seconds: float) -> None:
        self._connection, self._seconds = connection, seconds

    @classmethod
    def open(cls, path: Path, seconds: float) -> DuckdbDatabase:
        """Open a file, which is never written. Raises `UnusableDatabase`."""
        return cls(_connect(str(path), read_only=True), seconds)

    @classmethod
    def from_script(cls, script: str, seconds: float) -> DuckdbDatabase:
        """Run a script in memory; it may do anything there. Raises `UnusableDatabase`."""
        duckdb = need("duckdb", "sql")
        connection = _connect(":memory:", read_only=False)
        try:
            script.encode()
            with _interrupted_after(connection, seconds):
                connection.execute(script)
        except (duckdb.Error, UnicodeEncodeError) as error:
            connection.close()
            raise UnusableDatabase(f"the script raised: {error}") from None
        return cls(connection, seconds)

    def rows(self, sql: str) -> Generator[Row, None, None]:
        duckdb = need("duckdb", "sql")
        check_query(sql)
        try:
            with _interrupted_after(self._connection, self._seconds):
                statements = self._connection.extract_statements(sql)
                if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
                    raise QueryError("expected one query and nothing else")
                self._connection.execute(statements[0])
                while batch := self._connection.fetchmany(_BATCH):
                    yield from (tuple(map(_plain, row)) for row in batch)
        except duckdb.InterruptException:
            raise time_limit(self._seconds) from None
        except duckdb.OutOfMemoryException as error:
            raise LimitReached(str(error)) from None
        except duckdb.Error as error:
            raise QueryError(str(error)) from None

    def close(self) -> None:
        self._connection.close()


def _connect(path: str, read_only: bool) -> Any:
    duckdb = need("duckdb", "sql")
    try:
        return duckdb.connect(path, read_only=read_only, config=_CONFIG)
    except duckdb.Error as error:
        raise UnusableDatabase(f"{path}: {error}") from None


@contextmanager
def _interrupted_after(connection: Any, seconds: float) -> Iterator[None]:
    timer = Timer(seconds, connection.interrupt)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _plain(value: Any) -> Hashable:
    """A cell that can be hashed and equals the same value of another type."""
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, list):
        return tuple(map(_plain, value))
    if isinstance(value, dict):
        return tuple((_plain(key), _plain(item)) for key, item in value.items())
    return value
