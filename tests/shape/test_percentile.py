"""Normalisation by percentiles of the last values."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.core.context import EMPTY
from guerdon.core.signal import Signal, Status
from guerdon.shape.percentile import PercentileNormalize

VALUES = st.lists(st.floats(-1e6, 1e6), max_size=30)


def normalized(transform, values, status=None):
    groups = np.zeros(len(values), dtype=np.int64)
    return transform.apply(Signal(np.array(values, dtype=float), status), groups, EMPTY).outcome


@given(values=VALUES, window=st.integers(1, 8), low=st.floats(0, 49), high=st.floats(51, 100))
@settings(max_examples=60, deadline=None)
def test_each_value_is_placed_between_percentiles_of_the_window_that_it_ends(values, window, low, high):
    found = normalized(PercentileNormalize(window=window, low=low, high=high), values)
    for i, value in enumerate(values):
        below, above = np.percentile(values[max(0, i + 1 - window) : i + 1], [low, high])
        if above - below > 1e-6:
            assert found[i] == pytest.approx(np.clip((value - below) / (above - below), 0, 1), abs=1e-5)


@given(values=VALUES)
@settings(max_examples=30, deadline=None)
def test_batches_and_saved_state_change_nothing(values):
    whole = normalized(PercentileNormalize(window=5), values)
    first, second = PercentileNormalize(window=5), PercentileNormalize(window=5)
    half = len(values) // 2
    start = normalized(first, values[:half])
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    np.testing.assert_array_equal(np.concatenate([start, normalized(second, values[half:])]), whole)


def test_it_is_the_cost_reward_of_the_published_router(shared_golden):
    cases = json.loads((shared_golden / "router-r1.json").read_text())["cases"]
    chosen = [case for case in cases if case["call"] == "cost_reward_sequence_per_trajectory_costs"]
    assert chosen
    for case in chosen:
        costs = -np.sqrt(case["inputs"]["costs"])
        found = normalized(PercentileNormalize(), costs)
        np.testing.assert_allclose(found, case["expected"], atol=case["tolerance"])


def test_a_window_without_spread_is_flat():
    np.testing.assert_array_equal(normalized(PercentileNormalize(), [3.0, 3.0]), [0.5, 0.5])
    np.testing.assert_array_equal(normalized(PercentileNormalize(flat=0.0), [3.0, 4.0]), [0.0, 1.0])
    np.testing.assert_array_equal(normalized(PercentileNormalize(window=1), [1.0, 2.0]), [0.5, 0.5])


def test_rows_without_a_value_do_not_enter():
    transform = PercentileNormalize()
    found = normalized(transform, [0.0, np.nan, 10.0], [0, Status.FAILED, 0])
    np.testing.assert_array_equal(found, [0.5, np.nan, 1.0])
    assert transform.state_dict() == {"recent": [0.0, 10.0]}


def test_frozen_learns_nothing():
    learnt = PercentileNormalize(low=0, high=100)
    normalized(learnt, [0.0, 10.0])
    frozen = PercentileNormalize(low=0, high=100, frozen=True)
    np.testing.assert_array_equal(normalized(frozen, [4.0]), [0.5])
    frozen.load_state_dict(learnt.state_dict())
    np.testing.assert_array_equal(normalized(frozen, [2.5, 99.0, -99.0]), [0.25, 1.0, 0.0])
    assert frozen.state_dict() == learnt.state_dict()


def test_a_smaller_window_takes_the_last_of_a_larger_state():
    transform = PercentileNormalize(window=2)
    transform.load_state_dict({"recent": [1.0, 2.0, 3.0]})
    assert transform.state_dict() == {"recent": [2.0, 3.0]}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"window": 0}, "window"),
        ({"window": 2.5}, "window"),
        ({"low": 95, "high": 5}, "low, high"),
        ({"high": 101}, "low, high"),
        ({"min_spread": 0.0}, "min_spread"),
        ({"flat": float("nan")}, "flat"),
        ({"channel": "both"}, "channel"),
    ],
)
def test_wrong_options_are_named(options, named):
    with pytest.raises(ValueError, match=named):
        PercentileNormalize(**options)
