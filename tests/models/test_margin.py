"""Losses of a preference."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from guerdon.models.margin import implicit_reward_margin, logistic_loss, preference_probability

LOG_PROBS = st.lists(st.floats(-1e3, 0), min_size=4, max_size=4)


@given(margin=st.floats(-700, 700))
def test_the_loss_is_the_negative_log_sigmoid(margin):
    found = float(logistic_loss(np.array([margin]))[0])
    assert found == pytest.approx(
        -math.log(1 / (1 + math.exp(-margin))) if margin > -30 else -margin, abs=1e-9
    )
    assert found - float(logistic_loss(np.array([-margin]))[0]) == pytest.approx(-margin, abs=1e-9)


@pytest.mark.parametrize("margin", [1e4, -1e4, 1e300, -1e300, math.inf, -math.inf])
def test_the_loss_of_extreme_margins(margin):
    found = float(logistic_loss(np.array([margin]))[0])
    assert found == max(-margin, 0.0)


def test_a_confident_margin_keeps_a_loss_above_zero():
    assert float(logistic_loss(np.array([50.0]))[0]) == pytest.approx(math.exp(-50), rel=1e-9)


def test_its_gradient_in_torch():
    margin = torch.tensor([-1e4, -3.0, 0.0, 3.0, 1e4], dtype=torch.float64, requires_grad=True)
    logistic_loss(margin).sum().backward()
    np.testing.assert_allclose(margin.grad.numpy(), (torch.sigmoid(margin) - 1).detach().numpy(), atol=1e-12)


def test_nan_is_not_hidden():
    with np.errstate(invalid="ignore"):
        assert np.isnan(logistic_loss(np.array([np.nan]))[0])


@given(values=LOG_PROBS, beta=st.floats(0.01, 2))
def test_the_margin_changes_sign_with_the_preference(values, beta):
    a, b, c, d = (np.array([value]) for value in values)
    one, other = implicit_reward_margin(a, b, c, d, beta), implicit_reward_margin(b, a, d, c, beta)
    np.testing.assert_allclose(one, -other, atol=1e-9)
    np.testing.assert_allclose(implicit_reward_margin(a, b, a, b, beta), 0.0)


def test_only_the_policy_has_a_gradient_and_it_pulls_the_pair_apart():
    chosen, rejected = (torch.tensor([-5.0, -900.0], requires_grad=True) for _ in range(2))
    reference = torch.tensor([-5.0, -5.0])
    logistic_loss(implicit_reward_margin(chosen, rejected, reference, reference)).sum().backward()
    assert (chosen.grad < 0).all()
    assert (rejected.grad > 0).all()


def test_wrong_arguments_are_named():
    one, two = np.zeros(1), np.zeros(2)
    with pytest.raises(ValueError, match="ref_chosen"):
        implicit_reward_margin(one, one, two, one)
    with pytest.raises(ValueError, match="beta"):
        implicit_reward_margin(one, one, one, one, 0.0)
    with pytest.raises(ValueError, match="beta"):
        implicit_reward_margin(one, one, one, one, math.nan)


@given(margin=st.floats(-700, 700), target=st.floats(0, 1))
def test_a_soft_target_mixes_both_preferences(margin, target):
    m, t = np.array([margin]), np.array([target])
    np.testing.assert_allclose(
        logistic_loss(m, t), target * logistic_loss(m) + (1 - target) * logistic_loss(-m)
    )


@given(margin=st.floats(-700, 700))
def test_the_probability_of_a_preference_keeps_its_tails(margin):
    m = np.array([margin])
    found = preference_probability(m)
    np.testing.assert_allclose(found, expit(m), rtol=1e-9)
    np.testing.assert_allclose(preference_probability(torch.tensor(m)).numpy(), found, rtol=1e-9)
