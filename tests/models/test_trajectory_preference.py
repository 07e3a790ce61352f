"""Trajectories scored turn by turn, and the loss of their pairs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guerdon.models.trajectory_preference import group_pair_loss, trajectory_scores

OFFSETS = np.array([0, 2, 3, 3, 6])
REWARDS = np.array([1.0, 2.0, -1.0, 0.5, np.inf, 1.5])
ACTIVE = np.array([1, 1, 1, 1, 0, 1])


@pytest.mark.parametrize(("reduce", "last"), [("sum", 2.0), ("mean", 1.0)])
def test_scores_skip_turns_that_are_not_active(reduce, last):
    first = 3.0 if reduce == "sum" else 1.5
    for convert in (np.asarray, torch.tensor):
        found = trajectory_scores(convert(REWARDS), OFFSETS, convert(ACTIVE), reduce=reduce)
        np.testing.assert_array_equal(np.asarray(found), [first, -1.0, np.nan, last])


@given(
    st.lists(
        st.tuples(st.sampled_from([-900.0, 0.0, 0.3, np.nan]), st.booleans(), st.integers(0, 1)), max_size=7
    )
)
def test_every_pair_of_a_success_and_a_failure_counts_once(rows):
    pairs = [
        (a[0], b[0])
        for a, b in itertools.permutations(rows, 2)
        if a[1] and not b[1] and a[2] == b[2] and not math.isnan(a[0] + b[0])
    ]
    expected = np.mean([np.logaddexp(0, b - a) for a, b in pairs]) if pairs else 0.0
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    scores, success, groups = (np.array(c, dtype=t) for c, t in zip(columns, (float, bool, int), strict=True))
    assert float(group_pair_loss(scores, success, groups)) == pytest.approx(expected)
    assert float(group_pair_loss(*map(torch.tensor, (scores, success, groups)))) == pytest.approx(expected)


def test_the_loss_raises_the_rewards_of_the_success_turn_by_turn():
    rewards = torch.tensor([0.1, 0.2, 0.3], requires_grad=True)
    scores = trajectory_scores(rewards, [0, 2, 3, 3])
    loss = group_pair_loss(scores, torch.tensor([True, False, False]), torch.tensor([0, 0, 0]))
    loss.backward()
    assert rewards.grad.tolist() == pytest.approx([-0.5, -0.5, 0.5])


def test_no_pair_is_no_loss_and_still_has_a_gradient():
    scores = torch.tensor([0.1, 0.2], requires_grad=True)
    loss = group_pair_loss(scores, torch.tensor([True, True]), torch.tensor([0, 0]))
    loss.backward()
    assert loss.item() == 0.0
    assert scores.grad.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: trajectory_scores(np.zeros(2), [0, 3]), "offsets: expected"),
        (lambda: trajectory_scores(np.zeros(2), [0, 2], np.ones(3)), "active: expected shape"),
        (lambda: trajectory_scores(np.zeros((1, 2)), [0, 2]), "turn_rewards: expected shape"),
        (lambda: trajectory_scores(np.zeros(2), [0, 2], reduce="max"), "reduce: expected one of"),
        (lambda: group_pair_loss(np.zeros(2), np.ones(3), np.ones(2)), "success: expected shape"),
        (lambda: group_pair_loss(np.zeros(2), np.ones(2), np.ones(1)), "groups: expected shape"),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()
