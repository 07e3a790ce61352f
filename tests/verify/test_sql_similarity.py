"""What is read from a query and how similar two queries are."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.verify.sql import (
    QueryError,
    extract_sql,
    identifiers,
    jaccard,
    ngram_set,
    recall,
    tag_count,
    word_tokens,
)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT name FROM users WHERE age > 30", {"name", "users", "age"}),
        ("SELECT u.name FROM users AS u WHERE u.age > 30", {"name", "users", "age"}),
        ("SELECT Name AS n FROM users ORDER BY n", {"Name", "users", "n"}),
        ("SELECT * FROM t", {"t"}),
        ("SELECT u.* FROM t u", {"*", "t"}),
        ("SELECT count(*) FROM t", {"t"}),
        ('SELECT "a b", `c d`, [e f] FROM "my table"', {"a b", "c d", "e f", "my table"}),
        ("WITH c AS (SELECT x FROM t) SELECT y FROM c", {"x", "t", "y", "c"}),
        ("SELECT (SELECT max(z) FROM q) FROM t JOIN s ON t.id = s.tid", {"z", "q", "t", "s", "id", "tid"}),
        ("SELECT a FROM t UNION SELECT b FROM u", {"a", "t", "b", "u"}),
        ("SELECT value FROM json_each('[]')", {"value"}),
        ("SELECT größe FROM 表", {"größe", "表"}),
        ("SELECT 1;", set()),
    ],
)
def test_identifiers(sql: str, expected: set[str]) -> None:
    assert identifiers(sql) == expected


def test_the_dialect_decides_what_can_be_parsed() -> None:
    sql = "SELECT a FROM t QUALIFY row_number() OVER (ORDER BY b) = 1"
    assert identifiers(sql, "duckdb") == {"a", "t", "b"}


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "-- nothing",
        "SELECT FROM WHERE (((",
        "SELECT 1; SELECT 2",
        "SELECT '",
        "\ud800",
        "(" * 50_000,
        "SELECT " + "(" * 3000 + "1" + ")" * 3000,
        "x" * 10_000_000,
    ],
    ids=lambda sql: ascii(sql[:40]),
)
def test_what_is_no_single_statement(sql: str) -> None:
    with pytest.raises(QueryError, match=r"\w"):
        identifiers(sql)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select  Name from users", "select name from users"),
        ("SELECT u.name FROM users AS u", "select name from users"),
        ("SELECT u.name AS n, n FROM users AS u ORDER BY n", "select name from users order by"),
        ("SELECT T1.a FROM t AS T1", "select a from t"),
        ("SELECT s.a FROM (SELECT a FROM t) AS s", "select s a from select a from t s"),
        ("WITH c AS (SELECT a FROM t) SELECT a FROM c", "with c select a from t select a from c"),
        ("SELECT (SELECT 1) AS x", "select select 1"),
        ("SELECT a b FROM t", "select a from t"),
        ("SELECT FROM AS WHERE (((", "select from where"),
        ("SELECT 'é' FROM t", "select é from t"),
        ("", ""),
        ("\ud800 a AS b", "a b"),
    ],
    ids=ascii,
)
def test_word_tokens(sql: str, expected: str) -> None:
    assert word_tokens(sql) == expected.split()


def test_bigrams() -> None:
    assert ngram_set(["a", "b", "a", "b"]) == {"a b", "b a"}
    assert ngram_set(["a", "b", "c"], 3) == {"a b c"}
    assert ngram_set(["a"]) == ngram_set([]) == frozenset()
    with pytest.raises(ValueError, match="n: expected at least 1, got 0"):
        ngram_set(["a"], 0)


SETS = st.frozensets(st.sampled_from("abcde"))


@given(SETS, SETS)
def test_similarities_of_sets(a: frozenset[str], b: frozenset[str]) -> None:
    assert 0 <= jaccard(a, b) <= recall(a, b) <= 1
    assert jaccard(a, b) == jaccard(b, a)
    assert (jaccard(a, b) == 1) == (a == b and bool(a))
    assert (recall(a, b) == 1) == (a >= b and bool(b))
    assert recall(a | {"z"}, b) == recall(a, b)


WORDS = st.sampled_from(
    ["SELECT", "FROM", "WHERE", "AS", "t", "a", "(", ")", ",", "1", "'", "=", ";", "*", "é"]
)


@given(st.lists(WORDS, max_size=12).map(" ".join))
def test_any_text_has_words_and_is_parsed_or_refused(sql: str) -> None:
    assert "as" not in word_tokens(sql)
    with suppress(QueryError):
        assert "" not in identifiers(sql)


# -- completions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("```sql\nSELECT 1\n```", "SELECT 1"),
        ("```sql\nSELECT 1\n``` or ```sql\nSELECT 2\n```", "SELECT 2"),
        ("```SQL SELECT 1```", "SELECT 1"),
        ("```sql\nSELECT 1\n``` then ```sql\nSELECT 2", "SELECT 1"),
        ("```python\nprint()\n```", "```python\nprint()\n```"),
        ("```sqlite\nSELECT 1\n```", "```sqlite\nSELECT 1\n```"),
        (" SELECT 1\n", "SELECT 1"),
        ("```sql```", ""),
        ("", ""),
    ],
)
def test_where_the_query_stands(text: str, expected: str) -> None:
    assert extract_sql(text) == expected


REASONED = "<reasoning>\nr\n</reasoning>\n<answer>\nSELECT 1\n</answer>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (REASONED + "\n", 0.5),
        (REASONED, 0.5 - 0.001 * len(REASONED) + 0.001),
        (REASONED + "\nextra", 0.5 - 0.005 - 0.005),
        (REASONED + "\n" + REASONED + "\n", 0.0),
        ("<reasoning>\n<reasoning>\n", 0.0),
        ("<reasoning>\n", 0.125),
        ("a\n</answer>" + "x" * 1_000_000, 0.125 - 999.999),
        ("", 0.0),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_tag_count(text: str, expected: float) -> None:
    assert tag_count(text) == pytest.approx(expected)
