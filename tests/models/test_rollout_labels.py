"""Labels of steps from rollouts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.agents.calculator import evaluate
from guerdon.models.rollout_labels import group_label, rollout_labels, rollout_priority, success_rates


def test_rates_count_usable_completions_only():
    correct = [[1, 1, 0], [0, 0, 0], [1, 1, 1]]
    usable = [[1, 0, 1], [0, 0, 0], [1, 1, 1]]
    np.testing.assert_array_equal(success_rates(correct, usable), [0.5, np.nan, 1.0])
    assert success_rates(correct, usable, epsilon=1e-7)[2] < 1.0
    assert np.isnan(success_rates(np.zeros((2, 0), dtype=bool))).all()


@pytest.mark.parametrize("correct", [[1, 0], [[0.5]], [[2]], [["yes"]]])
def test_rates_are_of_booleans(correct):
    with pytest.raises(ValueError, match="correct: expected booleans"):
        success_rates(correct)


def test_a_step_has_the_label_of_the_steps_that_say_the_same():
    rollouts = [
        ["Add: 2+3 = 5.", "So it is 5."],
        ["Adds: 2+3 = 5.", "So it is 7."],
        ["Add: 2+3 = 6.", "So it is 6."],
    ]
    assert rollout_labels(rollouts, [True, False, False], 0.3, evaluate) == [[0.3, 1.0], [0.3, 0.0], [0.0]]


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from(["one", "two = 2", "3"]), max_size=4), st.booleans()), max_size=6
    )
)
def test_labels_end_with_the_first_zero_and_right_rollouts_never_have_one(rollouts):
    steps, correct = [one for one, _ in rollouts], [right for _, right in rollouts]
    for row, right, labels in zip(steps, correct, rollout_labels(steps, correct, 0.4, evaluate), strict=True):
        assert set(labels) <= {0.0, 0.4, 1.0}
        assert 0.0 not in labels[:-1]
        assert len(labels) == len(row) or labels[-1] == 0.0
        assert not right or (0.0 not in labels and len(labels) == len(row))


def test_priority_rises_with_the_rate_and_falls_with_length_and_visits():
    base = rollout_priority(0.5, 100, 2, 9)
    assert rollout_priority(0.9, 100, 2, 9) > base
    assert rollout_priority(0.5, 900, 2, 9) < base
    assert rollout_priority(0.5, 100, 5, 9) < base
    assert rollout_priority(1.0, 0, 0, 0) == 1.0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: success_rates([[1, 0]], [[1]]), r"usable: expected shape \(1, 2\)"),
        (lambda: success_rates([[1]], epsilon=-1.0), "epsilon: expected"),
        (lambda: group_label(0, 0, 0.5), "right, wrong: expected counts"),
        (lambda: group_label(1, 1, float("nan")), "rate: expected"),
        (lambda: rollout_labels([["a"]], [], 0.5, evaluate), "correct: expected 1, one a rollout"),
        (lambda: rollout_labels([], [], 2.0, evaluate), "rate: expected"),
        (lambda: rollout_priority(1.5, 1, 1, 1), "rate: expected"),
        (lambda: rollout_priority(0.5, 1, 1, 1, alpha=0.0), "alpha: expected"),
        (lambda: rollout_priority(0.5, -1, 1, 1), "length: expected"),
        (lambda: rollout_priority(0.5, 1, 1, 1, long=0), "long: expected"),
    ],
)
def test_errors_name_the_argument(call, said):
    with pytest.raises(ValueError, match=said):
        call()
