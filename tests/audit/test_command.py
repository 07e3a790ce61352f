"""`guerdon audit`, the commands on their own."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from guerdon.audit import best_of_n_accuracy, one_to_many_benchmark, read_candidates, read_score_file
from guerdon.cli.audit import app
from guerdon.steer.aggregate import AGGREGATIONS


def run(*arguments):
    done = CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "120"}, catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


@pytest.fixture
def scores(tmp_path):
    path = tmp_path / "scores.json"
    content = {
        "whole": [{"problem_id": 0, "score": [2, 1, 1]}, {"problem_id": 1, "score": [1, 1, 0]}],
        "steps": [{"problem_id": 0, "score": [[0.9, 0.2], [0.5, 0.5], [0.1, 0.8]]}],
        "judge": [{"problem_id": 0, "score": ["A", None], "chosen_position": ["A", "B"]}],
    }
    path.write_text(json.dumps(content))
    return path


def test_a_row_a_model_and_one_an_aggregation_where_steps_are_scored(scores):
    rows = json.loads(run("rewardmath", scores, "--json"))
    assert [(row["model"], row["steps"]) for row in rows] == [
        ("whole", None),
        *(("steps", how) for how in AGGREGATIONS),
        ("judge", None),
    ]
    by_name = {(row["model"], row["steps"]): row for row in rows}
    whole = by_name["whole", None]
    assert (whole["problems"], whole["strict"], whole["with_ties"], whole["mrr"]) == (2, 0.5, 1.0, 0.75)
    assert by_name["steps", "max"]["strict"] == 1.0
    assert by_name["steps", "prod"]["strict"] == 0.0
    assert by_name["judge", None]["mrr"] == 0.5


def test_the_table_has_the_same_figures(scores):
    lines = [line.split() for line in run("rewardmath", scores).splitlines()]
    assert ["whole", "2", "50.00", "100.00", "0.7500", "0.7500"] in lines
    assert ["steps", "max", "1", "100.00", "100.00", "1.0000", "1.0000"] in lines


def test_real_score_file(shared_data):
    path = shared_data / "rewardmath_scores.json.gz"
    rows = json.loads(run("rewardmath", path, "--json"))
    assert len({row["model"] for row in rows}) == 14
    expected = one_to_many_benchmark(read_score_file(path)["skywork_llama3_reward"])._asdict()
    (found,) = [row for row in rows if row["model"] == "skywork_llama3_reward"]
    assert found == {"model": "skywork_llama3_reward", "steps": None, **expected}


def test_best_of_n(shared_data):
    path = shared_data / "math_rm_at_8.jsonl.gz"
    found = json.loads(run("best-of-n", path, "--json"))
    assert found["problems"] == 50
    assert [row["n"] for row in found["sizes"]] == [1, 2, 4, 8]
    assert found["sizes"][-1].items() >= best_of_n_accuracy(read_candidates(path), 8)._asdict().items()
    last = run("best-of-n", path).splitlines()[-2].split()
    assert last[0] == "8"
    assert float(last[1]) == pytest.approx(100 * found["sizes"][-1]["reward"])


def test_scores_out_of_the_range_of_an_aggregation_leave_its_row_without_figures(tmp_path):
    path = tmp_path / "logits.json"
    path.write_text(json.dumps({"m": [{"problem_id": 1, "score": [[-0.5, 2], [0.1, 0.3]]}]}))
    rows = {row["steps"]: row for row in json.loads(run("rewardmath", path, "--json"))}
    assert rows["mean"]["strict"] == 1.0
    assert "geometric_mean is of scores in" in rows["geometric_mean"]["reason"]
    assert "strict" not in rows["geometric_mean"]
    assert "m, geometric_mean: step_scores" in run("rewardmath", path)


def test_names_stay_whole_in_a_narrow_pipe(tmp_path):
    path = tmp_path / "scores.json"
    name = "a_model_with_a_very_long_name_that_says_what_it_was_trained_on"
    path.write_text(json.dumps({name: [{"problem_id": 0, "score": [[0.9, 0.8], [0.5, 0.5]]}]}))
    done = CliRunner().invoke(app, ["rewardmath", str(path)], env={"COLUMNS": "60"}, catch_exceptions=False)
    assert sum(line.startswith(f"{name}  ") for line in done.stdout.splitlines()) == len(AGGREGATIONS)
