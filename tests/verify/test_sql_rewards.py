"""Text-to-SQL rewards on samples: values, what abstains or fails with which reason, and the composed reward."""

from __future__ import annotations

import pickle
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import guerdon
from guerdon.core.registry import create
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal, Status
from guerdon.verify.sql import SqlExecution, SqlFormat, SqlNgram, SqlSchemaLinking, SqlSyntax

SCRIPT = "CREATE TABLE users (name TEXT, age INTEGER); INSERT INTO users VALUES ('Ann', 31), ('Bo', 40), ('Cy', 20);"
GOLD = "SELECT name FROM users WHERE age > 30"
ENDLESS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) "
REWARDS = [SqlExecution(), SqlSyntax(), SqlSchemaLinking(), SqlNgram(), SqlFormat()]


def chat(completion: Any, reference: Any = GOLD, **extra: Any) -> Chat:
    return Chat("Who is over 30?", completion, reference=reference, extra=extra or {"schema": SCRIPT})


def score(reward: Reward, *samples: Chat) -> Signal:
    return reward(samples)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (GOLD, 1),
        ("```sql\nselect name from users where age >= 31 order by name desc\n```", 1),
        ("SELECT u.name FROM users u WHERE u.age > 30 UNION ALL SELECT 'Bo'", 1),
        ("SELECT name FROM users", 0),
        ("SELECT name, age FROM users WHERE age > 30", 0),
        ("SELECT name FROM nowhere", 0),
        ("I don't know", 0),
        ("DROP TABLE users", 0),
        ("ATTACH 'x.db' AS x", 0),
        ("PRAGMA table_info(users)", 0),
        (ENDLESS + "SELECT n FROM c", 0),
        ("", 0),
    ],
)
@pytest.mark.parametrize("dialect", ["sqlite", "duckdb"])
def test_execution(dialect: str, sql: str, expected: float) -> None:
    signal = score(SqlExecution(dialect=dialect), chat(sql))
    assert signal.outcome[0] == expected, signal.reasons
    assert (0 in signal.notes) == (expected == 0)


def test_execution_on_files_of_both_kinds(tmp_path: Path) -> None:
    import duckdb

    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        connection.executescript(SCRIPT)
    with duckdb.connect(str(tmp_path / "b.db")) as connection:
        connection.execute(SCRIPT)
    for name in ("a.db", "b.db"):
        samples = [chat(GOLD, database=str(tmp_path / name)), chat("SELECT 1", database=tmp_path / name)]
        assert score(SqlExecution(), *samples).outcome.tolist() == [1, 0]
        assert score(SqlSyntax(), *samples).outcome.tolist() == [1, 1]


def test_order_and_decimals() -> None:
    doubled = chat(GOLD + " UNION ALL SELECT 'Bo'")
    backwards = chat(GOLD + " ORDER BY name DESC")
    assert [score(SqlExecution(order=o), doubled).outcome[0] for o in ("set", "multiset", "list")] == [
        1,
        0,
        0,
    ]
    assert [score(SqlExecution(order=o), backwards).outcome[0] for o in ("set", "multiset", "list")] == [
        1,
        1,
        0,
    ]
    thirds = chat("SELECT 0.3", reference="SELECT 0.1 + 0.2")
    assert [score(SqlExecution(decimals=d), thirds).outcome[0] for d in (None, 6)] == [0, 1]


def test_only_the_form_of_the_code_wants_select_in_upper_case() -> None:
    lower = chat(GOLD.lower())
    for kind in (SqlExecution, SqlSchemaLinking):
        assert score(kind(form="paper"), lower).outcome[0] == 1
        signal = score(kind(form="code"), lower)
        assert signal.outcome[0] == 0
        assert signal.notes[0] == 'there is no "SELECT" in upper case'


def test_a_query_at_a_limit_has_no_value_and_a_reason() -> None:
    slow = chat(ENDLESS + "SELECT count(*) FROM c")
    for reward in (SqlExecution(seconds=0.2), SqlSyntax(seconds=0.2)):
        signal = score(reward, slow, chat(GOLD))
        assert signal.status.tolist() == [Status.TIMED_OUT, Status.OK]
        assert signal.reasons[0] == "the query ran longer than 0.2 s"
    signal = score(SqlExecution(seconds=0.2), chat(GOLD, reference=ENDLESS + "SELECT count(*) FROM c"))
    assert signal.status[0] == Status.TIMED_OUT
    assert signal.reasons[0].startswith("reference: ")
    repeated = ENDLESS + "SELECT 'Bo' FROM c"
    signal = score(SqlExecution(max_rows=1000, seconds=60), chat(repeated), chat(GOLD, reference=repeated))
    assert signal.status.tolist() == [Status.FAILED, Status.FAILED]
    assert signal.reasons == {
        0: "the query has more than 1000 rows",
        1: "reference: the query has more than 1000 rows",
    }


def test_syntax_wants_only_the_first_row() -> None:
    queries = [
        "SELECT 1",
        "SELECT * FROM users WHERE age > 99",
        ENDLESS + "SELECT n FROM c",
        "SELEC 1",
        "-- no",
    ]
    signal = score(SqlSyntax(), *(chat(sql, reference=None) for sql in queries))
    assert signal.outcome.tolist() == [1, 1, 1, 0, 0]
    assert "syntax error" in signal.notes[3]
    assert signal.notes[4] == "there is no query"


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ({"other": 1}, "extra['database'] (a file) and extra['schema'] (a script) are both missing"),
        ({"schema": None, "database": None}, "are both missing"),
        ({"schema": 3}, "extra['schema']: expected text, got int"),
        ({"database": 3, "schema": SCRIPT}, "extra['database']: expected text, got int"),
        ({"database": "no such file.db"}, "no such file.db"),
        ({"schema": "CREATE TABEL x"}, "database: the script raised"),
    ],
)
def test_without_a_usable_database_it_abstains(extra: dict[str, Any], reason: str) -> None:
    for reward in (SqlExecution(), SqlSyntax()):
        signal = score(reward, chat(GOLD, **extra))
        assert signal.status[0] == Status.ABSTAINED
        assert reason in signal.reasons[0]


@pytest.mark.parametrize("reference", [None, 3, [GOLD], "", " \n"])
def test_without_a_reference_it_abstains(reference: Any) -> None:
    for reward in (SqlExecution(), SqlSchemaLinking(), SqlNgram()):
        signal = score(reward, chat(GOLD, reference=reference))
        assert signal.status[0] == Status.ABSTAINED
        assert signal.reasons[0].startswith("reference: expected a query as text, got ")


def test_a_reference_that_does_not_run_abstains() -> None:
    signal = score(SqlExecution(), chat(GOLD, reference="SELECT height FROM users"))
    assert signal.status[0] == Status.ABSTAINED
    assert signal.reasons[0] == "reference: no such column: height"


def test_schema_linking_in_both_forms() -> None:
    wider = chat("SELECT name, age, email FROM users")
    assert score(SqlSchemaLinking(), wider).outcome[0] == 3 / 4
    assert score(SqlSchemaLinking(form="code"), wider).outcome[0] == 1
    for form in ("paper", "code"):
        signal = score(
            SqlSchemaLinking(form=form),
            chat("SELECT FROM WHERE ((("),
            chat(GOLD, reference="SELECT FROM ((("),
            chat("SELECT 1", reference="SELECT 1"),
        )
        assert signal.outcome.tolist() == [0, 0, 0]
        assert [signal.notes[i].startswith("reference: ") for i in range(3)] == [False, True, True]


def test_ngrams() -> None:
    sample = chat("SELECT name FROM users WHERE age > 40")
    assert score(SqlNgram(), sample).outcome[0] == 5 / 7
    assert score(SqlNgram(n=1), sample).outcome[0] == 6 / 8
    assert score(SqlNgram(), chat("SELECT"), chat(GOLD, reference="SELECT")).outcome.tolist() == [0, 0]
    assert score(SqlNgram(), chat("I", reference="I")).outcome[0] == 0


NASTY = [
    "",
    "\ud800",
    "SELECT '\0'",
    "x" * 10_000_000,
    "```sql" * 100_000,
    "(" * 100_000,
    "SELECT " + "(" * 500 + "1" + ")" * 500,
    "SELECT " + "-" * 1000 + "1",
    "/*" * 1000,
    "\x1b[31m; DROP",
    "🦆" * 1000,
]


def test_nasty_completions_are_scored_and_harm_nobody_else() -> None:
    samples = [chat(text) for text in NASTY] + [chat(GOLD)]
    for reward in REWARDS:
        signal = score(reward, *samples)
        assert signal.ok.all(), signal.reasons
        assert signal.outcome[-1] == score(reward, chat(GOLD)).outcome[0]
    for reward in REWARDS[:4]:
        assert score(reward, chat("SELECT '\ud800")).ok.all()


def test_the_last_turn_is_looked_at() -> None:
    turns = [
        {"role": "assistant", "content": "```sql\nDROP TABLE users\n```"},
        {"role": "user", "content": "no"},
        {"role": "assistant", "content": f"```sql\n{GOLD}\n```"},
    ]
    assert score(SqlExecution(), chat(turns)).outcome[0] == 1


def test_workers_agree() -> None:
    samples = [chat(GOLD), chat("SELECT 1"), chat("DROP TABLE users"), chat(GOLD, reference=None)]
    reward = guerdon.load_reward("reasoning-sql")
    here, there = reward(samples), guerdon.score(reward, samples, workers=2, timeout=60, progress=False)
    assert there.status.tolist() == here.status.tolist()
    assert there.outcome[:3].tolist() == here.outcome[:3].tolist()
    assert pickle.loads(pickle.dumps(SqlExecution())).fingerprint() == SqlExecution().fingerprint()


# -- composed ------------------------------------------------------------------------------------------------


def test_the_published_weights() -> None:
    text = f"<reasoning>\nr\n</reasoning>\n<answer>\n```sql\n{GOLD}\n```\n</answer>\n"
    signal = score(guerdon.load_reward("reasoning-sql"), chat(text), chat("DROP TABLE users"))
    assert signal.outcome[0] == pytest.approx(3 + 1 + 1 + 1 + 0.5)
    assert signal.parts["execution"].notes[1] == "not authorized"
    assert signal.outcome[1] == pytest.approx(1 / 3)


def test_a_judge_can_grade_what_is_wrong() -> None:
    recipe = {
        "parts": {
            "execution": "sql_execution",
            "judged": {"gate": "sql_syntax", "by": {"sum": ["execution"], "weights": [-1], "bias": 1}},
        },
        "weights": {"execution": 3, "judged": 2},
    }
    signal = score(guerdon.load_reward(recipe), chat(GOLD), chat("SELECT 1"), chat("SELEC"))
    assert signal.outcome.tolist() == [3, 2, 0]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("sql_execution", {"order": "bag"}, "order: expected one of set, multiset, list, got 'bag'"),
        ("sql_execution", {"form": "exact"}, "form: expected one of paper, code, got 'exact'"),
        ("sql_execution", {"max_rows": 0}, "max_rows: expected at least 1, got 0"),
        ("sql_syntax", {"seconds": 0}, "seconds: expected a finite number above 0, got 0"),
        ("sql_syntax", {"seconds": float("nan")}, "seconds: expected a finite number above 0, got nan"),
        ("sql_syntax", {"dialect": "mysql"}, "dialect: expected one of sqlite, duckdb, got 'mysql'"),
        ("sql_schema_linking", {"dialect": "x"}, "dialect: expected one of"),
        ("sql_schema_linking", {"form": "x"}, "form: expected one of"),
        ("sql_ngram", {"n": 0}, "n: expected at least 1, got 0"),
    ],
)
def test_senseless_arguments(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create(name, "reward", arguments)
