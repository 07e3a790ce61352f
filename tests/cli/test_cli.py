"""The command line, through the installed entry point."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from guerdon.core.io.table import read_table

GUERDON = shutil.which("guerdon", path=str(Path(sys.executable).parent))

RECIPE = """
parts:
  correct: math
  brief: {reward: length, high: 3}
weights: {correct: 1.0, brief: 0.5}
"""

SLEEPY = """
import time
import guerdon


@guerdon.reward
def sleepy(sample):
    if sample.completion == "hang":
        time.sleep(1000)
    return 1.0
"""


def guerdon(*arguments, folder, ok=True):
    done = subprocess.run(
        [GUERDON, *map(str, arguments)], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode == 0) == ok, done.stderr
    return done


@pytest.fixture
def folder(tmp_path):
    rows = [
        {"prompt": "1+1?", "completion": "A: 2", "reference": "2"},
        {"prompt": "2+2?", "completion": "A: 5", "reference": "4"},
        {"prompt": "3+3?", "completion": "it is quite clear that it is\nA: 6", "reference": "6"},
    ]
    lines = [json.dumps(row) for row in rows]
    (tmp_path / "data.jsonl").write_text("\n".join([*lines, "{broken"]) + "\n")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path


def test_score_prints_a_summary_and_writes_scores_and_rejects(folder):
    done = guerdon("score", "data.jsonl", "--reward", "recipe.yaml", "--out", "out.parquet", folder=folder)
    assert "correct" in done.stdout
    assert "3 samples" in done.stdout
    table = read_table(folder / "out.parquet")
    assert table["outcome"].to_pylist() == [1.5, 0.5, 1.0]
    assert table["parts/brief/outcome"].to_pylist() == [1.0, 1.0, 0.0]
    reject = json.loads((folder / "out.parquet.rejects.jsonl").read_text())
    assert (reject["line"], reject["raw"]) == (4, "{broken")


def test_json_is_one_object_on_standard_output(folder):
    done = guerdon("score", "data.jsonl", "-r", "math", "--json", folder=folder)
    summary = json.loads(done.stdout)
    assert summary["samples"] == 3
    assert summary["rejected"] == 1
    assert summary["outcome"]["mean"] == pytest.approx(2 / 3)


def test_arguments_of_a_reward_and_columns_of_a_file(folder):
    rows = [{"question": "q", "output": "a b c d", "nested": {"gold": "a b c d"}}]
    (folder / "other.jsonl").write_text(json.dumps(rows[0]) + "\n")
    columns = (
        "--column",
        "prompt=question",
        "--column",
        "completion=output",
        "--column",
        "reference=nested.gold",
    )
    done = guerdon(
        "score", "other.jsonl", "-r", "rouge", "--set", "variant=rouge1", *columns, "--json", folder=folder
    )
    assert json.loads(done.stdout)["outcome"]["mean"] == 1.0


def test_a_hung_sample_ends_at_its_limit_and_trust_is_needed(folder):
    (folder / "mine.py").write_text(SLEEPY)
    (folder / "mine.yaml").write_text("parts: {s: {python: 'mine:sleepy'}}\nweights: {s: 1}\n")
    with (folder / "hang.jsonl").open("w") as file:
        for text in ("x", "hang", "y"):
            file.write(json.dumps({"prompt": "p", "completion": text}) + "\n")
    refused = guerdon("score", "hang.jsonl", "-r", "mine.yaml", folder=folder, ok=False)
    assert "--trust" in refused.stderr
    done = guerdon(
        "score",
        "hang.jsonl",
        "-r",
        "mine.yaml",
        "--trust",
        "--timeout",
        1,
        "--workers",
        2,
        "--json",
        folder=folder,
    )
    summary = json.loads(done.stdout)["outcome"]
    assert (summary["ok"], summary["timed_out"]) == (2, 1)


def test_resume_finishes_what_is_there(folder):
    guerdon("score", "data.jsonl", "-r", "math", "-o", "out.parquet", "--resume", folder=folder)
    assert len(read_table(folder / "out.parquet")) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("score", "nothing.jsonl", "-r", "math"), "nothing.jsonl"),
        (("score", "data.jsonl", "-r", "mth"), "did you mean 'math'"),
        (("score", "data.jsonl", "-r", "math", "--set", "extrct=latex"), "did you mean 'extract'"),
        (("score", "data.jsonl", "-r", "math", "--set", "latex"), "--set"),
        (("score", "data.jsonl", "-r", "none.yaml"), "no such recipe file"),
        (("score", "data.jsonl", "-r", "math", "--out", "out.txt"), "out.txt"),
        (("score", "data.jsonl", "-r", "math", "--format", "excel"), "excel"),
        (("score", "data.jsonl", "-r", "math", "--timeout", "1", "--workers", "0"), "workers"),
        (("score", "data.jsonl", "-r", "math", "--memory", "much"), "--memory"),
        (("show", "toolrll"), "did you mean 'toolrl'"),
        (("show", "pav"), "is a method, not a registered name: see guerdon."),
        (("list", "rewardz"), "expected one of"),
        (("report", "nothing"), "nothing"),
        (("train", "recipe.yaml"), "train"),
        (("train", "nothing"), "no such recipe"),
    ],
)
def test_an_error_is_one_clear_line(folder, arguments, message):
    done = guerdon(*arguments, folder=folder, ok=False)
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_debug_shows_where(folder):
    done = guerdon("score", "nothing.jsonl", "-r", "math", "--debug", folder=folder, ok=False)
    assert "Traceback" in done.stderr


def test_a_reward_that_changes_with_the_step_is_told_the_step(folder):
    turn = '<think>t</think>\n<tool_call>\n{"name": "a", "parameters": {"x": 1}}\n</tool_call>'
    rows = [{"prompt": "p", "completion": turn, "reference": turn}]
    (folder / "calls.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    asked = ("score", "calls.jsonl", "--reward", "toolrl-two-stage", "--json")
    early, late = (
        json.loads(guerdon(*asked, "--step", step, "--total-steps", 100, folder=folder).stdout)
        for step in (0, 60)
    )
    assert early["outcome"]["mean"] < late["outcome"]["mean"]
    assert json.loads(guerdon(*asked, folder=folder).stdout)["outcome"]["failed"] == 1


def test_list_show_and_methods(folder):
    names = {entry["name"] for entry in json.loads(guerdon("list", "--json", folder=folder).stdout)}
    assert {"math", "tags", "toolrl", "otc", "bleu", "grpo", "clip", "arithmetic"} <= names
    shown = guerdon("show", "toolrl", folder=folder).stdout
    assert "R_format" in shown
    assert "2504.13958" in shown
    slugs = {method["slug"] for method in json.loads(guerdon("methods", "--json", folder=folder).stdout)}
    assert {"toolrl", "otc-po", "bleuberi"} <= slugs


def test_report_of_scores(folder):
    guerdon("score", "data.jsonl", "-r", "recipe.yaml", "-o", "out.parquet", folder=folder)
    done = guerdon("report", "out.parquet", "--out", "page.html", folder=folder)
    assert "page.html" in done.stdout
    assert (folder / "page.html").read_text().startswith("<!doctype html>")


# -- real records --------------------------------------------------------------------------------------------------


def summary_of(*arguments, folder):
    return json.loads(guerdon("score", *arguments, "--json", folder=folder).stdout)


@pytest.mark.parametrize(
    "model", ["6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"]
)
def test_maths_verdicts_agree_with_the_record_in_every_row(shared_data, tmp_path, model):
    path = shared_data / "gsm8k_model_solutions.jsonl.gz"
    columns = {"prompt": "question", "completion": f"{model}.solution", "reference": "ground_truth"}
    flags = [part for key, value in columns.items() for part in ("--column", f"{key}={value}")]
    summary_of(path, "-r", "math", *flags, "-o", "out.parquet", folder=tmp_path)
    with gzip.open(path, "rt") as file:
        recorded = [float(json.loads(line)[model]["is_correct"]) for line in file]
    assert read_table(tmp_path / "out.parquet")["outcome"].to_pylist() == recorded


def test_reference_turns_get_their_maximum(shared_data, tmp_path):
    dialogues = summary_of(
        shared_data / "rlla_dialogues.jsonl.gz",
        "-r",
        "toolrl",
        "-o",
        "out.parquet",
        "--column",
        "prompt=instruction",
        "--column",
        "completion=output",
        "--column",
        "reference=output",
        folder=tmp_path,
    )
    rows = summary_of(
        shared_data / "rlla_verl_test.parquet",
        "-r",
        "toolrl",
        "-o",
        "verl.parquet",
        "--column",
        "completion=reward_model.ground_truth",
        folder=tmp_path,
    )
    assert (dialogues["samples"], rows["samples"]) == (200, 80)
    for name in ("out.parquet", "verl.parquet"):
        table = read_table(tmp_path / name)
        for completion, outcome in zip(
            table["completion"].to_pylist(), table["outcome"].to_pylist(), strict=True
        ):
            calls = "</think>\n<tool_call>\n" in completion
            assert outcome == (4.0 if calls else 1.0)


def test_code_mode_never_raises_on_reference_turns(shared_data, tmp_path):
    found = summary_of(
        shared_data / "rlla_dialogues.jsonl.gz",
        "-r",
        "toolrl",
        "--set",
        "mode=code",
        "--column",
        "prompt=instruction",
        "--column",
        "completion=output",
        "--column",
        "reference=output",
        folder=tmp_path,
    )
    assert found["outcome"]["ok"] == 200
    assert found["outcome"]["min"] == -3.0


def test_claims_run_list_and_report(folder):
    result = folder / "claims"
    printed = guerdon("claims", "run", "otc-po", "--seeds", "3", "--out", result, folder=folder).stdout
    assert printed.startswith("otc-po: ")
    assert "3 seeds" in printed
    assert json.loads((result / "otc-po.json").read_text())["seeds"] == [0, 1, 2]
    assert "otc-po" in guerdon("claims", "list", "--from", result, folder=folder).stdout
    guerdon("claims", "report", result, folder=folder)
    assert "<svg" in (result / "claims.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "otc"), "did you mean 'otc-po'"),
        (("run", "otc-po", "--seeds", "2"), "at least 3"),
        (("report", "nowhere"), "no results of claims"),
    ],
)
def test_errors_of_claims_are_one_clear_line(folder, arguments, message):
    done = guerdon("claims", *arguments, folder=folder, ok=False)
    assert message in done.stderr
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
