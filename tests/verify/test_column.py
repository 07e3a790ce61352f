"""Rewards that stand in a column: numbers, truth values, lists of them, and what couldn't be read."""

from __future__ import annotations

import math

import pytest

from guerdon import Chat
from guerdon.core.registry import create
from guerdon.core.signal import Status


def scored(value, **options):
    return create("column", arguments={"key": "k", **options})([Chat("q", "a", extra={"k": value})])


@pytest.mark.parametrize(("value", "outcome"), [(0.25, 0.25), (3, 3), (True, 1), (False, 0)])
def test_a_number_is_the_outcome(value, outcome):
    signal = scored(value)
    assert signal.outcome.tolist() == [outcome]
    assert signal.dense is None


def test_a_list_is_the_rewards_of_steps():
    signal = scored([0.5, True, 0])
    assert signal.outcome.tolist() == [0]
    assert signal.dense.values.tolist() == [0.5, 1, 0]
    assert (signal.dense.unit, scored([1], unit="step").dense.unit) == ("turn", "step")


def test_null_has_the_value_that_it_is_given():
    signal = scored([1.0, None, None], missing=0.5)
    assert signal.dense.values.tolist() == [1.0, 0.5, 0.5]
    assert signal.parts["missing"].outcome[0] == 2
    assert scored(None, missing=0.5).outcome.tolist() == [0.5]


def test_without_a_value_for_it_null_is_none():
    assert scored(None).status[0] == Status.ABSTAINED
    signal = scored([1.0, None])
    assert signal.status[0] == Status.FAILED
    assert "extra['k'][1]: expected a finite number, got None" in signal.reasons[0]


def test_a_missing_column_abstains():
    signal = create("column", arguments={"key": "other"})([Chat("q", "a", extra={"k": 1})])
    assert signal.status[0] == Status.ABSTAINED
    assert signal.reasons[0] == "extra['other']: missing"


@pytest.mark.parametrize("value", ["1", {"a": 1}, math.nan, math.inf, [math.nan], [[1]], b"1"])
def test_what_is_not_a_number_fails(value):
    assert scored(value).status[0] == Status.FAILED


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match="unit: expected one of token, step, turn"):
        scored(1, unit="word")
    with pytest.raises(ValueError, match="missing: expected a finite number"):
        scored(1, missing=math.nan)
