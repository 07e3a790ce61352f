"""Best of n, votes, and their tie rules."""

from __future__ import annotations

import gzip
import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.steer import best_of_n, maj_at_k, majority_vote, rm_at_k, top_k, weighted_vote

SCORES = st.lists(st.one_of(st.integers(-2, 2), st.just(math.nan)), min_size=1, max_size=8)
ANSWERS = st.lists(st.sampled_from(["x", "y", "z", None]), min_size=1, max_size=8)


@given(SCORES, st.integers(1, 9))
def test_the_top_is_sorted_by_score_then_index(scores, k):
    scored = [(-score, i) for i, score in enumerate(scores) if not math.isnan(score)]
    assert top_k(scores, k) == [i for _, i in sorted(scored)][:k]
    if scored:
        assert best_of_n(scores) == top_k(scores, 1)[0]
    else:
        with pytest.raises(ValueError, match="at least one that isn't NaN"):
            best_of_n(scores)


@given(ANSWERS)
def test_the_majority_is_what_counting_says(answers):
    vote = majority_vote(answers)
    counted = Counter(answer for answer in answers if answer is not None)
    if not counted:
        assert vote is None
        return
    assert vote.totals == counted
    assert list(vote.totals) == list(counted)
    assert vote.answer == counted.most_common(1)[0][0]
    assert vote.index == answers.index(vote.answer)


@given(ANSWERS, st.data())
def test_a_weight_is_that_many_votes(answers, data):
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(answers), max_size=len(answers)))
    vote = majority_vote(answers, weights)
    repeated = Counter(a for a, w in zip(answers, weights, strict=True) for _ in range(w) if a is not None)
    if vote is None:
        assert not repeated
    else:
        assert Counter(vote.totals) == repeated
        assert repeated[vote.answer] == max(repeated.values(), default=0)


def test_a_tie_at_the_top_goes_to_the_first_or_by_answers_to_the_vote():
    scores, answers = [1, 2, 2, 0, 2], ["y", "y", "x", "y", "x"]
    assert best_of_n(scores) == 1
    assert best_of_n(scores, answers) == 2
    assert best_of_n(scores, ["y", None, None, "y", None]) == 1
    assert best_of_n([math.nan, -math.inf]) == 1


def test_equal_answers_vote_together_under_the_form_that_came_first():
    vote = majority_vote(["1/2", "2", "0.5", "2.0", ".5"], equal=lambda a, b: _number(a) == _number(b))
    assert (vote.index, vote.answer, vote.totals) == (0, "1/2", {"1/2": 3.0, "2": 2.0})
    assert majority_vote(["1/2", "2", "0.5", "2"]).answer == "2"
    assert best_of_n([1, 1, 1], ["2", "0.5", "1/2"], equal=lambda a, b: _number(a) == _number(b)) == 1


def test_a_sample_without_score_does_not_vote():
    vote = weighted_vote(["a", "b", "b"], [0.0, math.nan, -1.0])
    assert vote.answer == "a"
    assert vote.totals == pytest.approx({"a": 0.5, "b": 1 / (1 + math.e)})
    assert weighted_vote(["a"], [math.nan]) is None


@given(st.lists(st.floats(-800, 800), min_size=1, max_size=6))
def test_rewards_of_any_size_are_votes_between_none_and_one(rewards):
    totals = weighted_vote(range(len(rewards)), rewards).totals
    assert all(0 <= total <= 1 for total in totals.values())
    assert np.argmax(rewards) in [i for i, total in totals.items() if total == max(totals.values())]


def test_values_are_votes_as_they_are():
    assert weighted_vote(["a", "b", "a"], [0.3, 0.5, 0.3], weighting="identity").totals == {
        "a": 0.6,
        "b": 0.5,
    }


@given(ANSWERS, st.data())
def test_at_k_only_the_first_k_count(answers, data):
    k = data.draw(st.integers(1, len(answers)))
    scores = data.draw(st.lists(st.integers(0, 2), min_size=len(answers), max_size=len(answers)))
    right = [answer == "x" for answer in answers]
    assert rm_at_k(scores, right, k) is right[int(np.argmax(scores[:k]))]
    votes = Counter(answer for answer in answers[:k] if answer is not None)
    expected = bool(votes) and votes.most_common(1)[0][0] == "x"
    assert maj_at_k(answers, right, k) is expected
    assert maj_at_k([*answers, "x", "x"], [*right, True, True], k) is expected


@pytest.mark.parametrize(
    ("k", "reward", "majority", "oracle"), [(1, 46, 46, 46), (4, 48, 48, 49), (8, 48, 48, 49)]
)
def test_what_selection_solves_of_real_problems(shared_data, k, reward, majority, oracle):
    lines = gzip.decompress((shared_data / "math_rm_at_8.jsonl.gz").read_bytes()).decode().splitlines()
    rows = [json.loads(line) for line in lines]
    solved = Counter()
    for row in rows:
        scores, right = [score for (score,) in row["pred_score"]], row["score"]
        solved["reward"] += rm_at_k(scores, right, k)
        solved["majority"] += maj_at_k(row["pred"], right, k)
        solved["oracle"] += any(right[:k])
    assert (len(rows), solved["reward"], solved["majority"], solved["oracle"]) == (
        50,
        reward,
        majority,
        oracle,
    )


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: best_of_n([]), "scores: expected at least one"),
        (lambda: best_of_n(["1"]), "scores: expected a list of numbers"),
        (lambda: best_of_n([1, 1], ["a"]), "answers: expected 2"),
        (lambda: top_k([1.0], 0), "k: expected an integer of at least 1"),
        (lambda: top_k([1.0], True), "k: expected an integer"),
        (lambda: majority_vote(["a"], [-1.0]), "weights: expected finite"),
        (lambda: majority_vote(["a"], [math.inf]), "weights: expected finite"),
        (lambda: majority_vote(["a"], [1.0, 2.0]), "answers: expected 2"),
        (lambda: weighted_vote(["a"], [-1.0], weighting="identity"), "weights: expected finite"),
        (lambda: weighted_vote(["a"], [1.0], weighting="softmax"), "weighting: expected one of"),
        (lambda: rm_at_k([1.0], [True], 2), "k: expected an integer from 1 to 1"),
        (lambda: rm_at_k([1.0], [], 1), "correct: expected 1"),
        (lambda: maj_at_k(["a"], [True, False], 1), "correct: expected 1"),
    ],
)
def test_what_cannot_be_chosen_from_is_refused(call, expected):
    with pytest.raises(ValueError, match=expected):
        call()


def _number(text):
    top, _, bottom = text.partition("/")
    return float(top) / float(bottom or 1)
