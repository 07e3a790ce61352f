"""Advantages with all turn rewards of a group in one pool."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.dense import Dense
from guerdon.core.registry import create
from guerdon.core.signal import Signal, Status
from guerdon.credit.turn_group import positional_group_advantages, turn_group_advantages

turns = st.lists(
    st.lists(st.sampled_from([-2.0, -0.1, 0.0, 0.2, 1.0]), min_size=1, max_size=4), min_size=1, max_size=5
)


def ragged(rows):
    return np.array([x for row in rows for x in row], dtype=np.float64), np.cumsum([0, *map(len, rows)])


@given(turns, st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0, 1]))
def test_the_definition(rows, discount, ddof):
    rewards, offsets = ragged(rows)
    flat = rewards.size <= ddof or np.ptp(rewards) == 0
    z = np.zeros_like(rewards) if flat else (rewards - rewards.mean()) / (rewards.std(ddof=ddof) + 1e-6)
    expected = np.zeros_like(z)
    for start, end in pairwise(offsets):
        carried = 0.0
        for t in range(end - 1, start - 1, -1):
            carried = expected[t] = z[t] + discount * carried
    groups = np.zeros(len(rows), dtype=int)
    found = turn_group_advantages(rewards, offsets, groups, discount=discount, ddof=ddof)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_groups_are_pools_of_their_own():
    rows = [[0.1, 1.0], [0.0, 0.0], [5.0, 7.0], [9.0]]
    rewards, offsets = ragged(rows)
    found = turn_group_advantages(rewards, offsets, np.array([3, 8, 3, 8]))
    for code in ([0, 2], [1, 3]):
        alone = turn_group_advantages(*ragged([rows[i] for i in code]), np.zeros(2, dtype=int))
        np.testing.assert_allclose(np.concatenate([found[offsets[i] : offsets[i + 1]] for i in code]), alone)


def test_a_pool_without_spread_gives_zero():
    assert turn_group_advantages(np.array([0.3]), np.array([0, 1]), np.array([0])).tolist() == [0.0]
    equal = np.full(5, 0.1)
    assert not turn_group_advantages(equal, np.array([0, 2, 5]), np.array([0, 0])).any()


def test_torch_gives_the_same():
    rewards, offsets = ragged([[0.1, 0.2, 1.0], [0.0, 0.0]])
    groups = np.array([0, 0])
    found = turn_group_advantages(*map(torch.tensor, (rewards, offsets, groups)), discount=0.5)
    np.testing.assert_allclose(found.numpy(), turn_group_advantages(rewards, offsets, groups, discount=0.5))
    padded, mask = rewards[:4].reshape(2, 2), np.ones((2, 2), dtype=bool)
    found = positional_group_advantages(*map(torch.tensor, (padded, mask, groups)))
    np.testing.assert_allclose(found.numpy(), positional_group_advantages(padded, mask, groups))


@given(st.integers(0, 1000), st.sampled_from([0.0, 0.9, 1.0]))
def test_positional_form_follows_its_definition(seed, discount):
    generator = np.random.default_rng(seed)
    rewards, mask = generator.normal(size=(5, 7)), generator.random((5, 7)) < 0.7
    groups = np.array([4, 4, 1, 4, 1])
    returns, carried = np.zeros_like(rewards), np.zeros(5)
    for t in reversed(range(7)):
        returns[:, t] = rewards[:, t] + discount * carried
        carried = returns[:, t] * mask[:, t]
    expected = returns.copy()
    for code in (1, 4):
        expected[groups == code] -= returns[groups == code].mean(axis=0)
    found = positional_group_advantages(rewards, mask, groups, discount=discount)
    np.testing.assert_allclose(found, expected * mask, atol=1e-12)


@pytest.mark.parametrize(
    ("rewards", "offsets", "groups", "message"),
    [
        ([1.0, np.nan], [0, 2], [0], "rewards: expected finite numbers"),
        ([1.0, 2.0], [0, 3], [0], "offsets: expected"),
        ([1.0, 2.0], [0, 2], [0, 0], "groups: expected shape"),
    ],
)
def test_what_does_not_fit_is_refused(rewards, offsets, groups, message):
    with pytest.raises(ValueError, match=message):
        turn_group_advantages(np.array(rewards), np.array(offsets), np.array(groups))


# -- the estimator -------------------------------------------------------------------------------------------

GROUPS = np.array([7, 7])
# Row 0: a turn of the policy, tool output, the last turn, padding. Row 1: one turn only.
MASK = np.array([[1, 1, 0, 1, 1, 0], [1, 1, 1, 0, 0, 0]], dtype=bool)
SPANS = np.array([[0, 2]])


def signal(status=(0, 0), outcome=(1.0, 0.0)) -> Signal:
    dense = Dense.from_rows([[0.2], []], "turn")
    return Signal(np.array(outcome), np.array(status), dense=dense)


def test_tokens_get_the_advantage_of_their_turn():
    found = create("turn_group", "credit", {"dtype": "float64", "discount": 0.5})(
        signal(), GROUPS, MASK, SPANS
    )
    a = turn_group_advantages(np.array([0.2, 1.0, 0.0]), np.array([0, 2, 3]), GROUPS, discount=0.5)
    np.testing.assert_allclose(found, [[a[0], a[0], 0, a[1], a[1], 0], [a[2], a[2], a[2], 0, 0, 0]])


def test_positions_are_the_released_form():
    found = create("turn_group", "credit", {"pool": "positions", "dtype": "float64"})(
        signal(), GROUPS, MASK, SPANS
    )
    rewards = np.array([[0, 0.2, 0, 0, 1.0, 0], [0, 0, 0, 0, 0, 0]])
    np.testing.assert_allclose(found, positional_group_advantages(rewards, MASK, GROUPS))
    np.testing.assert_allclose(found[0, :2], 0.1)


def test_turns_are_taken_in_the_order_of_their_ends():
    mask, group = np.ones((1, 6), dtype=bool), np.array([0])
    spans = np.array([[2, 4], [0, 2]])
    swapped = Signal(np.array([1.0]), dense=Dense.from_rows([[0.5, 0.1]], "turn"))
    sorted_ = Signal(np.array([1.0]), dense=Dense.from_rows([[0.1, 0.5]], "turn"))
    estimator = create("turn_group", "credit")
    np.testing.assert_array_equal(
        estimator(swapped, group, mask, spans), estimator(sorted_, group, mask, spans[::-1])
    )


@pytest.mark.parametrize("pool", ["turns", "positions"])
@pytest.mark.parametrize("status", [Status.ABSTAINED, Status.FAILED])
def test_a_sample_without_a_reward_gets_zero_and_stays_out_of_the_pool(pool, status):
    estimator = create("turn_group", "credit", {"pool": pool, "dtype": "float64"})
    mixed = estimator(signal((0, status), (1.0, np.nan)), GROUPS, MASK, SPANS)
    alone = Signal(np.array([1.0]), dense=Dense.from_rows([[0.2]], "turn"))
    assert not mixed[1].any()
    np.testing.assert_array_equal(mixed[0], estimator(alone, GROUPS[:1], MASK[:1], SPANS)[0])


def test_nothing_scored_gives_zero():
    estimator = create("turn_group", "credit")
    failed = Signal.failed(2, "no")
    assert not estimator(failed, GROUPS, MASK).any()


def test_what_it_needs_is_said():
    estimator = create("turn_group", "credit")
    with pytest.raises(ValueError, match="no dense channel"):
        estimator(Signal(np.array([1.0, 0.0])), GROUPS, MASK, SPANS)
    with pytest.raises(ValueError, match=r"spans: needed for dense values a turn"):
        estimator(signal(), GROUPS, MASK)
    with pytest.raises(ValueError, match="pool: expected one of turns, positions"):
        create("turn_group", "credit", {"pool": "tokens"})
