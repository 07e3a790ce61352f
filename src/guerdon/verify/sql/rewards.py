"""Rewards for text-to-SQL: what a query returns, whether it runs, and how much of the expected query is in it."""

from __future__ import annotations

import os
from contextlib import closing
from functools import lru_cache
from typing import Literal, TypeAlias, get_args

from guerdon.core.checks import check_choice, check_number
from guerdon.core.context import Context
from guerdon.core.extras import need
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Abstain, Failure, Score
from guerdon.verify.sql.completion import extract_sql, tag_count
from guerdon.verify.sql.database import (
    Database,
    Dialect,
    LimitReached,
    QueryError,
    UnusableDatabase,
    check_dialect,
)
from guerdon.verify.sql.execute import (
    ORDERS,
    Order,
    at_most,
    database_from_script,
    open_database,
    same_result,
)
from guerdon.verify.sql.parse import identifiers, word_tokens
from guerdon.verify.sql.similarity import jaccard, ngram_set, recall

Form: TypeAlias = Literal["paper", "code"]


class _OnDatabase(Reward):
    """Runs queries on the database of a sample."""

    uses_context = False

    def __init__(self, dialect: Dialect, seconds: float) -> None:
        check_dialect(dialect)
        self.dialect: Dialect = dialect
        self.seconds = check_number(seconds, "seconds", above=0.0)

    def prepare(self) -> None:
        if self.dialect == "duckdb":
            need("duckdb", "sql")

    def score(self, sample: Chat, context: Context) -> float | Score | Failure:
        try:
            with self._database(sample) as database:
                return self.judge(sample, database)
        except UnusableDatabase as error:
            raise Abstain(f"database: {error}") from None
        except LimitReached as limit:
            return Failure(str(limit), limit.status)

    def judge(self, sample: Chat, database: Database) -> float | Score:
        raise NotImplementedError

    def _database(self, sample: Chat) -> Database:
        path, script = sample.extra.get("database"), sample.extra.get("schema")
        if isinstance(path, (str, os.PathLike)):
            return open_database(path, self.seconds)
        if path is None and isinstance(script, str):
            return database_from_script(script, self.dialect, self.seconds)
        if path is None and script is None:
            raise Abstain("extra['database'] (a file) and extra['schema'] (a script) are both missing")
        key, value = ("schema", script) if path is None else ("database", path)
        raise Abstain(f"extra[{key!r}]: expected text, got {type(value).__name__}")


@register("sql_execution", example="{reward: sql_execution, order: multiset, decimals: 6}")
class SqlExecution(_OnDatabase):
    """1 where the query of the completion returns what the expected query returns, else 0.

    **The query** is what stands in the last closed ```` ```sql ```` fence of the last assistant turn, or all of
    that turn where there is no fence. **The expected query** is the reference, as text.

    **The database** is `extra["database"]`, the path of a SQLite or DuckDB file (a relative one counts from the
    working directory), or where that is missing `extra["schema"]`, a script of `CREATE TABLE` and `INSERT` that
    fills a database of the kind `dialect` in memory. Queries can only read: see `SqliteDatabase` and
    `DuckdbDatabase`. A DuckDB file needs the extra `sql`.

    `order`, `decimals`: which results are the same, see `same_result`; the default ignores the order of rows
    and duplicates, as BIRD does. Two empty results are the same. · `form="code"` gives 0 wherever "SELECT" in
    upper case isn't in the query, as the released code does; `paper` (default) has no such rule.

    A query that is refused (it writes, attaches a file, sets an option) or raises returns nothing, so it scores
    0, with a note. One that runs longer than `seconds` is TIMED_OUT, and one with more than `max_rows` rows or
    too large a value FAILED, since nothing is known of its result; but a query ends at the first row that can't
    be right, so an endless one mostly scores 0 at once. A single long call of a function isn't interrupted:
    the time limit of `guerdon.score` ends that one. Abstains where the database is missing or unusable, or the
    reference is missing, isn't text or doesn't run.

    Mohammadreza Pourreza et al., "Reasoning-SQL: Reinforcement Learning with SQL Tailored Partial Rewards for
    Reasoning-Enhanced Text-to-SQL", arXiv:2503.23157, where this term has the weight 3.
    """

    name = "sql_execution"

    def __init__(
        self,
        order: Order = "set",
        decimals: int | None = None,
        form: Form = "paper",
        dialect: Dialect = "sqlite",
        seconds: float = 10.0,
        max_rows: int = 100_000,
    ) -> None:
        super().__init__(dialect, seconds)
        check_choice(order, "order", ORDERS)
        check_choice(form, "form", get_args(Form))
        if max_rows < 1:
            raise ValueError(f"max_rows: expected at least 1, got {max_rows}")
        self.order: Order = order
        self.form: Form = form
        self.decimals, self.max_rows = decimals, max_rows

    def judge(self, sample: Chat, database: Database) -> float | Score:
        reference = _reference(sample)
        try:
            with closing(database.rows(reference)) as rows:
                expected = list(at_most(rows, self.max_rows))
        except QueryError as error:
            raise Abstain(f"reference: {error}") from None
        except LimitReached as limit:
            raise LimitReached(f"reference: {limit}", limit.status) from None
        sql = extract_sql(sample.final)
        if self.form == "code" and "SELECT" not in sql:
            return Score(0.0, note=_NO_SELECT)
        try:
            with closing(database.rows(sql)) as rows:
                limited = at_most(rows, self.max_rows)
                same = same_result(expected, limited, order=self.order, decimals=self.decimals)
        except QueryError as error:
            return Score(0.0, note=str(error))
        return 1.0 if same else Score(0.0, note="the query returns something else")


@register("sql_syntax", example="{reward: sql_syntax, seconds: 5}")
class SqlSyntax(_OnDatabase):
    """1 where the query of the completion runs on the database up to its first row, else 0.

    Where the query and the database are found, what a query may do, limits and abstaining are those of
    `sql_execution`; there is no reference. A query that returns no row is fine, and so is `SELECT 1`: alone,
    this reward is won by any query. A 0 comes with a note.

    Pourreza et al., "Reasoning-SQL", arXiv:2503.23157, where this term has the weight 1.
    """

    name = "sql_syntax"

    def __init__(self, dialect: Dialect = "sqlite", seconds: float = 10.0) -> None:
        super().__init__(dialect, seconds)

    def judge(self, sample: Chat, database: Database) -> float | Score:
        try:
            with closing(database.rows(extract_sql(sample.final))) as rows:
                next(rows, None)
        except QueryError as error:
            return Score(0.0, note=str(error))
        return 1.0


@register("sql_schema_linking", example="{reward: sql_schema_linking, form: code}")
class SqlSchemaLinking(Reward):
    """How far the query of the completion names the tables and columns of the expected query, in [0, 1].

        R = |I_S ∩ I_G| / |I_S ∪ I_G|        form="paper"
        R = |I_S ∩ I_G| / |I_G|              form="code"

    I_S, I_G: `identifiers` of the query and of the expected query, which is the reference. `code` also gives 0
    wherever "SELECT" in upper case isn't in the query, as the released code does; there, columns too many cost
    nothing, so that a policy learns to select more of them. `paper` is the default.

    0 with a note where either can't be parsed, and where the expected query names nothing. Abstains where the
    reference is missing or isn't text. Where the query is found, `sql_execution` says. Needs the extra `sql`;
    results can change with the version of sqlglot, so pin it.

    Pourreza et al., "Reasoning-SQL", arXiv:2503.23157, where this term has the weight 1.
    """

    name = "sql_schema_linking"
    uses_context = False

    def __init__(self, form: Form = "paper", dialect: Dialect = "sqlite") -> None:
        check_choice(form, "form", get_args(Form))
        check_dialect(dialect)
        self.form: Form = form
        self.dialect: Dialect = dialect

    def prepare(self) -> None:
        need("sqlglot", "sql")

    def score(self, sample: Chat, context: Context) -> float | Score:
        reference = _reference(sample)
        sql = extract_sql(sample.final)
        if self.form == "code" and "SELECT" not in sql:
            return Score(0.0, note=_NO_SELECT)
        try:
            wanted = _remembered_identifiers(reference, self.dialect)
        except QueryError as error:
            return Score(0.0, note=f"reference: {error}")
        try:
            parsed = _remembered_identifiers if len(sql) < _REMEMBERED_LENGTH else identifiers
            found = parsed(sql, self.dialect)
        except QueryError as error:
            return Score(0.0, note=str(error))
        if not wanted:
            return Score(0.0, note="reference: it names no table and no column")
        return jaccard(found, wanted) if self.form == "paper" else recall(found, wanted)


@register("sql_ngram", example="{reward: sql_ngram, n: 2}")
class SqlNgram(Reward):
    """Jaccard similarity of the word n-grams of a completion's query and the expected query, in [0, 1].

        R = |N_S ∩ N_G| / |N_S ∪ N_G|        N = set of n-grams of `word_tokens`; 0 where both are empty

    Both are parsed and written again in one style first, and the word "as" and aliases are left out; text that
    can't be parsed is compared as it is. The reference is the expected query; abstains where it is missing or
    isn't text. Where the query is found, `sql_execution` says. Needs the extra `sql`; results can change with
    the version of sqlglot, so pin it. Raises `ValueError` for `n` below 1 or an unknown dialect.

    Pourreza et al., "Reasoning-SQL", arXiv:2503.23157, where this term has the weight 1 and n is 2.
    """

    name = "sql_ngram"
    uses_context = False

    def __init__(self, n: int = 2, dialect: Dialect = "sqlite") -> None:
        ngram_set([], n)
        check_dialect(dialect)
        self.n = n
        self.dialect: Dialect = dialect

    def prepare(self) -> None:
        need("sqlglot", "sql")

    def score(self, sample: Chat, context: Context) -> float:
        wanted = _remembered_ngrams(_reference(sample), self.n, self.dialect)
        sql = extract_sql(sample.final)
        ngrams = _remembered_ngrams if len(sql) < _REMEMBERED_LENGTH else _ngrams
        return jaccard(ngrams(sql, self.n, self.dialect), wanted)


@register("sql_format", example="{reward: sql_format}")
class SqlFormat(Reward):
    """Value of the tags of reasoning and answer in the last assistant turn, each once, at most 0.501.

    `tag_count` has the equation: 0.125 for each of four tags on lines of their own, minus 0.001 for each
    character behind the answer. A completion that ends in `</answer>` without a newline is charged for its
    whole length; it can be negative without bound.

    Pourreza et al., "Reasoning-SQL", arXiv:2503.23157, where this term is added as it is.
    """

    name = "sql_format"
    uses_context = False

    def score(self, sample: Chat, context: Context) -> float:
        return tag_count(sample.final)


_NO_SELECT = 'there is no "SELECT" in upper case'


def _reference(sample: Chat) -> str:
    reference = sample.reference
    if not isinstance(reference, str) or not reference.strip():
        got = "empty text" if isinstance(reference, str) else type(reference).__name__
        raise Abstain(f"reference: expected a query as text, got {got}")
    return reference


def _ngrams(sql: str, n: int, dialect: Dialect) -> frozenset[str]:
    return ngram_set(word_tokens(sql, dialect), n)


# Parsing takes most of the time, and within a group queries come again: the reference, and what is often written.
_remembered_identifiers = lru_cache(maxsize=1024)(identifiers)
_remembered_ngrams = lru_cache(maxsize=1024)(_ngrams)
# A longer query of a completion isn't remembered, so that the memory stays small.
_REMEMBERED_LENGTH = 4096
