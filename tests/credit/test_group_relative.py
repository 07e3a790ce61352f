"""Group-relative advantages: the published estimators, degenerate groups, and what must not matter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from guerdon.credit import group_relative, zero_variance_groups

BASELINES = ("mean", "leave_one_out", "none")
SCALES = ("std", "batch_std", "advantage_std", "none")


@st.composite
def ragged_groups(draw):
    """Rewards on a coarse grid, so that equal rewards and flat groups are common, with ragged group codes."""
    n = draw(st.integers(1, 24))
    rewards = draw(hnp.arrays(np.float64, n, elements=st.integers(-8, 8).map(lambda k: k / 4)))
    codes = draw(hnp.arrays(np.int64, n, elements=st.sampled_from([-7, 0, 3, 10**9])))
    return rewards, codes


def by_hand(rewards, codes, baseline, scale, ddof=1, epsilon=1e-4):
    """The estimators written as loops over groups."""
    centred, std, flat = rewards.copy(), np.zeros_like(rewards), np.zeros(rewards.size, dtype=bool)
    for code in set(codes.tolist()):
        rows = np.flatnonzero(codes == code)
        group = rewards[rows]
        flat[rows] = rows.size < 2 or np.ptp(group) == 0
        std[rows] = group.std(ddof=ddof) if rows.size > ddof else 0.0
        for i in rows:
            others = [rewards[j] for j in rows if j != i]
            if baseline == "mean":
                centred[i] -= group.mean()
            elif baseline == "leave_one_out" and others:
                centred[i] -= sum(others) / len(others)
    if baseline != "none" or scale == "std":
        centred[flat] = 0.0
    if scale == "none":
        return centred
    if scale == "std":
        return np.where(flat, 0.0, centred / (std + epsilon))
    compared = rewards if scale == "batch_std" else centred
    if compared.size < 2 or np.ptp(compared) == 0:
        return np.zeros_like(rewards)
    return centred / (compared.std(ddof=ddof) + epsilon)


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("scale", SCALES)
@given(case=ragged_groups())
@settings(max_examples=25, deadline=None)
def test_agrees_with_explicit_loops(baseline, scale, case):
    rewards, codes = case
    found = group_relative(rewards, codes, baseline=baseline, scale=scale)
    np.testing.assert_allclose(found, by_hand(rewards, codes, baseline, scale), atol=1e-9)


@pytest.mark.parametrize("scale", SCALES)
@given(case=ragged_groups(), shift=st.sampled_from([-64.0, -1.0, 0.5, 1024.0]))
@settings(max_examples=25, deadline=None)
def test_a_constant_added_to_all_rewards_changes_nothing(scale, case, shift):
    rewards, codes = case
    before = group_relative(rewards, codes, scale=scale)
    np.testing.assert_allclose(group_relative(rewards + shift, codes, scale=scale), before, atol=1e-9)


@given(case=ragged_groups(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_order_of_samples_and_names_of_groups_do_not_matter(case, seed):
    rewards, codes = case
    order = np.random.default_rng(seed).permutation(rewards.size)
    np.testing.assert_allclose(
        group_relative(rewards[order], -3 * codes[order]), group_relative(rewards, codes)[order], atol=1e-9
    )


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("scale", SCALES)
@given(case=ragged_groups(), data=st.data())
@settings(max_examples=20, deadline=None)
def test_invalid_samples_get_zero_and_influence_nobody(baseline, scale, case, data):
    rewards, codes = case
    valid = data.draw(hnp.arrays(np.bool_, rewards.size))
    spoiled = np.where(valid, rewards, data.draw(st.sampled_from([np.nan, np.inf, 1e300, 0.0])))
    found = group_relative(spoiled, codes, valid=valid, baseline=baseline, scale=scale)
    alone = group_relative(rewards[valid], codes[valid], baseline=baseline, scale=scale)
    np.testing.assert_array_equal(found[~valid], 0.0)
    np.testing.assert_array_equal(found[valid], alone)


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("scale", SCALES)
@given(case=ragged_groups())
@settings(max_examples=15, deadline=None)
def test_torch_agrees_with_numpy(baseline, scale, case):
    rewards, codes = case
    found = group_relative(torch.from_numpy(rewards), torch.from_numpy(codes), baseline=baseline, scale=scale)
    assert isinstance(found, torch.Tensor)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(
        found.numpy(), group_relative(rewards, codes, baseline=baseline, scale=scale), atol=1e-9
    )


def test_matches_the_reference_trainer_on_full_groups():
    rewards = torch.rand(32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    grouped = rewards.view(4, 8)
    expected = (grouped - grouped.mean(1, keepdim=True)) / (grouped.std(1, keepdim=True) + 1e-4)
    torch.testing.assert_close(group_relative(rewards, 8), expected.reshape(-1))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
@pytest.mark.parametrize("epsilon", [0.0, 1e-12, 1e-4])
def test_equal_rewards_give_exactly_zero_in_every_precision(dtype, size, epsilon):
    found = group_relative(np.full(size, 0.1, dtype=dtype), size, epsilon=epsilon)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, 0.0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_equal_rewards_give_exactly_zero_in_torch(dtype):
    found = group_relative(torch.full((21,), 0.1, dtype=dtype), 7, epsilon=0.0)
    assert found.dtype == dtype
    assert not found.any()


def test_rounding_residue_is_not_blown_up():
    rewards = np.array([0.1 + 0.2, 0.3, 0.3, 0.3], dtype=np.float64)
    assert np.ptp(rewards) > 0
    np.testing.assert_array_equal(group_relative(rewards, 4, epsilon=0.0), 0.0)
    single = np.array([0.7, np.float32(0.7), 0.7], dtype=np.float64)
    np.testing.assert_array_equal(group_relative(single, 3, epsilon=0.0), 0.0)


def test_the_floor_is_relative_so_small_rewards_keep_their_signal():
    rewards = np.array([1.0, 3.0, 2.0])
    expected = group_relative(rewards, 3, epsilon=0.0)
    np.testing.assert_allclose(group_relative(rewards * 1e-200, 3, epsilon=0.0), expected)
    np.testing.assert_allclose(group_relative(rewards * 1e200, 3, epsilon=0.0), expected)


def test_a_single_sample_gets_zero_or_its_raw_reward():
    rewards, codes = np.array([2.5, 1.0, 3.0, np.nan]), np.array([0, 1, 1, 2])
    np.testing.assert_allclose(
        group_relative(rewards, codes, baseline="leave_one_out", scale="none"), [0, -2, 2, 0]
    )
    raw = group_relative(rewards, codes, singleton="raw")
    assert raw[0] == 2.5
    assert raw[3] == 0.0
    one_left = group_relative(rewards, codes, valid=np.array([True, False, True, True]), singleton="raw")
    np.testing.assert_array_equal(one_left, [2.5, 0.0, 3.0, 0.0])


def test_ddof_and_epsilon_are_what_they_say():
    rewards = np.array([0.0, 1.0])
    np.testing.assert_allclose(group_relative(rewards, 2, ddof=0, epsilon=0.0), [-1, 1])
    np.testing.assert_allclose(group_relative(rewards, 2, ddof=1, epsilon=0.0), [-(0.5**0.5), 0.5**0.5])
    np.testing.assert_allclose(group_relative(rewards, 2, ddof=0, epsilon=0.5), [-0.5, 0.5])
    np.testing.assert_array_equal(group_relative(rewards, 2, ddof=2), 0.0)


def test_integer_rewards_and_empty_batches():
    np.testing.assert_allclose(group_relative(np.array([0, 1]), 2, scale="none"), [-0.5, 0.5])
    np.testing.assert_allclose(group_relative(np.array([False, True]), 2, scale="none"), [-0.5, 0.5])
    assert group_relative(np.empty(0), np.empty(0, dtype=np.int64)).shape == (0,)
    assert group_relative(torch.empty(0), torch.empty(0, dtype=torch.int64)).shape == (0,)


def test_zero_variance_groups_are_found():
    rewards = np.array([1.0, 1.0, 0.0, 1.0, 5.0, np.nan, np.nan])
    found = zero_variance_groups(rewards, np.array([0, 0, 1, 1, 2, 2, 3]))
    np.testing.assert_array_equal(found.rows, [True, True, False, False, True, True, True])
    assert found.share == 0.75
    assert zero_variance_groups(np.empty(0), 4).share == 0.0


@pytest.mark.parametrize(
    ("arguments", "options", "error", "word"),
    [
        ((np.zeros((2, 2)), 2), {}, ValueError, "rewards"),
        ((np.zeros(4), np.zeros(3, dtype=int)), {}, ValueError, "groups"),
        ((np.zeros(4), np.zeros(4)), {}, TypeError, "groups"),
        ((np.zeros(4), 3), {}, ValueError, "divides 4"),
        ((np.zeros(4), 0), {}, ValueError, "group size"),
        ((np.zeros(4), 2), {"valid": np.ones(3, bool)}, ValueError, "valid"),
        ((np.zeros(4), 2), {"valid": np.ones(4)}, TypeError, "valid"),
        ((np.array([0.0, np.inf]), 2), {}, ValueError, "infinity"),
        ((np.zeros(4), 2), {"baseline": "median"}, ValueError, "baseline"),
        ((np.zeros(4), 2), {"scale": "iqr"}, ValueError, "scale"),
        ((np.zeros(4), 2), {"singleton": "one"}, ValueError, "singleton"),
        ((np.zeros(4), 2), {"epsilon": -1.0}, ValueError, "epsilon"),
        ((np.zeros(4), 2), {"ddof": -1}, ValueError, "ddof"),
        ((np.zeros(4), 2), {"std_floor": np.nan}, ValueError, "std_floor"),
        (([0.0, 1.0], 2), {}, TypeError, "rewards"),
        ((np.array(["a", "b"]), 2), {}, TypeError, "rewards"),
    ],
)
def test_bad_input_is_named_at_the_door(arguments, options, error, word):
    with pytest.raises(error, match=word):
        group_relative(*arguments, **options)
