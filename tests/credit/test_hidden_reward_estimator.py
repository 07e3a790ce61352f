"""Steering by token hidden reward: which tokens keep their advantage, and how much of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.dense import Dense
from guerdon.core.registry import create
from guerdon.core.signal import Failure, Score, Signal
from guerdon.credit.hidden_reward_estimator import HiddenRewardSteering

REWARDS = [[3.0, 1.0, 2.0], [-4.0, 1.0], [1.0, 5.0, 0.0]]
OUTCOME = [1.0, 0.0, 1.0]
MASK = np.array([[1, 1, 1], [1, 1, 0], [1, 1, 1]], dtype=bool)
ONE = np.zeros(3, dtype=int)


def signal(outcome=OUTCOME, rewards=REWARDS) -> Signal:
    return Signal(outcome, dense=Dense.from_rows(rewards, "token"))


def test_dominant_tokens_keep_their_advantage():
    # Influence of the correct rows: means 2 and 2, so that the threshold is 2; the std of (1, 0, 1) is √2/3.
    right, wrong = (1 - 2 / 3) / (2**0.5 / 3), (0 - 2 / 3) / (2**0.5 / 3)
    expected = [[right, 0, 0], [wrong, 0, 0], [0, right, 0]]
    np.testing.assert_allclose(HiddenRewardSteering()(signal(), ONE, MASK), expected, rtol=1e-6)


@pytest.mark.parametrize("p", [0.1, -0.1, 1.0])
def test_the_knob_scales_tokens_by_their_sign(p):
    plain = HiddenRewardSteering()(signal(), ONE, MASK)
    factor = [[1 + p, 1, 1], [1 - p, 1, 1], [1, 1 + p, 1]]
    np.testing.assert_allclose(HiddenRewardSteering(p)(signal(), ONE, MASK), plain * factor, rtol=1e-6)


@pytest.mark.parametrize("outcome", [[1.0] * 3, [0.0] * 3, [0.1 + 0.2, 0.3, 0.3]])
def test_a_group_of_equal_outcomes_has_no_advantage(outcome):
    assert not HiddenRewardSteering()(signal(outcome), ONE, MASK).any()


def test_groups_are_apart_and_one_alone_has_no_advantage():
    groups = np.array([7, -1, 7, 3])
    batch = signal([1.0, 1.0, 0.0, 1.0], [[9.0], [5.0], [-2.0], [4.0]])
    found = HiddenRewardSteering()(batch, groups, np.ones((4, 1), bool))
    assert not found.any()  # 9 isn't above its own mean, nor 2 above 9
    wide = signal([1.0, 1.0, 0.0, 1.0], [[9.0, 1.0], [5.0, 1.0], [-8.0, 1.0], [4.0, 0.0]])
    found = HiddenRewardSteering()(wide, groups, np.ones((4, 2), bool))
    np.testing.assert_allclose(found, [[1, 0], [0, 0], [-1, 0], [0, 0]])


def test_tokens_outside_the_mask_enter_nothing():
    padded = [[3.0, 1.0, 50.0, 2.0], [-4.0, 9.0, 1.0], [1.0, 5.0, 0.0]]
    mask = np.array([[1, 1, 0, 1], [1, 0, 1, 0], [1, 1, 1, 0]])
    found = HiddenRewardSteering(0.1)(signal(rewards=padded), ONE, mask)
    expected = HiddenRewardSteering(0.1)(signal(), ONE, MASK)
    np.testing.assert_array_equal(found[0, [0, 1, 3]], expected[0])
    np.testing.assert_array_equal(found[1, [0, 2]], expected[1, :2])
    assert not found[mask == 0].any()


def test_samples_that_are_not_ok_enter_nothing():
    values = [Score(o, dense=r, unit="token") for o, r in zip(OUTCOME, REWARDS, strict=True)]
    batch = Signal.from_values([values[0], Failure("broken"), values[1], None, values[2]])
    mask = np.ones((5, 3), bool)
    mask[2, 2] = 0
    found = HiddenRewardSteering(0.1)(batch, np.zeros(5, dtype=int), mask)
    np.testing.assert_array_equal(found[[0, 2, 4]], HiddenRewardSteering(0.1)(signal(), ONE, MASK))
    assert not found[[1, 3]].any()
    nothing = Signal.from_values([None, Failure("broken")])
    assert not HiddenRewardSteering()(nothing, np.zeros(2, dtype=int), np.ones((2, 3), bool)).any()


def test_what_is_correct_is_an_outcome_above_the_threshold():
    shifted = signal([2.0, 1.0, 2.0])
    found = HiddenRewardSteering(threshold=1.0)(shifted, ONE, MASK)
    np.testing.assert_allclose(found, HiddenRewardSteering()(signal(), ONE, MASK), rtol=1e-6)


@given(st.integers(0, 2**32 - 1), st.floats(-1, 1))
def test_always_finite_and_never_larger_than_the_knob_allows(seed, p):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 5, 6)
    batch = signal(rng.integers(0, 2, 6).astype(float), [rng.normal(size=n) for n in lengths])
    mask = np.arange(5) < lengths[:, None]
    groups = rng.integers(0, 3, 6)
    found = HiddenRewardSteering(p, dtype="float64")(batch, groups, mask)
    assert np.isfinite(found).all()
    assert not found[~mask].any()
    plain = HiddenRewardSteering(dtype="float64")(batch, groups, mask)
    assert (np.abs(found) <= (1 + abs(p)) * np.abs(plain) + 1e-12).all()


def test_a_token_without_a_value_is_an_error():
    with pytest.raises(ValueError, match="row 1 has none at token 1"):
        HiddenRewardSteering()(signal(rewards=[[1.0] * 3, [1.0], [1.0] * 3]), ONE, MASK)
    with pytest.raises(ValueError, match="no dense channel"):
        HiddenRewardSteering()(Signal(OUTCOME), ONE, MASK)


@pytest.mark.parametrize("options", [{"p": 1.5}, {"p": float("nan")}, {"threshold": None}, {"ddof": -1}])
def test_options_are_checked(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        HiddenRewardSteering(**options)


def test_it_is_registered():
    assert create("token_hidden_reward", "credit", {"p": 0.1}) == HiddenRewardSteering(0.1)
