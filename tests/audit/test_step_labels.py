"""Rated steps of PRM800K."""

from __future__ import annotations

import gzip
import json
from collections import Counter

import pytest

from guerdon.audit import LabelledStep, read_step_labels


def step(text, rating):
    return {"text": text, "rating": rating}


def position(*completions, chosen=None, human=None):
    return {"completions": list(completions), "chosen_completion": chosen, "human_completion": human}


def record(*positions):
    return {
        "question": {"problem": "1+1?", "ground_truth_answer": "2"},
        "label": {"steps": list(positions)},
    }


def write(folder, *rows):
    path = folder / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_path_has_the_chosen_step_the_humans_step_and_ends_where_there_is_neither(tmp_path):
    path = write(
        tmp_path,
        record(
            position(step("a", -1), step("b", 0), chosen=1),
            position(step("c", -1), human=step("d", None)),
            position(step("e", -1), chosen=0),
            position(step("f", -1), step("g", None)),
        ),
    )
    (found,) = read_step_labels(path)
    assert (found.problem, found.answer) == ("1+1?", "2")
    assert found.steps == [LabelledStep("b", 0), LabelledStep("d", None), LabelledStep("e", -1)]
    assert found.alternatives[3] == [LabelledStep("f", -1), LabelledStep("g", None)]
    assert found.first_error == 2


def test_a_second_phase_solution_ends_at_its_mistake(tmp_path):
    mistake = position(step("b", -1))
    given_up = position(step("b", -1), step("c", -1))
    found, open_end = read_step_labels(
        write(tmp_path, record(position(step("a", 1), chosen=0), mistake), record(given_up))
    )
    assert found.steps == [LabelledStep("a", 1)]
    assert found.first_error == 1
    assert found.alternatives[found.first_error] == [LabelledStep("b", -1)]
    assert open_end.first_error is None


def test_a_step_without_proposals_ends_the_path(tmp_path):
    nothing = {"completions": None, "chosen_completion": None, "human_completion": None}
    (found,) = read_step_labels(write(tmp_path, record(position(step("a", 1), chosen=0), nothing)))
    assert found.steps == [LabelledStep("a", 1)]
    assert found.first_error is None


def test_a_solution_without_an_error(tmp_path):
    (found,) = read_step_labels(write(tmp_path, record(position(step("a", 1), chosen=0))))
    assert found.first_error is None


def test_real_labels(shared_data):
    path = shared_data / "prm800k_phase1_test.jsonl.gz"
    found = read_step_labels(path)
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    positions = [one for row in rows for one in row["label"]["steps"]]
    assert len(found) == len(rows) == 70
    labels = Counter(s.label for one in found for proposed in one.alternatives for s in proposed)
    assert labels == Counter(c["rating"] for one in positions for c in one["completions"])
    taken = [
        one["human_completion"]
        if one["chosen_completion"] is None
        else one["completions"][one["chosen_completion"]]
        for one in positions
    ]
    assert [s.text for one in found for s in one.steps] == [one["text"] for one in taken if one is not None]
    gave_up = [row["label"]["finish_reason"] == "give_up" for row in rows]
    assert [len(one.alternatives) - len(one.steps) for one in found] == [int(flag) for flag in gave_up]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, "question: expected dict, got NoneType"),
        (record() | {"label": {}}, "steps: expected list"),
        (record("x"), "completions: expected an object"),
        (record(position(step(None, 1), chosen=0)), "text: expected str"),
        (record(position(step("a", 2), chosen=0)), "rating: expected -1, 0, 1 or null, got 2"),
        (record(position(step("a", True), chosen=0)), "rating: expected"),
        (record(position(step("a", 1), chosen=1)), "chosen_completion: expected an index into 1"),
        (record(position(step("a", 1), chosen=-1)), "chosen_completion: expected an index"),
        (record(position(step("a", 1)), position(step("b", 1), chosen=0)), "after one that has neither"),
    ],
)
def test_a_row_that_is_none_says_where(tmp_path, row, expected):
    path = write(tmp_path, record(position(step("a", 1), chosen=0)), row)
    with pytest.raises(ValueError, match=expected) as caught:
        read_step_labels(path)
    assert f"{path}, line 2" in str(caught.value)


def test_a_file_without_rows_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no rows"):
        read_step_labels(write(tmp_path))
