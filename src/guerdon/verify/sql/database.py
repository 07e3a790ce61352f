"""What an open database offers, and the ways in which a query on it can end without a result."""

from __future__ import annotations

from collections.abc import Generator, Hashable
from types import TracebackType
from typing import Literal, TypeAlias, get_args

from guerdon.core.checks import check_choice
from guerdon.core.signal import Status

Dialect: TypeAlias = Literal["sqlite", "duckdb"]
Row: TypeAlias = tuple[Hashable, ...]

MAX_QUERY_LENGTH = 100_000
"""Characters of a query; a longer one is neither parsed nor run, since both take time before any limit starts."""


class QueryError(Exception):
    """The query is at fault: it can't be read, it is refused, or it raised."""


class UnusableDatabase(Exception):
    """The database is at fault: it is missing, can't be opened, or its script raised."""


class LimitReached(Exception):
    """A query was stopped at a limit, so nothing is known of its result."""

    def __init__(self, reason: str, status: Status = Status.FAILED) -> None:
        super().__init__(reason)
        self.status = status


def time_limit(seconds: float) -> LimitReached:
    """The limit on time."""
    return LimitReached(f"the query ran longer than {seconds:g} s", Status.TIMED_OUT)


class Database:
    """An open database that a query can read and do nothing else with. Closing it is the caller's duty."""

    def rows(self, sql: str) -> Generator[Row, None, None]:
        """Rows of one query, as they are computed.

        Raises `QueryError`, or `LimitReached` for time and memory. Exhaust it or close it
        before the next query and before the database is closed.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Give the connection back."""
        raise NotImplementedError

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_query(sql: str) -> None:
    """Raise `QueryError` for text that no database takes: too long, or not Unicode."""
    if len(sql) > MAX_QUERY_LENGTH:
        raise QueryError(f"the query has {len(sql)} characters, expected at most {MAX_QUERY_LENGTH}")
    try:
        sql.encode()
    except UnicodeEncodeError:
        raise QueryError("the query has a lone surrogate") from None


def check_dialect(dialect: str) -> None:
    """Raise `ValueError` for an unknown dialect."""
    check_choice(dialect, "dialect", get_args(Dialect))
