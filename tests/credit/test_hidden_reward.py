"""Token hidden reward: the matrix form is the pairwise sum, and its sign tells what a gradient step does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guerdon.credit.hidden_reward import (
    influence_on_correct,
    influence_threshold,
    prediction_errors,
    spare_wrong_tokens,
    steer_advantages,
    token_hidden_reward,
)

OFFSETS, CORRECT = np.array([0, 3, 5, 5, 9]), np.array([True, False, True, True])
ROW = np.repeat(np.arange(4), np.diff(OFFSETS))


def group(seed=0, d=3, vocabulary=5):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(9, vocabulary))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    chosen = rng.integers(0, vocabulary, 9)
    return rng.normal(size=(9, d)), prediction_errors(p, chosen), p, chosen


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_influence_is_the_sum_over_pairs_of_tokens(seed, length_normalized):
    h, e, *_ = group(seed)
    expected = np.zeros(9)
    for q in range(9):
        for k in range(9):
            i = ROW[k]
            weight = 1 / np.diff(OFFSETS)[i] if length_normalized else 1.0
            expected[q] += CORRECT[i] * weight * (e[q] @ e[k]) * (h[q] @ h[k])
    found = influence_on_correct(h, e, OFFSETS, CORRECT, length_normalized=length_normalized)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    tensors = map(torch.tensor, (h, e, OFFSETS, CORRECT))
    same = influence_on_correct(*tensors, length_normalized=length_normalized)
    np.testing.assert_allclose(same.numpy(), expected, atol=1e-9)


def test_the_sign_is_that_of_the_response():
    h, e, *_ = group()
    influence = influence_on_correct(h, e, OFFSETS, CORRECT)
    found = token_hidden_reward(h, e, OFFSETS, CORRECT)
    np.testing.assert_array_equal(found, np.where(CORRECT[ROW], influence, -influence))


@pytest.mark.parametrize("token", range(9))
def test_a_step_on_a_token_moves_correct_responses_by_its_hidden_reward(token):
    """Train the output matrix of a linear policy on one token and see the mean log-likelihood that results."""
    h, _, _, chosen = group(1)
    weight = torch.tensor(np.random.default_rng(2).normal(size=(5, 3)), requires_grad=True)
    states = torch.tensor(h)

    def log_likelihoods(w):
        return torch.log_softmax(states @ w.T, dim=1)[torch.arange(9), torch.tensor(chosen)]

    sign = 1.0 if CORRECT[ROW[token]] else -1.0
    (gradient,) = torch.autograd.grad(sign * log_likelihoods(weight)[token], weight)
    rate = 1e-6
    with torch.no_grad():
        change = (log_likelihoods(weight + rate * gradient) - log_likelihoods(weight)) / rate
        p = torch.softmax(states @ weight.T, dim=1).numpy()
    gain = sum(float(change[i == ROW].mean()) for i in (0, 3))
    found = token_hidden_reward(h, prediction_errors(p, chosen), OFFSETS, CORRECT)
    assert gain == pytest.approx(found[token], rel=1e-3, abs=1e-4)


def test_half_precision_is_accumulated_in_single():
    h, e, *_ = group()
    found = influence_on_correct(
        torch.tensor(h, dtype=torch.bfloat16), torch.tensor(e, dtype=torch.bfloat16), OFFSETS, CORRECT
    )
    assert found.dtype == torch.float32


def test_the_threshold_is_the_least_mean_of_a_correct_response_with_tokens():
    s = np.arange(9.0)
    assert influence_threshold(s, OFFSETS, CORRECT) == 1.0
    assert influence_threshold(torch.tensor(s), OFFSETS, np.array([0, 1, 0, 1])) == 3.5
    assert influence_threshold(s, OFFSETS, np.array([False, False, True, False])) == np.inf


def test_a_group_without_a_correct_response_has_no_hidden_reward_and_trains_nothing():
    h, e, *_ = group()
    none = np.zeros(4, bool)
    found = token_hidden_reward(h, e, OFFSETS, none)
    np.testing.assert_array_equal(found, 0.0)
    threshold = influence_threshold(found, OFFSETS, none)
    np.testing.assert_array_equal(steer_advantages(np.ones(4), found, OFFSETS, threshold, 0.1), 0.0)


def test_steering_selects_strictly_and_tilts_by_sign():
    thr = np.array([0.5, -0.5, 0.2, -0.2, 0.0, 1.0, -1.0, 0.1, 3.0])
    a = np.array([1.0, -2.0, 9.0, 4.0])
    expected = np.where(np.abs(thr) > 0.2, (1 + 0.1 * np.sign(thr)) * a[ROW], 0.0)
    np.testing.assert_allclose(steer_advantages(a, thr, OFFSETS, 0.2, 0.1), expected)
    np.testing.assert_allclose(steer_advantages(torch.tensor(a), thr, OFFSETS, 0.2, 0.1).numpy(), expected)
    # A token without influence keeps its advantage where everything is selected.
    assert steer_advantages(a, thr, OFFSETS, -1.0, 0.1)[4] == -2.0


def test_wrong_tokens_that_correct_responses_live_on_are_spared():
    s, a = np.arange(9.0), np.array([1.0, -1.0, 1.0, 1.0])
    found = spare_wrong_tokens(a, s, OFFSETS, CORRECT, 3.5)
    np.testing.assert_allclose(found, [1, 1, 1, -1, -0.5, 1, 1, 1, 1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: prediction_errors(np.ones((2, 3)), np.array([0, 3])), ValueError, r"tokens: .* in \[0, 3\)"),
        (lambda: prediction_errors(np.ones((2, 3)), np.array([0.0, 1.0])), TypeError, "tokens: expected int"),
        (lambda: prediction_errors(np.ones(3), np.array([0])), ValueError, "probabilities: expected rank 2"),
        (
            lambda: influence_on_correct(np.ones((9, 2)), np.ones((8, 2)), OFFSETS, CORRECT),
            ValueError,
            "errors: expected shape",
        ),
        (
            lambda: influence_on_correct(np.full((9, 2), np.nan), np.ones((9, 2)), OFFSETS, CORRECT),
            ValueError,
            "hidden: expected finite",
        ),
        (
            lambda: influence_on_correct(np.ones((9, 2)), np.ones((9, 2)), OFFSETS, CORRECT[:3]),
            ValueError,
            "correct: expected shape",
        ),
        (lambda: steer_advantages(np.ones(4), np.ones(9), OFFSETS, np.nan), ValueError, "threshold: "),
        (lambda: steer_advantages(np.ones(4), np.ones(9), OFFSETS, 0.0, 1.5), ValueError, "p: expected"),
        (lambda: steer_advantages(np.ones(3), np.ones(9), OFFSETS, 0.0), ValueError, "offsets: expected"),
        (lambda: influence_threshold(np.ones(8), OFFSETS, CORRECT), ValueError, "offsets: expected"),
    ],
)
def test_errors_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()
