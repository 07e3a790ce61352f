"""Whole solutions from a policy: in full batches, and within a budget."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.steer.proposals import Budget, Proposal
from guerdon.steer.sampling import sample_solutions


def coin(prefixes, width, rng):
    """Ends a solution with probability a half; two tokens a step."""
    return [
        [Proposal(int(rng.integers(10)), 2, bool(rng.random() < 0.5)) for _ in range(width)] for _ in prefixes
    ]


@given(st.integers(1, 30), st.integers(1, 8), st.integers(0, 5))
@settings(max_examples=40)
def test_n_are_drawn_with_full_batches(n, together, seed):
    sizes, begun = [], []

    def propose(prefixes, width, rng):
        sizes.append(len(prefixes))
        begun.append(prefixes.count(()))
        assert width == 1
        assert len(prefixes) == together or sum(begun) == n
        return coin(prefixes, width, rng)

    found = sample_solutions(propose, n, together=together, seed=seed)
    assert (len(found.solutions), found.stopped) == (n, "drawn")
    assert found.finished == [one.steps for one in found.solutions]
    assert all(math.isnan(one.value) for one in found.solutions)
    steps = sum(len(one.steps) for one in found.solutions)
    assert found.spent == (steps, 2 * steps, 0, 0)
    assert sum(sizes) == steps


@given(st.integers(1, 60), st.integers(1, 8))
@settings(max_examples=40)
def test_a_budget_of_calls_is_used_up_and_those_begun_first_are_finished(calls, together):
    found = sample_solutions(coin, 1000, together=together, budget=Budget(calls=calls))
    assert found.spent.calls == calls
    assert found.stopped == "budget"
    assert sum(not one.finished for one in found.solutions) <= together
    assert all(one.steps for one in found.solutions)


def test_tokens_end_the_rounds():
    found = sample_solutions(coin, 1000, together=4, budget=Budget(tokens=17))
    assert (found.spent.tokens, found.stopped) == (24, "budget")


def test_a_seed_decides_everything():
    assert sample_solutions(coin, 9, seed=3) == sample_solutions(coin, 9, seed=3)
    assert sample_solutions(coin, 9, seed=3) != sample_solutions(coin, 9, seed=4)


def test_what_is_cut_off_or_has_no_next_step_is_not_finished():
    def propose(prefixes, width, rng):
        return [
            [] if len(steps) == 3 and steps[0] % 2 else [Proposal(int(rng.integers(10)))]
            for steps in prefixes
        ]

    found = sample_solutions(propose, 20, depth=5, together=3)
    assert {len(one.steps) for one in found.solutions} == {3, 5}
    assert not found.finished
    assert found.stopped == "drawn"


@pytest.mark.parametrize(
    ("options", "expected"), [({"n": 0}, "n:"), ({"depth": 0}, "depth:"), ({"together": 0}, "together:")]
)
def test_counts_below_one_are_refused(options, expected):
    with pytest.raises(ValueError, match=expected):
        sample_solutions(coin, **{"n": 2, **options})


def test_a_policy_that_answers_for_others_is_refused():
    with pytest.raises(ValueError, match="propose: expected up to 1 steps for 2 prefixes"):
        sample_solutions(lambda prefixes, width, rng: [], 2)
