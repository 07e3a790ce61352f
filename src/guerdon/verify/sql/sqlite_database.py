"""Read-only SQLite."""

from __future__ import annotations

import re
import sqlite3
import sys
from collections.abc import Generator
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from time import monotonic

from guerdon.verify.sql.database import (
    Database,
    LimitReached,
    QueryError,
    Row,
    UnusableDatabase,
    check_query,
    time_limit,
)

_READING = frozenset(
    (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)
)
_OTHER_FILES = frozenset((sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH))
_STEPS_BETWEEN_CHECKS = 10_000
_MAX_CELL_BYTES = 16_000_000
# What belongs to a connection and isn't in the database that it leaves behind.
_OF_CONNECTION = re.compile(r"\b(?:pragma|temp|temporary)\b", re.IGNORECASE)


class SqliteDatabase(Database):
    """A SQLite file, or a database in memory that a script fills.

    A query may select, read, call functions and recurse; an authorizer refuses everything else (writing,
    `ATTACH`, `PRAGMA`, transactions), whatever the file permits. `seconds` is checked every few thousand steps
    of SQLite's machine; a single call of a function isn't interrupted. On Python 3.11 and later a cell has at
    most 16 MB.
    """

    def __init__(self, connection: sqlite3.Connection, seconds: float) -> None:
        self._connection, self._seconds = connection, seconds
        # Files in the wild hold text that isn't UTF-8; it has to compare equal to itself, no more.
        connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        if sys.version_info >= (3, 11):
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_CELL_BYTES)
        connection.set_authorizer(_only_reading)

    @classmethod
    def open(cls, path: Path, seconds: float) -> SqliteDatabase:
        """Open a file, which is never written. Raises `UnusableDatabase`."""
        connection = None
        try:
            uri = f"{path.resolve().as_uri()}?mode=ro"
            connection = sqlite3.connect(uri, uri=True, timeout=seconds, isolation_level=None)
            # Holding a read transaction, a later query can't find the file locked and be blamed for it.
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            raise UnusableDatabase(f"{path}: {error}") from None
        return cls(connection, seconds)

    @classmethod
    def from_script(cls, script: str, seconds: float) -> SqliteDatabase:
        """Run a script in memory; it may do anything there but attach files. Raises `UnusableDatabase`.

        Each database is a new one, but what the last few scripts made is remembered and not made again.
        """
        image = _image(script, seconds)
        if image is None:
            return cls(_filled(script, seconds), seconds)
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.deserialize(image)
        return cls(connection, seconds)

    def rows(self, sql: str) -> Generator[Row, None, None]:
        check_query(sql)
        _set_deadline(self._connection, self._seconds)
        try:
            with closing(self._connection.execute(sql)) as cursor:
                if cursor.description is None:
                    raise QueryError("there is no query")
                yield from cursor
        except (sqlite3.DataError, MemoryError):
            raise LimitReached("the query made a value that is too large") from None
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            if str(error) == "interrupted":
                raise time_limit(self._seconds) from None
            raise QueryError(str(error)) from None

    def close(self) -> None:
        self._connection.close()


def _filled(script: str, seconds: float) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.set_authorizer(_no_other_files)
    _set_deadline(connection, seconds)
    try:
        connection.executescript(script)
    except (sqlite3.Error, ValueError) as error:
        connection.close()
        raise UnusableDatabase(f"the script raised: {error}") from None
    connection.set_progress_handler(None, 0)
    return connection


# Few, since a short script can make a large database; the completions of a group share theirs.
@lru_cache(maxsize=8)
def _image(script: str, seconds: float) -> bytes | None:
    """The database that a script makes, as a file would hold it; None where that may not be all that it makes."""
    if sys.version_info < (3, 11) or _OF_CONNECTION.search(script):
        return None
    with closing(_filled(script, seconds)) as connection:
        made = connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        return connection.serialize() if made else None


def _set_deadline(connection: sqlite3.Connection, seconds: float) -> None:
    deadline = monotonic() + seconds
    connection.set_progress_handler(lambda: monotonic() > deadline, _STEPS_BETWEEN_CHECKS)


def _only_reading(action: int, *_: str | None) -> int:
    return sqlite3.SQLITE_OK if action in _READING else sqlite3.SQLITE_DENY


def _no_other_files(action: int, *_: str | None) -> int:
    return sqlite3.SQLITE_DENY if action in _OTHER_FILES else sqlite3.SQLITE_OK
