"""Whether two steps say the same."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.agents.calculator import evaluate
from guerdon.models.step_similarity import similarity_groups, step_similarity

written = st.text(st.sampled_from("ab =0123+-*/.()\ud800é"), max_size=25)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("x = 4/2", "x = 2", True),
        ("x = 1/3 of it", "x = 2/6 of it", True),
        ("x = 2", "x = 3", False),
        ("x = 2 = y", "x = 3 = y", False),
        ("x = (1", "x = (1", True),
        ("x = 1/0", "x = 2/0", False),
        ("x = 2**99999999", "x = 2**99999998", False),
        ("x = y", "x = z", True),
        ("2 apples", "pears", False),
        ("take 2", "take 2 of 3", True),
        ("take 2 of 3", "take 2", True),
        ("take 3", "take 2", False),
        ("take 1/2", "take 2", False),
    ],
)
def test_steps_that_arrive_at_other_numbers_are_not_alike(a, b, same):
    assert (step_similarity(a, b, evaluate) > 0) is same


def test_decimals_are_one_number_where_asked():
    assert step_similarity("x is 2.5", "x is 3.5", evaluate) == 0.875
    assert step_similarity("x is 2.5", "x is 3.5", evaluate, decimals=True) == 0.0
    assert step_similarity("x is 2.5", "now x is 2.5", evaluate, decimals=True) > 0.5


@given(written, written)
def test_a_similarity_is_in_bounds_and_a_step_is_like_itself(a, b):
    assert 0.0 <= step_similarity(a, b, evaluate) <= 1.0
    assert step_similarity(a, a, evaluate) == 1.0


def test_arithmetic_is_worked_out_by_what_is_given():
    seen = []

    def record(side):
        seen.append(side)
        return Fraction(1)

    assert step_similarity("x = 2 + 2 apples", "x = 5", record) > 0
    assert seen == ["2 + 2", "5"]


def test_groups_are_numbered_by_first_appearance():
    steps = [
        "We add the terms: 2+3 = 5",
        "It's over.",
        "We add the term: 2+3 = 5",
        "We add the terms: 2+3 = 6",
    ]
    assert similarity_groups(steps, evaluate) == [0, 1, 0, 2]
    assert similarity_groups(steps, evaluate, threshold=1.0) == [0, 1, 2, 3]
    assert similarity_groups([], evaluate) == []


def test_bad_arguments_are_named():
    with pytest.raises(TypeError, match="b: expected text, got NoneType"):
        step_similarity("a", None, evaluate)
    with pytest.raises(ValueError, match="threshold: expected"):
        similarity_groups(["a"], evaluate, threshold=88)
