"""The function that verl loads, in both forms in which its reward managers call it."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import threading

import numpy as np
import pytest

import guerdon
from guerdon import load_reward
from guerdon.connect.verl import as_compute_score
from guerdon.shape import GroupNormalize, Schedule


@guerdon.reward
def right(sample):
    if sample.completion == "raise":
        raise ValueError("no such thing")
    if sample.completion == "hang":
        while True:
            pass
    return float(sample.final == sample.reference)


@guerdon.reward
def polite(sample):
    return None if sample.completion == "abstain" else float("please" in sample.final)


def batch(function, solutions, truths=None, infos=None):
    n = len(solutions)
    return function(
        data_sources=np.array(["d"] * n, dtype=object),
        solution_strs=solutions,
        ground_truths=truths or ["4"] * n,
        extra_infos=np.array(infos or [{}] * n, dtype=object),
    )


def test_one_sample_gives_a_score_with_its_parts_and_status():
    score = as_compute_score(right + 0.5 * polite, missing=-1.0)
    row = score(data_source="d", solution_str="4", ground_truth="4", extra_info=None)
    assert row == {"score": 1.0, "right": 1.0, "polite": 0.0, "status": "ok"}


def test_a_batch_gives_what_single_calls_give():
    score = as_compute_score(right + 0.5 * polite, missing=-1.0)
    solutions = ["4", "5", "please", "abstain", "raise"]
    single = [score("d", text, "4", {}) for text in solutions]
    np.testing.assert_equal(batch(score, solutions), single)


def test_a_failure_has_the_stated_score_and_says_so():
    row = as_compute_score(right + polite, missing=-1.0)("d", "raise", "4", {})
    assert (row["score"], row["status"]) == (-1.0, "failed")
    assert math.isnan(row["right"])


def test_a_part_that_abstains_is_nan_and_not_zero():
    row = as_compute_score(right + polite, missing=-1.0)("d", "abstain", "4", {})
    assert (row["score"], row["status"]) == (0.0, "ok")
    assert math.isnan(row["polite"])


def test_every_dict_has_the_same_keys():
    score = as_compute_score(load_reward("json_schema", schema=True) + right, missing=0.0)
    rows = [score("d", text, "4", {}) for text in ("raise", "{}", "no json")]
    assert {tuple(row) for row in rows} == {("score", "json_schema", "right", "status")}


def test_parts_called_like_the_own_keys_do_not_hide_them():
    score = as_compute_score(right.named("score") + polite.named("status"), missing=0.0)
    assert score("d", "4", "4", {}) == {"score": 1.0, "score#2": 1.0, "status#2": 0.0, "status": "ok"}


def test_source_and_extra_info_reach_the_reward():
    seen = []

    @guerdon.reward
    def look(sample):
        seen.append((sample.prompt, sample.extra["data_source"], sample.extra["level"], sample.reference))
        return 0.0

    as_compute_score(look, missing=0.0)("gsm8k", "4", np.array(["4", "four"]), {"prompt": "2+2?", "level": 3})
    assert seen == [("2+2?", "gsm8k", 3, ["4", "four"])]


def test_a_hung_sample_ends_at_its_time_limit():
    score = as_compute_score(right, missing=-1.0, workers=1, timeout=0.5)
    assert [row["status"] for row in batch(score, ["4", "hang", "5"])] == ["ok", "timed_out", "ok"]


def test_many_threads_get_their_own_results():
    score = as_compute_score(right + polite, missing=-1.0, workers=2, timeout=30.0)
    found = {}

    def call(i):
        found[i] = score("d", str(i), str(i - i % 2), {})["right"]

    threads = [threading.Thread(target=call, args=(i,)) for i in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {i: float(i % 2 == 0) for i in range(40)}


@guerdon.reward
def maker_of_the_worker(sample):
    return float(os.getppid())


def test_a_forked_process_has_workers_of_its_own():
    score = as_compute_score(maker_of_the_worker, missing=-1.0, workers=1, timeout=30.0)
    here = score("d", "", "", {})["score"]
    fork = multiprocessing.get_context("fork")
    found = fork.Queue()
    child = fork.Process(target=lambda: found.put(score("d", "", "", {})["score"]), daemon=True)
    child.start()
    assert found.get(timeout=60) != here
    assert score("d", "", "", {})["score"] == here
    child.join()


def test_an_error_of_the_engine_reaches_every_thread_that_waits():
    score = as_compute_score(right | Schedule([(0, 1.0), (10, 0.0)]), missing=0.0)
    errors = []

    def call():
        try:
            score("d", "4", "4", {})
        except ValueError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=call, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(errors) == 8
    assert "context.step is missing" in errors[0]


def test_a_reward_that_compares_samples_uses_the_index_as_group():
    score = as_compute_score(right | GroupNormalize(), missing=0.0)
    infos = [{"index": 0}, {"index": 1}, {"index": 0}, {"index": 1}]
    scores = [row["score"] for row in batch(score, ["4", "4", "5", "4"], infos=infos)]
    np.testing.assert_allclose(scores, [np.sqrt(0.5), 0.0, -np.sqrt(0.5), 0.0], atol=1e-5)


def test_a_reward_that_compares_samples_refuses_what_would_be_wrong():
    score = as_compute_score(right | GroupNormalize(), missing=0.0)
    with pytest.raises(TypeError, match="one at a time"):
        score("d", "4", "4", {"index": 0})
    with pytest.raises(ValueError, match="'index'"):
        batch(score, ["4", "5"])


def test_wrong_arguments_say_which():
    with pytest.raises(TypeError, match="missing"):
        as_compute_score(right)
    with pytest.raises(ValueError, match="missing"):
        as_compute_score(right, missing=float("nan"))
    with pytest.raises(TypeError, match=r"expected a guerdon\.Reward"):
        as_compute_score(len, missing=0.0)
    score = as_compute_score(right, missing=0.0)
    with pytest.raises(ValueError, match="got neither"):
        score(ground_truth="4")
    with pytest.raises(ValueError, match="expected 2 entries"):
        score(solution_strs=["4", "5"], ground_truths=["4"])


def test_rows_can_be_dumped_as_verl_dumps_them():
    json.dumps(batch(as_compute_score(right + polite, missing=0.0), ["4", "abstain"]))
