"""Scoring files: rejects, chunks, and going on after `kill -9`."""

from __future__ import annotations

import collections
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import guerdon
from guerdon import Status
from guerdon.core.context import Context
from guerdon.core.io.table import from_table, read_table, table_metadata
from guerdon.engine.files import ResumeError, score_file
from tests.core.strategies import assert_same


@guerdon.reward
def length(sample):
    return float(len(sample.completion))


@guerdon.reward(scope="group")
def size(samples):
    return [float(len(samples))] * len(samples)


def write(path, count, bad=()):
    with path.open("w") as file:
        for i in range(count):
            if i in bad:
                file.write("{broken\n")
            else:
                file.write(
                    json.dumps({"prompt": f"p{i % 3}", "completion": "x" * (i % 17), "group": i % 3}) + "\n"
                )
    return path


def test_a_file_becomes_a_table_with_its_samples(tmp_path):
    data = write(tmp_path / "data.jsonl", 50, bad=(7, 30))
    run = score_file(length, data, tmp_path / "out.parquet", chunk=16)
    table = read_table(run.out)
    rows = [i for i in range(50) if i not in (7, 30)]
    assert table["row"].to_pylist() == rows
    assert table["outcome"].to_pylist() == [float(i % 17) for i in rows]
    assert table["completion"][3].as_py() == "xxx"
    assert run.rejected == 2
    lines = [json.loads(line) for line in run.rejects.read_text().splitlines()]
    assert [(line["line"], line["raw"]) for line in lines] == [(8, "{broken"), (31, "{broken")]
    assert all("data.jsonl" in line["file"] for line in lines)
    assert run.summary.as_dict()["outcome"]["ok"] == 48
    assert not list(tmp_path.glob("*.parts"))


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_every_output_form_has_every_row(tmp_path, suffix):
    data = write(tmp_path / "data.jsonl", 40)
    run = score_file(length, data, tmp_path / f"out{suffix}", chunk=16, with_samples=False)
    table = read_table(run.out)
    assert table["outcome"].to_pylist() == [float(i % 17) for i in range(40)]
    assert "completion" not in table.column_names


def test_a_part_that_only_some_chunks_have_is_absent_in_the_others(tmp_path):
    @guerdon.reward
    def sometimes(sample):
        if len(sample.completion) == 1:
            return guerdon.Score(1.0, dense=[1.0, 2.0], parts={"rare": 5.0})
        return 0.0

    data = write(tmp_path / "data.jsonl", 17)
    run = score_file(sometimes, data, tmp_path / "out.parquet", chunk=4)
    scored = from_table(read_table(run.out))
    assert scored.parts["rare"].status.tolist() == [
        Status.OK if i == 1 else Status.ABSTAINED for i in range(17)
    ]
    assert scored.dense.lengths.tolist() == [2 if i == 1 else 0 for i in range(17)]


def test_groups_are_scored_whole(tmp_path):
    run = score_file(size, write(tmp_path / "data.jsonl", 30), tmp_path / "out.parquet", chunk=4)
    assert set(read_table(run.out)["outcome"].to_pylist()) == {10.0}


def test_metadata_says_what_was_scored(tmp_path):
    reward = 0.5 * length
    run = score_file(
        reward, write(tmp_path / "d.jsonl", 3), tmp_path / "out.parquet", metadata={"command": "c"}
    )
    described = table_metadata(read_table(run.out))
    assert described["weights"] == {"length": 0.5}
    assert described["command"] == "c"
    assert described["format"] == "native"


def test_a_summary_without_an_output_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = score_file(length, write(tmp_path / "data.jsonl", 20, bad=(0,)))
    assert run.out is None
    assert run.rejects.name == "data.jsonl.rejects.jsonl"
    values = [float(i % 17) for i in range(1, 20)]
    found = run.summary.as_dict()["outcome"]
    assert found["mean"] == pytest.approx(np.mean(values))
    assert found["std"] == pytest.approx(np.std(values))


SCRIPT = """
import os, sys, time
import guerdon
from guerdon.core.context import Context
from guerdon.engine.files import score_file

@guerdon.reward
def slow(sample):
    with open(sys.argv[3], "a") as log:
        log.write(sample.extra["id"] + "\\n")
    time.sleep(0.01)
    if sample.extra["id"] == "13":
        raise ValueError("unlucky")
    return float(sample.extra["id"])

score_file(slow, sys.argv[1], sys.argv[2], resume=True, chunk=40, workers=int(sys.argv[4]))
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_after_kill_9_the_run_goes_on_where_it_was(tmp_path, workers):
    data, out, log = tmp_path / "data.jsonl", tmp_path / "out.parquet", tmp_path / "log"
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    with data.open("w") as file:
        for i in range(200):
            file.write(json.dumps({"prompt": "p", "completion": "c", "id": str(i)}) + "\n")
    command = [sys.executable, str(script), str(data), str(out), str(log), str(workers)]
    for stop_after in (30, 110):
        process = subprocess.Popen(command)
        while not log.exists() or len(log.read_text().splitlines()) < stop_after:
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not out.exists()
    subprocess.run(command, check=True)

    scored = from_table(read_table(out))
    assert read_table(out)["row"].to_pylist() == list(range(200))
    assert scored.status[13] == Status.FAILED
    good = np.arange(200) != 13
    np.testing.assert_array_equal(scored.outcome[good], np.arange(200.0)[good])
    calls = collections.Counter(log.read_text().split())
    assert set(calls) == {str(i) for i in range(200)}
    in_hands = 2 * 2 * max(1, workers)
    assert sum(calls.values()) <= 200 + in_hands, "only what was in work at a kill is scored again"


def test_resuming_something_else_is_refused(tmp_path):
    data = write(tmp_path / "data.jsonl", 20)
    out = tmp_path / "out.parquet"

    @guerdon.reward
    def stops(sample):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_file(stops, data, out)
    with pytest.raises(ResumeError, match="another reward"):
        score_file(length, data, out, resume=True)
    with pytest.raises(ResumeError, match="other options"):
        score_file(stops, data, out, resume=True, context=Context(step=7))
    score_file(length, data, out)
    assert out.exists()


def test_resuming_nothing_starts_from_the_beginning(tmp_path):
    data = write(tmp_path / "data.jsonl", 20)
    first = score_file(length, data, tmp_path / "a.parquet", resume=True)
    second = score_file(length, data, tmp_path / "b.parquet")
    assert_same(from_table(read_table(first.out)), from_table(read_table(second.out)))


@pytest.mark.parametrize(("content", "message"), [("", "no rows"), ("\n\n", "no rows")])
def test_an_empty_file_is_an_error(tmp_path, content, message):
    data = tmp_path / "data.jsonl"
    data.write_text(content)
    with pytest.raises(ValueError, match=message):
        score_file(length, data, tmp_path / "out.parquet")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.jsonl"):
        score_file(length, tmp_path / "nothing.jsonl", tmp_path / "out.parquet")
