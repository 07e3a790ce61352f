"""Databases under hostile queries: what is refused, what ends at a limit, and which results are the same."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.signal import Status
from guerdon.verify.sql import (
    Database,
    DuckdbDatabase,
    LimitReached,
    QueryError,
    SqliteDatabase,
    UnusableDatabase,
    database_from_script,
    open_database,
    same_result,
)
from guerdon.verify.sql.execute import at_most

SCRIPT = """
CREATE TABLE pets (name TEXT, age INTEGER, weight DOUBLE);
INSERT INTO pets VALUES ('Mia', 3, 4.5), ('Žofie', 5, 0.25), ('猫', NULL, NULL);
"""
ENDLESS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) "
PETS = [("Mia", 3, 4.5), ("Žofie", 5, 0.25), ("猫", None, None)]


def short(sql: str) -> str:
    return ascii(sql[:40])


def make_file(kind: str, folder: Path) -> Path:
    path = folder / f"a #1 of {kind}.db"
    if kind == "sqlite":
        path = folder / "is it 100%?.db"
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(SCRIPT)
    else:
        import duckdb

        with duckdb.connect(str(path)) as connection:
            connection.execute(SCRIPT)
    return path


@pytest.fixture(params=["sqlite file", "duckdb file", "sqlite script", "duckdb script"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    kind, source = request.param.split()
    with (
        open_database(make_file(kind, tmp_path), seconds=0.5)
        if source == "file"
        else database_from_script(SCRIPT, kind, seconds=0.5)
    ) as opened:
        yield opened


# -- reading -------------------------------------------------------------------------------------------------


def test_the_kind_of_a_file_is_found_by_its_content(tmp_path: Path) -> None:
    with open_database(make_file("sqlite", tmp_path), 1) as opened:
        assert isinstance(opened, SqliteDatabase)
    with open_database(str(make_file("duckdb", tmp_path)), 1) as opened:
        assert isinstance(opened, DuckdbDatabase)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM pets ORDER BY age NULLS LAST", PETS),
        ("select name from pets where name = '猫';", [("猫",)]),
        ("WITH old AS (SELECT * FROM pets WHERE age > 4) SELECT count(*) FROM old", [(1,)]),
        ("VALUES (1), (2)", [(1,), (2,)]),
        ("SELECT age FROM pets WHERE false", []),
        ("SELECT sum(age), avg(weight) FROM pets -- all of them", [(8, 2.375)]),
        ("SELECT upper(name) FROM pets WHERE age = 3", [("MIA",)]),
    ],
)
def test_queries(database: Database, sql: str, expected: list[tuple]) -> None:
    assert list(database.rows(sql)) == expected


def test_a_file_can_be_open_twice(tmp_path: Path) -> None:
    for kind in ("sqlite", "duckdb"):
        path = make_file(kind, tmp_path)
        with open_database(path, 1) as first, open_database(path, 2) as second:
            assert list(first.rows("SELECT age FROM pets")) == list(second.rows("SELECT age FROM pets"))


@pytest.mark.parametrize(
    ("script", "sql", "expected"),
    [
        (SCRIPT, "SELECT * FROM pets ORDER BY age NULLS LAST", PETS),
        ("CREATE TEMP TABLE t (a); INSERT INTO t VALUES (1);", "SELECT a FROM t", [(1,)]),
        ("PRAGMA case_sensitive_like = 1; CREATE TABLE t (a);", "SELECT 'A' LIKE 'a'", [(0,)]),
        ("BEGIN; CREATE TABLE t (a); INSERT INTO t VALUES (1);", "SELECT a FROM t", [(1,)]),
        ("-- nothing", "SELECT 1", [(1,)]),
    ],
)
def test_a_script_makes_the_same_database_each_time(script: str, sql: str, expected: list[tuple]) -> None:
    with (
        database_from_script(script, "sqlite", 1) as first,
        database_from_script(script, "sqlite", 1) as second,
    ):
        first.close()
        assert list(second.rows(sql)) == expected
        with pytest.raises(QueryError):
            list(second.rows("CREATE TABLE other (a)"))


def test_text_that_is_not_utf8_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE t (a TEXT); INSERT INTO t VALUES (CAST(x'e9' AS TEXT));")
    with open_database(path, 1) as opened:
        assert list(opened.rows("SELECT a FROM t")) == [("\udce9",)]


def test_cells_of_duckdb_compare_by_value_and_can_be_hashed() -> None:
    with database_from_script("", "duckdb", 1) as opened:
        sql = "SELECT 2.00::DECIMAL(9,2), 0.5::DECIMAL(9,1), 'nan'::DOUBLE, [1, 2], {'k': [3]}, true"
        expected = [(2, 0.5, "NaN", (1, 2), (("k", (3,)),), 1)]
        assert list(opened.rows(sql)) == expected
        assert same_result(expected, opened.rows(sql))


# -- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO pets VALUES ('x', 1, 1)",
        "UPDATE pets SET age = 1",
        "DELETE FROM pets",
        "DROP TABLE pets",
        "CREATE TABLE t (a INTEGER)",
        "CREATE TEMP TABLE t (a INTEGER)",
        "CREATE VIEW v AS SELECT 1",
        "ALTER TABLE pets ADD COLUMN z INTEGER",
        "ATTACH 'other.db' AS other",
        "DETACH main",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA writable_schema = 1",
        "PRAGMA database_list",
        "VACUUM",
        "VACUUM INTO 'copy.db'",
        "COPY pets TO 'pets.csv'",
        "COPY (SELECT 1) TO 'one.csv'",
        "EXPORT DATABASE 'folder'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SELECT load_extension('evil')",
        "SELECT * FROM read_text('other.txt')",
        "SELECT * FROM 'other.csv'",
        "SET threads = 64",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT s",
        "SELECT 1; DELETE FROM pets",
        "SELECT 1; SELECT 2",
        "WITH x AS (SELECT 1) DELETE FROM pets",
        "CALL pragma_version()",
        "SELEC name FROM pets",
        "SELECT nothing FROM pets",
        "SELECT * FROM nowhere",
        "SELECT ?",
        "SELECT '",
        "SELECT '\ud800'",
        "(" * 50_000,
        "SELECT " + "1," * 5_000_000 + "1",
        "\0",
        "",
        "  ;  ",
        "-- nothing",
        "🦆",
    ],
    ids=short,
)
def test_what_is_no_readable_query_is_refused_and_changes_nothing(
    database: Database, sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "other.txt").write_text("secret")
    (folder / "other.csv").write_text("secret")
    monkeypatch.chdir(folder)
    with pytest.raises(QueryError, match=r"\w"):
        list(database.rows(sql))
    assert sorted(path.name for path in folder.iterdir()) == ["other.csv", "other.txt"]
    assert set(database.rows("SELECT * FROM pets")) == set(PETS)


def test_a_file_is_the_same_after_hostile_queries(tmp_path: Path) -> None:
    for kind in ("sqlite", "duckdb"):
        path = make_file(kind, tmp_path)
        before = path.read_bytes()
        with open_database(path, 1) as opened:
            for sql in ("DROP TABLE pets", "PRAGMA user_version = 7", "CREATE TABLE t (a INTEGER)"):
                with pytest.raises(QueryError):
                    list(opened.rows(sql))
        assert path.read_bytes() == before


def test_variables_of_python_are_out_of_reach() -> None:
    # `sql` is a variable of the function that runs the query, where DuckDB would look for data frames.
    with (
        database_from_script("", "duckdb", 1) as opened,
        pytest.raises(QueryError, match="sql does not exist"),
    ):
        list(opened.rows("SELECT * FROM sql"))


# -- limits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        ENDLESS + "SELECT count(*) FROM c",
        ENDLESS + "SELECT n FROM c WHERE n < 0",
        ENDLESS + "SELECT n FROM c",
    ],
)
def test_an_endless_query_ends_at_the_time_limit(database: Database, sql: str) -> None:
    threads = threading.active_count()
    with pytest.raises(LimitReached, match=r"longer than 0\.5 s") as caught:
        for _ in database.rows(sql):
            pass
    assert caught.value.status is Status.TIMED_OUT
    assert threading.active_count() == threads
    assert list(database.rows("SELECT count(*) FROM pets")) == [(3,)]


def test_rows_come_as_they_are_computed_and_may_be_left(database: Database) -> None:
    rows = database.rows(ENDLESS + "SELECT n FROM c")
    assert [next(rows), next(rows)] == [(1,), (2,)]
    rows.close()
    assert not any(isinstance(thread, threading.Timer) for thread in threading.enumerate())
    assert list(database.rows("SELECT count(*) FROM pets")) == [(3,)]


def test_more_rows_than_the_limit(database: Database) -> None:
    assert len(list(at_most(database.rows("SELECT * FROM pets"), 3))) == 3
    with (
        closing(database.rows("SELECT * FROM pets")) as rows,
        pytest.raises(LimitReached, match="more than 2 rows") as caught,
    ):
        list(at_most(rows, 2))
    assert caught.value.status is Status.FAILED


def test_a_value_that_is_too_large(tmp_path: Path) -> None:
    with database_from_script("", "sqlite", 5) as opened, pytest.raises(LimitReached, match="too large"):
        list(opened.rows("SELECT zeroblob(50000000)"))
    aggregate = "SELECT string_agg(repeat('x', 100000), '') FROM range(100000)"
    with database_from_script("", "duckdb", 60) as opened, pytest.raises(LimitReached, match="Memory"):
        list(opened.rows(aggregate))


# -- databases that can't be used ----------------------------------------------------------------------------


def test_a_missing_or_senseless_file_is_said_to_be_so(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("these are notes and nothing that a database would know")
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"\0" * 8 + b"DUCK" + b"\1" * 5000)
    for path in (tmp_path / "absent.db", tmp_path, text, broken, "a\0b"):
        with pytest.raises(UnusableDatabase, match=r"\w"):
            open_database(path, 1)
    with pytest.raises(UnusableDatabase, match="unable to open"):
        SqliteDatabase.open(tmp_path / "absent.db", 1)
    assert not (tmp_path / "absent.db").exists()


def test_a_locked_file_is_not_the_fault_of_a_query(tmp_path: Path) -> None:
    path = make_file("sqlite", tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA locking_mode = EXCLUSIVE")
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UnusableDatabase, match="locked"):
            open_database(path, 0.1)


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
@pytest.mark.parametrize(
    "script",
    ["CREATE TABEL x", "ATTACH 'stolen.db' AS s; CREATE TABLE s.t (a INTEGER)", "SELECT '\ud800'"],
    ids=short,
)
def test_a_script_that_raises(
    kind: str, script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnusableDatabase, match="the script raised"):
        database_from_script(script, kind, 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_an_endless_script_ends(kind: str) -> None:
    script = "CREATE TABLE t AS " + ENDLESS + "SELECT count(*) AS n FROM c"
    with pytest.raises(UnusableDatabase, match=r"(?i)interrupt"):
        database_from_script(script, kind, 0.3)


# -- results -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "rows", "orders"),
    [
        ([(1,), (2,)], [(1,), (2,)], {"set", "multiset", "list"}),
        ([(1,), (2,)], [(2,), (1,)], {"set", "multiset"}),
        ([(1,), (2,)], [(2,), (1,), (1,)], {"set"}),
        ([(1,), (1,)], [(1,)], {"set"}),
        ([(1,)], [(1.0,)], {"set", "multiset", "list"}),
        ([], [], {"set", "multiset", "list"}),
        ([(None,)], [], set()),
        ([], [(None,)], set()),
        ([(1, 2)], [(2, 1)], set()),
        ([(1,), (2,)], [(1,)], set()),
        ([(1,)], [(1,), (2,)], set()),
        ([("a",)], [("A",)], set()),
        ([(1,)], [("1",)], set()),
    ],
)
def test_same_result(expected: list[tuple], rows: list[tuple], orders: set[str]) -> None:
    assert {
        order for order in ("set", "multiset", "list") if same_result(expected, rows, order=order)
    } == orders


def test_floats_are_compared_after_rounding_where_asked() -> None:
    assert not same_result([(0.1 + 0.2, "a")], [(0.3, "a")])
    for order in ("set", "multiset", "list"):
        assert same_result([(0.1 + 0.2, "a", None)], [(0.3, "a", None)], order=order, decimals=6)
        assert not same_result([(0.31,)], [(0.3,)], order=order, decimals=2)


def test_an_endless_wrong_result_is_read_up_to_the_first_wrong_row() -> None:
    with database_from_script(SCRIPT, "sqlite", 60) as opened:
        for order in ("set", "multiset", "list"):
            with closing(opened.rows(ENDLESS + "SELECT n FROM c")) as rows:
                assert not same_result([(1,), (2,)], rows, order=order)


ROWS = st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 2), st.text(max_size=1))), max_size=5)


@given(ROWS, ROWS)
def test_orders_are_ever_stricter_and_symmetric(left: list[tuple], right: list[tuple]) -> None:
    verdicts = [same_result(left, right, order=order) for order in ("list", "multiset", "set")]
    assert verdicts == sorted(verdicts)
    assert verdicts == [same_result(right, left, order=order) for order in ("list", "multiset", "set")]
    assert verdicts == [
        left == right,
        sorted(left, key=repr) == sorted(right, key=repr),
        set(left) == set(right),
    ]


def test_an_unknown_order_is_an_error() -> None:
    with pytest.raises(ValueError, match="order: expected one of set, multiset, list, got 'bag'"):
        same_result([], [], order="bag")
