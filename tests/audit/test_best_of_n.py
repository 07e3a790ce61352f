"""Best of n: selection by reward, by vote and by an oracle, and the curve of over-optimisation."""

from __future__ import annotations

import gzip
import itertools
import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.audit import (
    Candidates,
    best_of_n_accuracy,
    best_of_n_kl,
    math_equal,
    read_candidates,
    selection_curve,
)

DRAWS = st.lists(st.tuples(st.sampled_from("xyz"), st.integers(0, 2)), min_size=1, max_size=7)


def same(first, second):
    return first == second


def problem(draws, right="x"):
    answers, scores = zip(*draws, strict=True)
    return Candidates(answers, [answer == right for answer in answers], scores)


@given(DRAWS, st.data())
def test_selection_is_what_counting_says(draws, data):
    n = data.draw(st.integers(1, len(draws)))
    found = best_of_n_accuracy([problem(draws)], n, same)
    first = draws[:n]
    top = [answer for answer, score in first if score == max(score for _, score in first)]
    assert found.reward == (Counter(top).most_common(1)[0][0] == "x")
    assert found.majority == (Counter(answer for answer, _ in first).most_common(1)[0][0] == "x")
    assert found.oracle == any(answer == "x" for answer, _ in first)


@given(st.lists(DRAWS, min_size=1, max_size=4))
def test_no_choice_beats_the_oracle_and_one_draw_leaves_none(rows):
    problems = [problem(draws) for draws in rows]
    found = best_of_n_accuracy(problems, min(map(len, rows)), same)
    assert max(found.reward, found.majority) <= found.oracle
    alone = best_of_n_accuracy(problems, 1, same)
    assert alone.reward == alone.majority == alone.oracle


def test_a_tie_at_the_top_goes_to_the_answer_that_is_given_most():
    draws = [("y", 1), ("y", 2), ("x", 2), ("x", 2), ("y", 0), ("y", 0)]
    found = best_of_n_accuracy([problem(draws)], 6, same)
    assert (found.reward, found.majority) == (1.0, 0.0)


def test_equal_answers_are_counted_together():
    draws = Candidates(
        ["0.5", "2", "\\frac12", "2", "1/2"], [True, False, True, False, True], [0, 1, 0, 1, 0]
    )
    assert best_of_n_accuracy([draws], 5).majority == 1.0
    assert best_of_n_accuracy([draws], 5, same).majority == 0.0
    assert best_of_n_accuracy([draws], 5).reward == 0.0


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("1/2", "0.5", True),
        ("\\frac{3}{8}", "\\frac38", True),
        ("3", "4", False),
        ("", "", True),
        ("", "0", False),
    ],
)
def test_math_equal(first, second, expected):
    assert math_equal(first, second) == expected
    assert math_equal(second, first) == expected


@pytest.mark.parametrize("n", [0, 3, 1.0, True, None])
def test_a_size_that_some_problem_has_not_is_refused(n):
    with pytest.raises(ValueError, match="n: expected an integer from 1 to 2"):
        best_of_n_accuracy([problem([("x", 1)] * 5), problem([("x", 1)] * 2)], n)
    with pytest.raises(ValueError, match="from 1 to 0"):
        best_of_n_accuracy([], 1)


@pytest.mark.parametrize(
    "parts", [([], [], []), (["x"], [], [1.0]), (["x"], [True], []), (["x"], [True], [math.nan])]
)
def test_candidates_are_checked(parts):
    with pytest.raises(ValueError, match=r"^Candidates"):
        Candidates(*parts)


def brute_force(proxy, gold, n):
    """Mean over subsets of n, and over the order of ties, of the proxy and gold of the best by proxy."""
    found = []
    for row_proxy, row_gold in zip(proxy, gold, strict=True):
        for chosen in itertools.combinations(range(len(row_proxy)), n):
            best = max(row_proxy[i] for i in chosen)
            # A uniform order breaks ties, and the tied samples outside of the subset are as likely to be in it.
            ties = [i for i in chosen if row_proxy[i] == best]
            found.append((best, sum(row_gold[i] for i in ties) / len(ties)))
    return np.mean(found, axis=0)


@given(st.integers(1, 3), st.integers(1, 6), st.integers(0, 2**32 - 1), st.booleans())
def test_the_curve_is_the_mean_over_all_subsets(problems, total, seed, ties):
    rng = np.random.default_rng(seed)
    proxy = rng.integers(0, 3, (problems, total)) if ties else rng.normal(size=(problems, total))
    gold = rng.normal(size=(problems, total))
    for point in selection_curve(proxy, gold, range(1, total + 1)):
        np.testing.assert_allclose((point.proxy, point.gold), brute_force(proxy, gold, point.n), atol=1e-9)
        assert point.kl == pytest.approx(math.log(point.n) - 1 + 1 / point.n)


@given(st.integers(2, 7), st.integers(0, 2**32 - 1))
def test_an_oracle_that_selects_passes_at_n(total, seed):
    correct = np.random.default_rng(seed).integers(0, 2, (1, total))
    right = int(correct.sum())
    for point in selection_curve(correct, correct, range(1, total + 1)):
        expected = 1 - math.comb(total - right, point.n) / math.comb(total, point.n)
        assert point.gold == pytest.approx(expected)


def test_a_gamed_proxy_peaks_and_falls_and_a_sound_one_does_not():
    rng = np.random.default_rng(0)
    gold = rng.normal(size=(2000, 64))
    sizes = [1, 2, 4, 8, 16, 32, 64]
    sound = selection_curve(gold + rng.normal(size=gold.shape), gold, sizes)
    assert [point.gold for point in sound] == sorted(point.gold for point in sound)
    exploit = rng.random(gold.shape) < 0.02
    gamed = selection_curve(gold + 9 * exploit, gold - 4 * exploit, sizes)
    golds = [point.gold for point in gamed]
    assert 0 < golds.index(max(golds)) < len(sizes) - 1
    assert golds[-1] < golds[0]
    assert [point.proxy for point in gamed] == sorted(point.proxy for point in gamed)


def test_divergence():
    assert best_of_n_kl(1) == 0.0
    assert best_of_n_kl(256) == pytest.approx(4.54908, abs=1e-5)
    with pytest.raises(ValueError, match="n: expected"):
        best_of_n_kl(0)


@pytest.mark.parametrize(
    ("proxy", "gold", "sizes", "expected"),
    [
        ([1.0], [1.0], [1], "proxy: expected"),
        ([[]], [[]], [1], "proxy: expected"),
        ([[1.0]], [[1.0, 2.0]], [1], "gold: expected the shape of proxy"),
        ([[math.nan]], [[1.0]], [1], "proxy: expected finite"),
        ([[1.0]], [[math.inf]], [1], "gold: expected finite"),
        ([[1.0]], [[1.0]], [2], "sizes: expected integers from 1 to 1"),
        ([[1.0]], [[1.0]], [0], "sizes: expected integers from 1 to 1"),
    ],
)
def test_a_curve_of_what_is_no_sample_is_refused(proxy, gold, sizes, expected):
    with pytest.raises(ValueError, match=expected):
        selection_curve(proxy, gold, sizes)


def test_real_candidates(shared_data):
    path = shared_data / "math_rm_at_8.jsonl.gz"
    problems = read_candidates(path)
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    found = best_of_n_accuracy(problems, 8)
    by_reward = [row["score"][int(np.argmax([s for (s,) in row["pred_score"]]))] for row in rows]
    by_vote = [row["score"][row["pred"].index(Counter(row["pred"]).most_common(1)[0][0])] for row in rows]
    assert len(problems) == 50
    assert found.reward == pytest.approx(np.mean(by_reward))
    assert found.majority == pytest.approx(np.mean(by_vote))
    assert found.oracle == pytest.approx(np.mean([any(row["score"]) for row in rows]))


ROW = {"pred": ["1", "2"], "score": [True, False], "pred_score": [[0.5], 1]}


def test_one_score_an_answer_or_a_list_of_one(tmp_path):
    path = tmp_path / "candidates.jsonl"
    path.write_text(json.dumps(ROW) + "\n")
    assert read_candidates(path) == [Candidates(["1", "2"], [True, False], [0.5, 1])]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, "line 2: pred_score: expected a list, got NoneType"),
        (ROW | {"pred": "1"}, "line 2: pred: expected a list"),
        (ROW | {"pred": [1, 2]}, "line 2: pred: expected entries of type str, got 1"),
        (ROW | {"score": [1, 0]}, "line 2: score: expected entries of type bool"),
        (
            ROW | {"pred_score": [[0.5, 0.4], [1]]},
            "line 2: pred_score: expected entries of type int or float",
        ),
        (ROW | {"pred_score": [None, 1]}, "line 2: pred_score"),
        (ROW | {"pred": ["1"]}, "line 2: Candidates: expected as many"),
        ([1], "line 2: expected a JSON object"),
    ],
)
def test_a_row_that_is_none_says_where(tmp_path, row, expected):
    path = tmp_path / "candidates.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + json.dumps(row) + "\n")
    with pytest.raises(ValueError, match=expected):
        read_candidates(path)
