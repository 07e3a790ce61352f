"""Checks of options: what passes, and that the error says which argument, what it was and what was expected."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from guerdon.core.checks import check_choice, check_number


def test_a_choice_is_one_of_those_offered():
    check_choice("min", "reduce", ("sum", "min"))
    for wrong in ("max", "", None, 1, ["min"]):
        with pytest.raises(ValueError, match="reduce: expected one of sum, min, got"):
            check_choice(wrong, "reduce", ("sum", "min"))


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float32(0.5), np.int64(1), Fraction(1, 2)])
def test_a_number_of_any_type_becomes_a_float(value):
    found = check_number(value, "x", 0.0, 1.0)
    assert type(found) is float
    assert found == value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "1", None, True, [1.0], 1j])
def test_what_is_not_a_finite_number_is_refused(value):
    with pytest.raises(ValueError, match="x: expected a finite number, got"):
        check_number(value, "x")


@pytest.mark.parametrize(
    ("value", "bounds", "message"),
    [
        (-1, {"low": 0.0}, "of at least 0, got -1"),
        (2, {"high": 1.0}, "of at most 1, got 2"),
        (1.5, {"low": 0.0, "high": 1.0}, r"in \[0, 1\], got 1.5"),
        (0, {"above": 0.0}, "above 0, got 0"),
    ],
)
def test_bounds_are_named(value, bounds, message):
    with pytest.raises(ValueError, match=f"x: expected a finite number {message}"):
        check_number(value, "x", **bounds)


def test_a_closed_bound_belongs_to_the_range():
    assert check_number(0, "x", low=0.0) == 0.0
    assert check_number(1e-300, "x", above=0.0) == 1e-300
