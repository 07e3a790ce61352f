from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from guerdon.agents import ToolError, answer_calls, as_tools, sql_tool
from guerdon.verify.sql import database_from_script
from guerdon.verify.sql.database import Dialect

SCRIPT = """
CREATE TABLE pets (name TEXT, age INTEGER, note TEXT);
INSERT INTO pets VALUES ('Ann, the cat', 3, NULL), ('Ben', 5, 'says "woof"'), ('Eva', 8, '');
"""
ENDLESS = "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t) SELECT count(*) FROM t"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pets.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(SCRIPT)
    connection.execute("INSERT INTO pets VALUES (CAST(x'ff41' AS TEXT), 9, NULL)")
    connection.commit()
    connection.close()
    return path


def test_rows_are_csv(file: Path) -> None:
    ask = sql_tool(file)
    assert ask(query="SELECT * FROM pets WHERE age < 9 ORDER BY age") == (
        '"Ann, the cat",3,NULL\nBen,5,"says ""woof"""\nEva,8,'
    )
    assert ask(query="SELECT name FROM pets WHERE age > 100") == "[no rows]"
    assert "CREATE TABLE pets" in ask(query="SELECT sql FROM sqlite_master")
    assert ask(query="SELECT name FROM pets WHERE age = 9") == "?A", "a chat holds no bytes"


@pytest.mark.parametrize(
    ("dialect", "schema"),
    [
        ("sqlite", "SELECT name FROM sqlite_master"),
        ("duckdb", "SELECT table_name FROM information_schema.tables"),
    ],
)
def test_a_database_in_memory_is_opened_anew_for_each_call(dialect: Dialect, schema: str) -> None:
    pytest.importorskip("duckdb")
    ask = sql_tool(partial(database_from_script, SCRIPT, dialect, 5.0))
    assert ask(query=schema) == "pets"
    with pytest.raises(ToolError):
        ask(query="DROP TABLE pets")
    with ThreadPoolExecutor(4) as threads:
        answers = threads.map(lambda _: ask(query="SELECT count(*), max(age) FROM pets"), range(8))
    assert set(answers) == {"3,8"}


def test_answers_are_bounded(file: Path) -> None:
    numbers = "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t) SELECT i FROM t"
    assert sql_tool(file, max_rows=2)(query=numbers) == "1\n2\n[more rows left out]"
    assert sql_tool(file, max_rows=2)(query=f"{numbers} LIMIT 2") == "1\n2"
    assert sql_tool(file, max_characters=5)(query="SELECT 12345") == "12345"
    long = sql_tool(file, max_characters=10)(query="SELECT hex(zeroblob(1000000))")
    assert long == "0" * 10 + "\n[1999990 more characters left out]"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "SELEC 1",
        "SELECT nothing FROM pets",
        "DELETE FROM pets",
        "INSERT INTO pets VALUES (1, 2, 3)",
        "PRAGMA journal_mode = DELETE",
        "ATTACH 'other.db' AS other",
        "SELECT 1; DELETE FROM pets",
        "SELECT '\x00'",
        ENDLESS,
    ],
)
def test_what_is_wrong_or_refused_is_told_and_changes_nothing(file: Path, query: str) -> None:
    before = file.read_bytes()
    ask = sql_tool(file, seconds=0.2)
    with pytest.raises(ToolError, match=r"\w"):
        ask(query=query)
    calls = [{"function": {"name": "sql", "arguments": {"query": query}}}]
    (answer,) = answer_calls({"role": "assistant", "tool_calls": calls}, as_tools([ask]))
    assert answer["content"].startswith("error: ")
    assert file.read_bytes() == before


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="No such file"):
        sql_tool(tmp_path / "nowhere.db")(query="SELECT 1")


def test_limits_are_checked() -> None:
    for options in ({"seconds": 0}, {"max_rows": 0}, {"max_characters": 0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            sql_tool("any.db", **options)
