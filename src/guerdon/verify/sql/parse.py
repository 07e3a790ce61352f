"""What a parser finds in a query: the tables and columns that it names, and its words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from guerdon.core.extras import need
from guerdon.verify.sql.database import Dialect, QueryError, check_query

if TYPE_CHECKING:
    from sqlglot.expressions.core import Expression

_WORD = re.compile(r"\w+")


def parse(sql: str, dialect: Dialect = "sqlite") -> Expression:
    """The syntax tree of a single statement.

    Raises `QueryError` where there is no statement, more than one, or one that can't be parsed, is longer than
    `MAX_QUERY_LENGTH` or nested deeper than the parser can follow (some 100 levels); `MissingExtra` without the
    extra `sql`.
    """
    sqlglot = need("sqlglot", "sql")
    check_query(sql)
    try:
        statements = [statement for statement in sqlglot.parse(sql, read=dialect) if statement is not None]
    except sqlglot.errors.ParseError as error:
        raise QueryError(error.errors[0]["description"] if error.errors else str(error)) from None
    except sqlglot.errors.SqlglotError as error:
        raise QueryError(str(error)) from None
    except RecursionError:
        raise QueryError("the query is nested too deeply") from None
    if len(statements) != 1:
        raise QueryError(f"expected one statement, got {len(statements)}")
    return statements[0]


def identifiers(sql: str, dialect: Dialect = "sqlite") -> frozenset[str]:
    """Names of all columns and tables that a query refers to, as one set, case kept.

    Columns go without their table and tables without their alias; names of common table expressions are among
    the tables, and an alias in ORDER BY is a column. `t.*` gives `*`, and a bare `*` gives nothing.

    Raises `QueryError` as `parse` does.
    """
    exp = need("sqlglot.expressions", "sql")
    tree = parse(sql, dialect)
    names = {
        node.name if isinstance(node, exp.Table) else node.alias_or_name
        for node in tree.find_all(exp.Column, exp.Table)
    }
    return frozenset(names - {""})


def word_tokens(sql: str, dialect: Dialect = "sqlite") -> list[str]:
    """Words (`\\w+`) of a query in lower case, after it was parsed and written again in one style.

    The word "as" is left out, and so is, wherever it stands, every word that is an alias of a table or of a
    selected expression; aliases of subqueries and common table expressions stay. The words of text that `parse`
    refuses are those of the text itself without "as".
    """
    exp = need("sqlglot.expressions", "sql")
    ignored = {"as"}
    text = sql
    try:
        tree = parse(sql, dialect)
        aliases = set[str]()
        for node in tree.find_all(exp.Table, exp.Select):
            named = [node] if isinstance(node, exp.Table) else node.expressions
            aliases.update(expression.alias.lower() for expression in named)
        text = tree.sql(dialect=dialect, copy=False)
        ignored |= aliases
    except (QueryError, RecursionError):
        pass
    return [word for word in _WORD.findall(text.lower()) if word not in ignored]
