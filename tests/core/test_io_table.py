"""Signals as tables: nothing of a Signal is lost on the way to a file and back."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.core.dense import Dense
from guerdon.core.io import from_table, read_table, table_metadata, to_table, write_table
from guerdon.core.samples import UNITS, Chat, Episode
from guerdon.core.signal import Score, Signal, Status

finite = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def dense_channels(draw: st.DrawFn, n: int) -> Dense:
    rows = draw(st.lists(st.lists(finite, max_size=3), min_size=n, max_size=n))
    spans = None
    if draw(st.booleans()):
        starts = st.tuples(st.integers(0, 2**40), st.integers(0, 9)).map(lambda pair: (pair[0], sum(pair)))
        spans = [draw(st.lists(starts, min_size=len(row), max_size=len(row))) for row in rows]
    return Dense.from_rows(rows, draw(st.sampled_from(UNITS)), spans)


@st.composite
def signals(draw: st.DrawFn, n: int, depth: int = 2) -> Signal:
    texts = st.dictionaries(st.integers(0, n - 1), st.text(), max_size=2) if n else st.just({})
    columns = {
        name: draw(st.none() | st.lists(st.just(math.nan) | st.floats(0, 1e9), min_size=n, max_size=n))
        for name in ("std", "seconds")
    }
    names = st.text(max_size=3) | st.sampled_from(["a/b", "~1", "parts", "outcome"])
    parts = {name: draw(signals(n, depth - 1)) for name in draw(st.sets(names, max_size=2))} if depth else {}
    return Signal(
        draw(st.lists(finite, min_size=n, max_size=n)),
        draw(st.lists(st.sampled_from(Status), min_size=n, max_size=n)),
        dense=draw(st.none() | dense_channels(n)),
        parts=parts,
        reasons=draw(texts),
        notes=draw(texts),
        **columns,
    )


def assert_equal(one: Signal, two: Signal) -> None:
    np.testing.assert_array_equal(one.outcome, two.outcome)
    np.testing.assert_array_equal(one.status, two.status)
    assert (one.reasons, one.notes) == (two.reasons, two.notes)
    for ours, theirs in ((one.std, two.std), (one.seconds, two.seconds)):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            np.testing.assert_array_equal(ours, theirs)
    assert (one.dense is None) == (two.dense is None)
    if one.dense is not None and two.dense is not None:
        assert one.dense.unit == two.dense.unit
        np.testing.assert_array_equal(one.dense.values, two.dense.values)
        np.testing.assert_array_equal(one.dense.offsets, two.dense.offsets)
        assert (one.dense.spans is None) == (two.dense.spans is None)
        if one.dense.spans is not None:
            np.testing.assert_array_equal(one.dense.spans, two.dense.spans)
    assert list(one.parts) == list(two.parts)
    for name in one.parts:
        assert_equal(one.parts[name], two.parts[name])


@settings(max_examples=150, deadline=None)
@given(signal=st.integers(0, 4).flatmap(signals))
def test_round_trip_in_memory(signal: Signal) -> None:
    assert_equal(from_table(to_table(signal)), signal)


@settings(max_examples=60, deadline=None)
@given(signal=st.integers(0, 4).flatmap(signals))
def test_round_trip_through_parquet(tmp_path_factory: pytest.TempPathFactory, signal: Signal) -> None:
    path = tmp_path_factory.getbasetemp() / "signal.parquet"
    write_table(to_table(signal, metadata={"reward": "accuracy"}), path)
    table = read_table(path)
    assert_equal(from_table(table), signal)
    assert table_metadata(table) == {"reward": "accuracy"}


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
@settings(max_examples=60, deadline=None)
@given(signal=st.integers(1, 4).flatmap(signals))
def test_text_files_keep_every_cell(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, signal: Signal
) -> None:
    path = tmp_path_factory.getbasetemp() / f"signal{suffix}"
    table = to_table(signal)
    write_table(table, path)
    back = read_table(path)
    assert back.schema.equals(table.schema.remove_metadata())
    assert back.to_pylist() == table.to_pylist()


@settings(max_examples=60, deadline=None)
@given(signal=st.integers(1, 5).flatmap(signals), data=st.data())
def test_slices_and_stacks_of_tables(signal: Signal, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(signal)))
    table = to_table(signal)
    assert_equal(from_table(table.slice(cut)), signal.take(np.arange(cut, len(signal))))
    assert_equal(from_table(pa.concat_tables([table.slice(0, cut), table.slice(cut)])), signal)


def test_columns() -> None:
    signal = Signal.from_values(
        [
            Score(
                1.5,
                dense=[0.5, 1.0],
                spans=[(0, 3), (3, 4)],
                unit="turn",
                parts={"form/at": 1.0},
                std=0.1,
                note="ok",
            ),
            None,
        ]
    )
    samples = [
        Chat("p", [{"role": "assistant", "content": "é"}], {"x": 1}, 7),
        Episode(np.zeros(1), np.zeros(0), np.zeros(0), group="g"),
    ]
    table = to_table(signal, samples, rows=[10, 12], metadata={"seed": 3})
    assert table.to_pylist()[0] == {
        "row": 10,
        "group": "7",
        "prompt": "p",
        "completion": '[{"role": "assistant", "content": "é"}]',
        "reference": '{"x": 1}',
        "outcome": 1.5,
        "status": "ok",
        "reason": None,
        "note": "ok",
        "std": 0.1,
        "dense": [{"start": 0, "end": 3, "value": 0.5}, {"start": 3, "end": 4, "value": 1.0}],
        "parts/form~1at/outcome": 1.0,
        "parts/form~1at/status": "ok",
        "parts/form~1at/reason": None,
        "parts/form~1at/note": None,
    }
    absent = table.to_pylist()[1]
    assert (absent["group"], absent["status"], absent["outcome"], absent["dense"]) == (
        "g",
        "abstained",
        None,
        None,
    )
    assert absent["prompt"] is None
    assert str(table.schema.field("status").type).startswith("dictionary<values=string")
    assert json.loads(table.schema.metadata[b"guerdon"]) == {
        "version": 1,
        "units": {"dense": "turn"},
        "spans": ["dense"],
        "metadata": {"seed": 3},
    }


def test_empty_prompt_is_text_and_not_null() -> None:
    table = to_table(Signal([1.0]), [Chat("", "", "", "")])
    assert [table[name][0].as_py() for name in ("group", "prompt", "completion", "reference")] == [
        "",
        "",
        "",
        '""',
    ]


def test_values_are_not_copied() -> None:
    values, offsets = np.arange(4.0), np.array([0, 1, 4])
    signal = Signal([0.5, 1.0], dense=Dense(values, offsets, None, "step"))
    table = to_table(signal)
    lists = table["dense"].chunk(0)
    assert table["outcome"].chunk(0).buffers()[1].address == signal.outcome.ctypes.data
    assert lists.buffers()[1].address == signal.dense.offsets.ctypes.data
    assert lists.values.field("value").buffers()[1].address == values.ctypes.data
    back = from_table(table)
    assert back.outcome.ctypes.data == signal.outcome.ctypes.data
    assert back.dense.values.ctypes.data == values.ctypes.data


def test_lone_surrogates_are_escaped() -> None:
    signal = Signal([math.nan], [Status.FAILED], reasons={0: "bad \ud800 é"}, notes={0: "\udcff"})
    row = to_table(signal, [Chat("\ud800", "c", "\ud800", "\ud800")]).to_pylist()[0]
    assert (row["reason"], row["note"], row["prompt"]) == ("bad \\ud800 é", "\\udcff", "\\ud800")
    assert (row["reference"], row["group"]) == ('"\\ud800"', "\\ud800")


def test_reference_that_json_lacks_does_not_lose_the_result() -> None:
    assert to_table(Signal([1.0]), [Chat("p", "c", {1})])["reference"][0].as_py() == '"{1}"'


def test_csv_with_a_cell_of_ten_megabytes(tmp_path: Path) -> None:
    big = 'x"\n,é' * (2 << 20)
    write_table(to_table(Signal([1.0, 2.0]), [Chat("p", big), Chat("p", "")]), tmp_path / "a.csv")
    assert read_table(tmp_path / "a.csv")["completion"].to_pylist() == [big, ""]


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_table(to_table(Signal([1.0])), path)
    with pytest.raises(ValueError, match="Out of range"):
        write_table(to_table(Signal([1.0], std=[math.inf])), path)
    assert from_table(read_table(path)).outcome.tolist() == [1.0]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.drop_columns("outcome"), "no column 'outcome'; the columns are row, status"),
        (lambda t: t.drop_columns("status"), "no column 'status'"),
        (
            lambda t: t.set_column(2, "status", pa.array(["ok", "fine"])),
            "row 1 of status is 'fine', expected one of ok, abs",
        ),
        (lambda t: t.set_column(2, "status", pa.array(["ok", None], pa.string())), "row 1 of status is None"),
        (lambda t: t.set_column(1, "outcome", pa.array([1.0, None])), "row 1 is nan but its status is OK"),
        (lambda t: t.replace_schema_metadata({"guerdon": '{"version": 2}'}), "version 2 is newer"),
        (lambda t: t.replace_schema_metadata(None), "the metadata has no unit for 'dense'"),
    ],
)
def test_tables_that_are_no_signal(change: Any, reason: str) -> None:
    signal = Signal([1.0, 2.0], dense=Dense.from_rows([[1.0], []], "step"))
    with pytest.raises(ValueError, match=reason):
        from_table(change(to_table(signal)))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"rows": [1]}, r"rows: expected shape \(2,\), got \(1,\)"),
        ({"samples": [Chat("p", "c")]}, "samples: expected 2 as the Signal has, got 1"),
    ],
)
def test_lengths_must_fit(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        to_table(Signal([1.0, 2.0]), **arguments)


def test_unknown_suffix(tmp_path: Path) -> None:
    for call in (lambda path: write_table(to_table(Signal([1.0])), path), read_table):
        with pytest.raises(ValueError, match=r"expected a name that ends in \.parquet, \.jsonl, \.csv"):
            call(tmp_path / "a.xlsx")
