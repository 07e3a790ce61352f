"""A tool that queries a database without changing it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from itertools import islice
from os import PathLike

from guerdon.agents.clip import clip
from guerdon.agents.tool import Tool, ToolError, tool
from guerdon.core.checks import check_number
from guerdon.verify.sql import Database, LimitReached, QueryError, UnusableDatabase, open_database
from guerdon.verify.sql.database import Row


def sql_tool(
    database: str | PathLike[str] | Callable[[], Database],
    *,
    seconds: float = 5.0,
    max_rows: int = 50,
    max_characters: int = 4000,
    name: str = "sql",
    price: float = 0.0,
) -> Tool:
    """A tool that runs one query on a SQLite or DuckDB database and answers with its rows as CSV, NULL for null.

    `database`: a file, or a function that opens a database with a time limit of its own. It is opened for each call,
    so that threads can share the tool, and never written · `seconds`: limit of a query on a file · `max_rows`,
    `max_characters`: of the answer, which says where there was more; at least 1.

    Calling it raises `ToolError` for a query that is wrong, refused or over its limit, and for an unusable file.
    Raises `ValueError` for limits outside their range.
    """
    check_number(seconds, "seconds", above=0.0)
    check_number(max_rows, "max_rows", low=1)
    check_number(max_characters, "max_characters", low=1)
    open_it = database if callable(database) else partial(open_database, database, seconds)

    def sql(query: str) -> str:
        """Run one SQL query that only reads, and see its rows.

        Args:
            query: A SELECT statement
        """
        try:
            with open_it() as opened, closing(opened.rows(query)) as rows:
                found = list(islice(rows, max_rows + 1))
        except (QueryError, LimitReached, UnusableDatabase) as error:
            raise ToolError(str(error)) from None
        more = "\n[more rows left out]" if len(found) > max_rows else ""
        return clip(_csv(found[:max_rows]) or "[no rows]", max_characters) + more

    return tool(sql, name=name, price=price)


def _csv(rows: Iterable[Row]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(["NULL" if c is None else c for c in row] for row in rows)
    # A database may hold bytes that aren't UTF-8, which it gives as lone surrogates; a chat can't.
    return text.getvalue().rstrip("\n").encode("utf-8", "replace").decode()
