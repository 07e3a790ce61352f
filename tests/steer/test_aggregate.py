"""One number from the scores of steps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon import Score, Signal
from guerdon.core.signal import Failure
from guerdon.steer import AGGREGATIONS, aggregate, aggregate_rows, aggregate_signal

SCORES = st.lists(st.floats(0.001, 0.999), min_size=1, max_size=8)
DEFINED = {
    "min": min,
    "max": max,
    "prod": math.prod,
    "geometric_mean": lambda p: math.prod(p) ** (1 / len(p)),
    "mean": lambda p: sum(p) / len(p),
    "mean_logit": lambda p: 1 / (1 + math.exp(-sum(math.log(x / (1 - x)) for x in p) / len(p))),
    "mean_odd": lambda p: sum(x / (1 - x) for x in p) / len(p),
    "last": lambda p: p[-1],
}


@given(st.lists(SCORES, max_size=5), st.sampled_from(AGGREGATIONS))
def test_every_row_is_what_the_definition_says(rows, how):
    values = [score for row in rows for score in row]
    found = aggregate_rows(values, np.cumsum([0, *map(len, rows)]), how)
    np.testing.assert_allclose(found, [DEFINED[how](row) for row in rows], rtol=1e-9)
    assert [aggregate(row, how) for row in rows] == pytest.approx(found.tolist(), rel=1e-12)


@given(SCORES, st.sampled_from(AGGREGATIONS))
def test_order_matters_to_the_last_alone(scores, how):
    turned = aggregate(scores[::-1], how)
    assert turned == pytest.approx(scores[0] if how == "last" else aggregate(scores, how))


@given(SCORES)
def test_means_lie_between_the_extremes(scores):
    for how in ("geometric_mean", "mean", "mean_logit"):
        assert min(scores) - 1e-9 <= aggregate(scores, how) <= max(scores) + 1e-9


@pytest.mark.parametrize("offsets", [[0, 0, 2, 2, 3, 3], [0, 0, 2, 3], [0, 2, 3, 3]])
@pytest.mark.parametrize("how", AGGREGATIONS)
def test_a_solution_without_steps_gets_what_is_said_and_its_neighbours_are_untouched(offsets, how):
    scores = [0.25, 0.5, 0.75]
    found = aggregate_rows(scores, offsets, how, empty=0.125)
    filled = np.diff(offsets) > 0
    assert (found[~filled] == 0.125).all()
    np.testing.assert_allclose(found[filled], [aggregate(scores[:2], how), aggregate(scores[2:], how)])
    with pytest.raises(ValueError, match=f"solution {int(np.argmin(filled))} has no step"):
        aggregate_rows(scores, offsets, how)


def test_certain_steps_have_finite_odds():
    assert aggregate([1.0, 0.0], "mean_logit") == pytest.approx(0.5)
    assert aggregate([1.0], "mean_odd", margin=0.01) == pytest.approx(99.0)
    assert aggregate([0.0], "mean_odd") == 0.0
    assert aggregate([1.0], "mean_logit", margin=0.01) == pytest.approx(0.99)
    assert aggregate([-0.5, 0.0], "mean_odd") == 0.0


def test_long_solutions_do_not_underflow():
    assert aggregate([0.5] * 5000, "geometric_mean") == pytest.approx(0.5)
    assert aggregate([0.5, 0.0], "geometric_mean") == 0.0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (([], "min"), "has no step"),
        (([0.5], "median"), "how: expected one of"),
        (([math.nan], "mean"), "step_scores: expected finite"),
        ((["0.5"], "mean"), "step_scores: expected a list of numbers"),
        (([True], "mean"), "step_scores: expected a list of numbers"),
        (([[0.5]], "mean"), "step_scores: expected a list of numbers"),
        ((None, "mean"), "step_scores: expected a list of numbers"),
        (([-0.1], "geometric_mean"), "geometric_mean is of scores in"),
        (([1.5], "mean_logit"), "mean_logit is of scores in"),
        (([1.5], "mean_odd"), "mean_odd is of scores in"),
    ],
)
def test_scores_that_a_rule_is_not_for_are_refused(arguments, expected):
    with pytest.raises(ValueError, match=expected):
        aggregate(*arguments)


def test_options_are_checked():
    with pytest.raises(ValueError, match="margin: expected"):
        aggregate([0.5], margin=0.0)
    with pytest.raises(ValueError, match="offsets: expected"):
        aggregate_rows([0.5, 0.5], [0, 1])


def test_a_signal_keeps_who_has_no_score():
    signal = Signal.from_values(
        [
            Score(dense=[0.5, 0.5], spans=[(0, 1), (1, 2)], unit="step"),
            Failure("no"),
            None,
            Score(dense=[], unit="step"),
        ]
    )
    np.testing.assert_array_equal(aggregate_signal(signal, "prod"), [0.25, np.nan, np.nan, np.nan])
    with pytest.raises(ValueError, match="no dense channel"):
        aggregate_signal(Signal([1.0]))
    assert np.isnan(aggregate_signal(Signal.from_values([None]))).all()
