"""One correct solution against many: accuracy, ranks, and the figures of the benchmark's own score files."""

from __future__ import annotations

import gzip
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.audit import (
    Comparison,
    compare_one_to_many,
    one_to_many_benchmark,
    read_score_file,
    scores_of_verdicts,
    summarize,
)

SCORES = st.lists(st.integers(-3, 3), min_size=1, max_size=6)
VERDICTS = st.lists(
    st.tuples(st.sampled_from(["A", "B", None]), st.sampled_from(["A", "B"])), min_size=1, max_size=9
)

# The card's definition of each aggregation, as plain Python.
BY_DEFINITION = {
    "min": min,
    "max": max,
    "prod": math.prod,
    "geometric_mean": lambda p: math.prod(p) ** (1 / len(p)),
    "mean": lambda p: sum(p) / len(p),
    "mean_logit": lambda p: 1 / (1 + math.exp(-sum(math.log(x / (1 - x)) for x in p) / len(p))),
    "mean_odd": lambda p: max(0.0, sum(x / (1 - x) for x in p) / len(p)),
    "last": lambda p: p[-1],
}


def rank_by_sorting(correct, incorrect):
    """Rank of the first correct solution where, at one score, incorrect ones come first."""
    order = sorted([(-s, 1) for s in correct] + [(-s, 0) for s in incorrect])
    return 1 + [kind for _, kind in order].index(1)


def figures_by_definition(problems):
    """(strict, with ties, MRR) over `(correct, incorrect)`."""
    n = len(problems)
    return (
        sum(min(c) > max(w) for c, w in problems) / n,
        sum(min(c) >= max(w) for c, w in problems) / n,
        sum(1 / rank_by_sorting(c, w) for c, w in problems) / n,
    )


@given(SCORES, SCORES)
def test_a_comparison_is_what_sorting_says(correct, incorrect):
    found = compare_one_to_many(correct, incorrect)
    n, rank = len(correct) + len(incorrect), rank_by_sorting(correct, incorrect)
    assert found.strict == all(c > w for c in correct for w in incorrect)
    assert found.with_ties == all(c >= w for c in correct for w in incorrect)
    assert found.reciprocal_rank == 1 / rank
    assert found.rank_score == (n - rank) / (n - 1)


@given(SCORES, SCORES)
def test_only_the_order_of_scores_counts(correct, incorrect):
    stretched = compare_one_to_many([math.exp(s) for s in correct], [math.exp(s) for s in incorrect[::-1]])
    assert stretched == compare_one_to_many(correct, incorrect)


def test_an_infinite_score_is_a_score():
    assert compare_one_to_many([math.inf], [1.0]) == Comparison(True, True, 1.0, 1.0)
    assert compare_one_to_many([-math.inf], [-math.inf, 0.0]) == Comparison(False, False, 1 / 3, 0.0)


@pytest.mark.parametrize("bad", [[], [math.nan], [None], ["1"], [True], [[1.0]], 1.0, None])
def test_scores_that_cannot_be_ranked_are_refused(bad):
    with pytest.raises(ValueError, match=r"^correct: expected"):
        compare_one_to_many(bad, [1.0])
    with pytest.raises(ValueError, match=r"^incorrect: expected"):
        compare_one_to_many([1.0], bad)


@given(VERDICTS)
def test_the_rank_of_a_pairwise_judge_is_one_more_than_its_losses(pairs):
    verdicts, positions = zip(*pairs, strict=True)
    losses = sum(verdict != position for verdict, position in pairs)
    correct, incorrect = scores_of_verdicts(verdicts, positions)
    assert correct == len(pairs) - losses + 1
    assert sorted(set(incorrect)) == sorted(
        {1 for _ in range(len(pairs) - losses)} | {len(pairs) + 2 for _ in range(losses)}
    )
    found = compare_one_to_many([correct], incorrect)
    assert found.strict == found.with_ties == (losses == 0)
    assert found.reciprocal_rank == 1 / (losses + 1)


@pytest.mark.parametrize(
    ("verdicts", "positions", "expected"),
    [
        ([], [], "verdicts: expected one a pair"),
        (["A"], ["A", "B"], "got 1 for 2"),
        (["a"], ["A"], "verdicts: expected each among"),
        (["A"], [None], "positions: expected each among"),
        ([["A"]], ["A"], "verdicts: expected each among"),
    ],
)
def test_verdicts_that_are_none_are_refused(verdicts, positions, expected):
    with pytest.raises(ValueError, match=expected):
        scores_of_verdicts(verdicts, positions)


def test_a_benchmark_of_no_problem_has_no_figure():
    with pytest.raises(ValueError, match="at least one problem"):
        summarize([])


def as_sides(row, how):
    """Scores of a raw row as `(correct, incorrect)`, by the card."""
    if "chosen_position" in row:
        won = [v == p for v, p in zip(row["score"], row["chosen_position"], strict=True)]
        return [sum(won) + 1], [1 if one else len(won) + 2 for one in won]
    scores = [BY_DEFINITION[how](s) if isinstance(s, list) else s for s in row["score"]]
    return scores[:1], scores[1:]


def test_figures_of_the_score_files_are_those_of_the_definition(shared_data):
    path = shared_data / "rewardmath_scores.json.gz"
    raw = json.loads(gzip.decompress(path.read_bytes()))
    read = read_score_file(path)
    assert len(read) == 14
    assert list(read) == list(raw)
    stepwise = {model for model, problems in read.items() if problems[0].stepwise}
    assert stepwise == {"Math_Shepherd_reward", "ReasonEval_7B_reward"}
    for model, rows in raw.items():
        for how in BY_DEFINITION if model in stepwise else ("prod",):
            found = one_to_many_benchmark(read[model], how)
            expected = figures_by_definition([as_sides(row, how) for row in rows])
            assert found.problems == len(rows)
            assert (found.strict, found.with_ties, found.mrr) == pytest.approx(expected, abs=1e-9, rel=0), (
                model,
                how,
            )


@pytest.mark.parametrize(
    ("model", "how", "strict", "mrr"),
    [
        ("ArmoRM_reward", "prod", 20.50, 0.4218),
        ("skywork_llama3_reward", "prod", 22.15, 0.4469),
        ("internlm2_reward", "prod", 37.27, 0.5517),
        ("oasst-rm_reward", "prod", 7.04, 0.2703),
        ("gpt4_pairwise_reward", "prod", 29.81, 0.5192),
        ("Math_Shepherd_reward", "prod", 17.18, 0.3468),
        ("Math_Shepherd_reward", "last", 18.22, 0.3883),
        ("Math_Shepherd_reward", "mean_logit", 14.70, 0.3192),
        ("Math_Shepherd_reward", "max", 3.93, 0.2182),
    ],
)
def test_figures_that_the_reference_evaluator_gives(shared_data, model, how, strict, mrr):
    found = one_to_many_benchmark(read_score_file(shared_data / "rewardmath_scores.json.gz")[model], how)
    assert 100 * found.strict == pytest.approx(strict, abs=0.005)
    assert found.mrr == pytest.approx(mrr, abs=5e-5)


def test_a_judge_of_few_levels_ties(shared_data):
    found = one_to_many_benchmark(read_score_file(shared_data / "rewardmath_scores.json.gz")["gpt4_reward"])
    assert 100 * found.strict == pytest.approx(22.47, abs=0.005)
    assert 100 * found.with_ties == pytest.approx(48.45, abs=0.005)


ROW = {"problem_id": 1, "score": [1.0, 0.5]}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([], "no rows"),
        ([{"m": [ROW]}, {"m": [ROW]}], "expected one object with the rows of every model, got 2"),
        ([3], "expected a JSON object"),
        ({}, "no model"),
        ({"m": []}, "m: expected a list of at least one row"),
        ({"m": [3]}, "m: row 0: expected an object"),
        ({"m": [ROW, ROW]}, "m: row 1: problem 1 is there already"),
        ({"m": [{"score": [1, 0]}]}, "problem_id: expected a number or text, got None"),
        ({"m": [ROW | {"score": 3}]}, "score: expected a list, got int"),
        ({"m": [ROW | {"score": [1.0]}]}, "at least one more, got 1"),
        ({"m": [ROW | {"score": [1.0, None]}]}, r"score\[1\]: expected a number, got None"),
        ({"m": [ROW | {"score": [True, 1.0]}]}, r"score\[0\]: expected a number"),
        ({"m": [ROW | {"score": [[0.5], 1.0]}]}, r"score\[1\]: expected a list of at least one number"),
        ({"m": [ROW | {"score": [[0.5], ["x"]]}]}, r"score\[1\]: expected a list of at least one number"),
        ({"m": [ROW | {"score": [[0.5], []]}]}, r"score\[1\]: expected a list of at least one number"),
        ({"m": [ROW | {"score": ["A"], "chosen_position": ["C"]}]}, "positions: expected each among"),
        ({"m": [ROW | {"score": ["A"], "chosen_position": "A"}]}, "chosen_position: expected a list"),
        ({"m": [ROW, {"problem_id": 2, "score": [[0.5], [0.4]]}]}, "some rows score steps"),
    ],
)
def test_a_score_file_that_is_not_one_says_where(tmp_path, content, expected):
    path = tmp_path / "scores.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=expected) as caught:
        read_score_file(path)
    assert str(path) in str(caught.value)


def test_a_nan_in_a_score_file_is_an_error(tmp_path):
    path = tmp_path / "scores.json"
    path.write_text('{"m": [{"problem_id": 1, "score": [NaN, 1.0]}]}')
    with pytest.raises(ValueError, match="NaN is not JSON"):
        read_score_file(path)
