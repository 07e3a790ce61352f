"""What a search asks for, what it costs, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon import Abstain, Score, reward
from guerdon.steer import BeamSearch, Budget, Proposal, progress_value, value_by

PREFIXES = st.lists(
    st.lists(st.sampled_from("ab"), min_size=1, max_size=4).map(tuple), min_size=1, max_size=5
)


def propose(prefixes, width, rng):
    return [[Proposal("ab"[i % 2], tokens=3) for i in range(width)] for _ in prefixes]


def test_a_call_is_a_continuation_asked_and_tokens_are_those_of_all_of_them():
    found = BeamSearch(beams=2, branch=4, depth=2)(propose, lambda prefixes: np.zeros(len(prefixes)))
    # Of four steps two differ: only those are evaluated, and all are paid.
    assert found.spent == (4 + 8, 3 * (4 + 8), 2 + 4, 0)
    assert found.stopped == "depth"


@pytest.mark.parametrize(("calls", "rounds"), [(1, 0), (3, 0), (4, 1), (11, 1), (12, 2), (19, 2), (20, 3)])
def test_a_round_that_would_go_beyond_the_calls_is_not_started(calls, rounds):
    found = BeamSearch(beams=2, branch=4, depth=3)(
        propose, lambda prefixes: np.zeros(len(prefixes)), budget=Budget(calls=calls)
    )
    assert found.spent.calls == [0, 4, 12, 20][rounds] <= calls
    assert found.stopped == ("depth" if rounds == 3 else "budget")


def test_no_round_is_started_once_the_tokens_are_spent():
    search, value = BeamSearch(beams=2, branch=4, depth=3), lambda prefixes: np.zeros(len(prefixes))
    assert search(propose, value, budget=Budget(tokens=12)).spent.tokens == 12
    assert search(propose, value, budget=Budget(tokens=13)).spent.tokens == 36


def test_what_has_no_value_is_dropped_and_counted():
    found = BeamSearch(beams=4, branch=2, depth=1)(propose, lambda prefixes: [math.nan, 0.5])
    assert [beam.steps for beam in found.beams] == [("b",)]
    assert (found.spent.evaluated, found.spent.without_value) == (2, 1)


@pytest.mark.parametrize(
    ("answers", "values", "expected"),
    [
        ([], [0.0], "propose: expected up to 2 steps for 1 prefixes"),
        ([[Proposal("a"), Proposal("b"), Proposal("c")]], [0.0], r"got \[3\]"),
        ([[Proposal("a")]], [], "evaluate: expected 1 values"),
        ([[Proposal("a")]], [math.inf], "evaluate: expected 1 values, finite or NaN"),
        ([[Proposal("a")]], ["high"], "evaluate: expected a list of numbers"),
    ],
)
def test_answers_that_do_not_fit_are_refused(answers, values, expected):
    with pytest.raises(ValueError, match=expected):
        BeamSearch(branch=2)(lambda *_: answers, lambda _: values)


@pytest.mark.parametrize("limit", [0, -1, math.nan, "3"])
def test_a_budget_is_at_least_one(limit):
    with pytest.raises(ValueError, match=r"Budget\.tokens: expected"):
        Budget(tokens=limit)


@given(PREFIXES, st.floats(0, 3))
def test_progress_is_what_the_last_step_adds_for_the_prover(prefixes, alpha):
    asked = []

    def chance(steps):
        return (1 + steps.count("a")) / (2 + len(steps))

    def prover(prefixes):
        asked.append(prefixes)
        return [chance(steps) for steps in prefixes]

    found = progress_value(lambda prefixes: [len(steps) for steps in prefixes], prover, alpha)(prefixes)
    expected = [len(s) + alpha * (chance(s) - chance(s[:-1])) for s in prefixes]
    np.testing.assert_allclose(found, expected)
    assert len(asked) == 1
    assert len(asked[0]) == len(set(asked[0]))


def test_a_reward_values_the_text_so_far():
    @reward
    def shortness(sample):
        if "skip" in sample.text:
            raise Abstain("not mine")
        return 1 / len(sample.text)

    found = value_by(shortness, "2 + 2?", separator=" ")([("ab", "c"), ("skip",), ("a",)])
    np.testing.assert_array_equal(found, [0.25, math.nan, 1.0])


def test_step_scores_need_a_rule_to_be_a_value():
    @reward
    def halves(sample):
        return Score(
            1.0, dense=[0.5] * sample.text.count("x"), spans=[(0, 0)] * sample.text.count("x"), unit="step"
        )

    prefixes = [("x",), ("x", "x"), ("y",)]
    with pytest.raises(ValueError, match="halves scores steps; say how"):
        value_by(halves, "p")(prefixes)
    np.testing.assert_array_equal(value_by(halves, "p", how="prod")(prefixes), [0.5, 0.25, np.nan])
    assert list(value_by(halves, "p", how="outcome")(prefixes)) == [1.0] * 3
