"""First wrong steps by a threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.models.first_error import FirstErrorF1, first_error, first_error_f1

SOLUTIONS = st.lists(st.lists(st.floats(0, 1), max_size=4), min_size=1, max_size=6)


def _open(rows):
    return [value for row in rows for value in row], np.cumsum([0, *map(len, rows)])


@given(SOLUTIONS, st.floats(0, 1))
def test_the_first_step_below(rows, threshold):
    expected = [next((k for k, p in enumerate(row) if p < threshold), -1) for row in rows]
    assert first_error(*_open(rows), threshold).tolist() == expected


@given(SOLUTIONS, st.integers(2, 12), st.data())
def test_the_best_threshold_is_the_first_of_the_best(rows, count, data):
    errors = [data.draw(st.integers(-1, len(row) - 1)) for row in rows]
    best = (None, 0.0)
    for threshold in np.linspace(0, 1, count).tolist():
        hits = {True: [], False: []}
        for row, error in zip(rows, errors, strict=True):
            found = next((k for k, p in enumerate(row) if p < threshold), -1)
            hits[error < 0].append(found == error)
        rates = [sum(hit) / len(hit) if hit else 0.0 for hit in hits.values()]
        f1 = 2 * rates[0] * rates[1] / sum(rates) if sum(rates) else 0.0
        if f1 > best[1] + 1e-12:
            best = (threshold, f1)
    found = first_error_f1(*_open(rows), errors, thresholds=count, sigmoid=False)
    assert found.threshold == best[0]
    assert found.f1 == pytest.approx(best[1])


def test_rewards_pass_a_sigmoid():
    found = first_error_f1([2.0, -2.0, 2.0], [0, 2, 3], [1, -1], thresholds=3)
    assert found == FirstErrorF1(0.5, 1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.1, np.nan], [0, 2], [-1]), "scores: expected finite"),
        (([0.1], [0, 2], [-1]), "offsets: expected"),
        (([0.1], [0, 1], [1]), "errors: expected positions"),
        (([0.1], [0, 1], [-2]), "errors: expected positions"),
        (([0.1], [0, 1], [0.5]), "errors: expected integers"),
        (([0.1], [0, 1], [0, 0]), "errors: expected integers"),
    ],
)
def test_errors_name_the_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        first_error_f1(*arguments)
    with pytest.raises(ValueError, match="thresholds: expected"):
        first_error_f1([0.1], [0, 1], [0], thresholds=1)
