"""Belief in the reference answer, and what turns add to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guerdon.credit.information_gain import answer_belief, information_gain

rows_of = st.lists(st.lists(st.floats(-50, 0), min_size=1, max_size=5), max_size=6)


def ragged(rows):
    return np.array([x for row in rows for x in row], dtype=np.float64), np.cumsum([0, *map(len, rows)])


@given(rows_of)
def test_belief_is_the_geometric_mean_of_token_probabilities(rows):
    found = answer_belief(*ragged(rows))
    np.testing.assert_allclose(found, [np.exp(np.mean(row)) for row in rows])


@given(rows_of)
def test_gains_of_a_rollout_add_up_to_what_it_learned(rows):
    values, offsets = ragged(rows)
    gains, bounds = information_gain(values, offsets)
    assert bounds.tolist() == np.cumsum([0, *(len(row) - 1 for row in rows)]).tolist()
    for i, row in enumerate(rows):
        np.testing.assert_allclose(gains[bounds[i] : bounds[i + 1]], np.diff(row))


def test_impossible_and_certain_answers():
    assert answer_belief(np.array([0.0, 0.0, -1.0, -np.inf]), np.array([0, 2, 4])).tolist() == [1.0, 0.0]


def test_torch_gives_the_same_and_keeps_its_dtype():
    logprobs, offsets = np.array([-2.0, -1.0, -1.0, -0.2]), np.array([0, 2, 3, 4])
    belief = answer_belief(torch.tensor(logprobs, dtype=torch.float32), torch.tensor(offsets))
    assert belief.dtype == torch.float32
    np.testing.assert_allclose(belief.numpy(), answer_belief(logprobs, offsets), rtol=1e-6)
    gains, bounds = information_gain(belief, torch.tensor([0, 3]))
    np.testing.assert_allclose(gains.numpy(), np.diff(belief.numpy()))
    assert bounds.tolist() == [0, 2]


@pytest.mark.parametrize("logprobs", [[0.1], [np.nan], [np.inf]])
def test_what_is_no_log_probability_is_refused(logprobs):
    with pytest.raises(ValueError, match="logprobs: expected numbers of at most 0"):
        answer_belief(np.array(logprobs), np.array([0, 1]))


@pytest.mark.parametrize("offsets", [[0, 1], [0, 0, 2], [0, 3], [1, 2]])
def test_offsets_that_do_not_fit_are_refused(offsets):
    with pytest.raises(ValueError, match="offsets: expected"):
        answer_belief(np.array([-1.0, -1.0]), np.array(offsets))
    with pytest.raises(ValueError, match="offsets: expected"):
        information_gain(np.array([0.5, 0.5]), np.array(offsets))


def test_beliefs_must_be_finite():
    with pytest.raises(ValueError, match="beliefs: expected finite numbers"):
        information_gain(np.array([0.5, np.nan]), np.array([0, 2]))
