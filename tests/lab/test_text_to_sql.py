from __future__ import annotations

import random
import re
import sqlite3
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.core.recipe import load_reward
from guerdon.core.samples import Chat
from guerdon.lab.env import WorldEnv
from guerdon.lab.play import play
from guerdon.lab.policy import make_policy
from guerdon.lab.text_to_sql import SCHEMAS, TextToSql

LEVELS = (1, 2, 3)
PARTS = {"execution": 1.0, "syntax": 1.0, "schema": 1.0, "ngram": 1.0, "format": 0.5}


@pytest.mark.parametrize("level", LEVELS)
def test_the_solution_gets_the_maximum_of_every_part(level: int) -> None:
    pytest.importorskip("sqlglot")
    signal = load_reward("reasoning-sql")([task.chat(task.solution) for task in TextToSql(level).tasks(60)])
    np.testing.assert_allclose(signal.outcome, 6.5)
    for name, maximum in PARTS.items():
        np.testing.assert_allclose(signal.parts[name].outcome, maximum)


@given(level=st.sampled_from(LEVELS), rows=st.integers(4, 60), seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_every_task_has_a_database_and_a_query_that_finds_something(level: int, rows: int, seed: int) -> None:
    world = TextToSql(level, rows)
    for task in world.tasks(3, seed):
        database = sqlite3.connect(":memory:")
        database.executescript(task.extra["schema"])
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master")]
        for table in tables:
            assert database.execute(f"SELECT COUNT(*) FROM {table}").fetchone() == (rows,)
        assert database.execute(task.reference).fetchall()
        assert not database.execute("PRAGMA foreign_key_check").fetchall()
        assert "{" not in task.prompt[1]["content"]
        assert task.extra["schema"].startswith(task.prompt[1]["content"].rpartition("\n")[0])
        assert world.check(task.chat(task.solution)) == (True, None)


@given(st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_equal_arguments_and_seeds_give_equal_tasks(seed: int) -> None:
    assert TextToSql(2, 8).tasks(4, seed) == TextToSql(2, 8).tasks(4, seed)
    assert TextToSql(2, 8).tasks(4, seed) != TextToSql(2, 8).tasks(4, seed + 1)


def test_levels_are_what_they_say_and_all_schemas_occur() -> None:
    queries = {level: [task.reference for task in TextToSql(level).tasks(60)] for level in LEVELS}
    assert not any("JOIN" in q or "GROUP" in q or "(" in q for q in queries[1])
    assert not any("JOIN" in q for q in queries[2])
    assert all("(" in q for q in queries[2])
    assert all("JOIN" in q for q in queries[3])
    for schema in SCHEMAS.values():
        assert any(schema.parent in query for query in queries[3])


def test_the_result_is_compared_and_not_the_text() -> None:
    world = TextToSql()
    task = next(t for t in world.tasks(50) if "WHERE hours >" in t.reference)
    column, bound = task.reference.split()[1], task.reference.split()[-1]
    assert world.check(task.chat(f"SELECT {column} FROM courses WHERE {bound} < hours ORDER BY 1")).solved
    assert world.check(task.chat(f"```sql\n{task.reference}\n```")).solved
    assert not world.check(task.chat(f"SELECT {column} FROM courses WHERE {bound} <= hours")).solved
    assert not world.check(task.chat(f"SELECT {column}, hours FROM courses WHERE {bound} < hours")).solved


def test_another_query_rarely_solves_a_task() -> None:
    world = TextToSql(3)
    tasks = world.tasks(80)
    others = [(one, other) for one, other in pairwise(tasks) if one.reference != other.reference]
    lucky = [world.check(one.chat(other.solution)).solved for one, other in others]
    assert len(lucky) > 40
    assert np.mean(lucky) < 0.05


@pytest.mark.parametrize(
    ("completion", "reason"),
    [
        ("", "no query"),
        ("\ud800", "surrogate"),
        ("x" * 10_000_000, "characters"),
        ("DROP TABLE courses", "not authorized"),
        ("(" * 50_000, "syntax|overflow|incomplete|depth"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("ATTACH 'other.db' AS o", "not authorized"),
        ([{"role": "assistant", "content": None, "tool_calls": 5}], "no query"),
    ],
)
def test_any_completion_can_be_checked(completion: object, reason: str) -> None:
    world = TextToSql()
    task = world.tasks(1)[0]
    found = world.check(task.chat(completion))  # type: ignore[arg-type]
    assert not found.solved
    assert re.search(reason, found.reason or "")


def test_an_endless_query_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guerdon.lab.text_to_sql.SECONDS", 0.1)
    world = TextToSql()
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT MAX(i) FROM n"
    found = world.check(world.tasks(1)[0].chat(endless))
    assert not found.solved
    assert "longer than 0.1 s" in (found.reason or "")


def test_a_missing_column_is_an_error() -> None:
    with pytest.raises(KeyError, match="schema"):
        TextToSql().check(Chat("?", "SELECT 1"))


def test_asking_for_everything_is_the_habit() -> None:
    world, rng = TextToSql(3), random.Random(0)
    for task in world.tasks(20):
        assert world.demonstrate(task, rng, 0.0) == [*task.prompt, *task.solution]
        wrong = task.chat(world.demonstrate(task, rng, 1.0)[2:])
        assert "SELECT * FROM" in wrong.final
        assert not world.check(wrong).solved


@pytest.mark.parametrize("arguments", [{"level": 0}, {"level": 4}, {"rows": 3}, {"rows": 201}])
def test_settings_are_checked(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=rf"TextToSql\.{next(iter(arguments))}: expected"):
        TextToSql(**arguments)


def test_as_an_environment() -> None:
    env = WorldEnv(TextToSql(3))
    task = env.reset(seed=2)[1]["task"]
    assert env.step(task.solution[0])[1:3] == (1.0, True)
    env.reset()
    assert env.step("SELECT 1")[1:3] == (0.0, True)


def test_a_policy_can_be_made_and_plays(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    world = TextToSql()
    made = make_policy(tmp_path / "policy", world, steps=1, batch_size=2)
    played = play(made, world.tasks(2), world.tools, max_turns=2, max_new_tokens=8)
    assert not any(world.check(sample).solved for sample in played)
