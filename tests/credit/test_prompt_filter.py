"""Prompts that are worth training on, and how well scores rank their answers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guerdon.credit.prompt_filter import accuracy_filter
from guerdon.credit.ranking_accuracy import ranking_accuracy


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("right", range(6))
def test_bounds_are_inclusive_in_every_precision(right, dtype):
    accuracy = np.array([1.0] * right + [0.0] * (5 - right), dtype=dtype)
    for given_ in (accuracy, torch.tensor(accuracy)):
        found = accuracy_filter(given_, 5)
        assert found.tolist() == [1 <= right <= 4] * 5


def test_groups_need_not_be_consecutive_and_cut_off_responses_drop_their_prompt():
    accuracy, groups = np.array([1.0, 1.0, 0.0, 1.0, 0.0]), np.array([7, 2, 7, 2, 2])
    assert accuracy_filter(accuracy, groups).tolist() == [True] * 5
    lengths = np.array([3, 10, 4, 9, 9])
    found = accuracy_filter(accuracy, groups, lengths=lengths, max_length=10)
    assert found.tolist() == [True, False, True, False, False]
    assert accuracy_filter(np.zeros(0), 4).tolist() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"low": 0.9}, "high: expected"),
        ({"low": -0.1}, "low: expected"),
        ({"max_length": 3}, "expected both or neither"),
        ({"lengths": np.ones(3), "max_length": 3}, "lengths: expected shape"),
    ],
)
def test_filter_errors_name_the_argument(options, message):
    with pytest.raises(ValueError, match=message):
        accuracy_filter(np.ones(2), 2, **options)


def test_an_accuracy_that_is_not_a_number_is_an_error():
    with pytest.raises(ValueError, match="accuracy: expected finite"):
        accuracy_filter(np.array([0.5, np.nan]), 2)


rows = st.lists(
    st.tuples(st.sampled_from([-1.0, 0.0, 0.5, 3.0]), st.sampled_from([0.0, 0.3, 1.0]), st.integers(0, 2)),
    min_size=1,
    max_size=9,
)


@given(rows)
def test_ranking_accuracy_by_the_definition(rows):
    scores, accuracy, groups = map(np.array, zip(*rows, strict=True))
    found = []
    for code in np.unique(groups):
        pairs = list(itertools.combinations(np.flatnonzero(groups == code), 2))
        gap = [abs(accuracy[i] - accuracy[j]) for i, j in pairs]
        agrees = [(scores[i] > scores[j]) == (accuracy[i] > accuracy[j]) for i, j in pairs]
        found.append(np.average(agrees, weights=gap) if sum(gap) else 0.5)
    assert ranking_accuracy(scores, accuracy, groups) == pytest.approx(np.mean(found))
    tensors = map(torch.tensor, (scores, accuracy, groups))
    assert ranking_accuracy(*tensors) == pytest.approx(np.mean(found))


def test_ranking_errors_name_the_argument():
    with pytest.raises(ValueError, match="scores: expected at least one row"):
        ranking_accuracy(np.zeros(0), np.zeros(0), 1)
    with pytest.raises(ValueError, match="accuracy: expected shape"):
        ranking_accuracy(np.zeros(2), np.zeros(3), 2)
    with pytest.raises(ValueError, match="scores: expected finite"):
        ranking_accuracy(np.array([np.nan]), np.zeros(1), 1)
