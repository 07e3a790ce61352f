"""Episode and step advantages, each relative to its group."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.dense import Dense
from guerdon.core.registry import create
from guerdon.core.signal import Signal, Status
from guerdon.credit.episode_step import RELATIVES, EpisodeStep, pool_relative
from guerdon.credit.estimators import StepGroupRelative

VALUES = st.lists(st.sampled_from([-1.0, 0.0, 0.1, 0.25, 2.0]), min_size=1, max_size=8)


@given(VALUES, st.integers(0, 2**32 - 1), st.sampled_from(RELATIVES), st.sampled_from([0, 1]))
def test_every_value_is_relative_to_the_pool_of_its_group(values, seed, relative, ddof):
    rng = np.random.default_rng(seed)
    x = np.array(values)
    groups, pool = rng.integers(0, 3, x.size), rng.random(x.size) < 0.7
    expected = np.zeros_like(x)
    for code in np.unique(groups):
        rows, members = groups == code, x[(groups == code) & pool]
        if members.size < 2 or (relative == "mean_std" and np.ptp(members) == 0):
            continue
        expected[rows] = x[rows] - members.mean()
        if relative == "mean_std":
            expected[rows] /= members.std(ddof=ddof) + 1e-6
        elif relative == "leave_one_out":
            expected[rows] *= members.size / (members.size - 1)
    found = pool_relative(x, groups, pool, relative=relative, ddof=ddof)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    same = pool_relative(*map(torch.tensor, (x, groups, pool)), relative=relative, ddof=ddof)
    np.testing.assert_allclose(same.numpy(), expected, atol=1e-9)


@given(VALUES)
def test_with_all_in_the_pool_leave_one_out_is_the_value_less_the_mean_of_the_others(values):
    x = np.array(values)
    k = x.size
    expected = [x[i] - np.delete(x, i).mean() if k > 1 else 0.0 for i in range(k)]
    np.testing.assert_allclose(pool_relative(x, k, relative="leave_one_out"), expected, atol=1e-12)


def test_a_pool_of_one_gives_zero_or_the_values_as_they_are():
    x, pool = np.array([3.0, 5.0]), np.array([True, False])
    assert pool_relative(x, 2, pool).tolist() == [0.0, 0.0]
    for relative in RELATIVES:
        assert pool_relative(x, 2, pool, relative=relative, singleton="raw").tolist() == [3.0, 5.0]
    assert pool_relative(x, 2, np.zeros(2, bool), singleton="raw").tolist() == [0.0, 0.0]


def batch(status=(0, 0, 0)):
    ok = np.array(status) == 0
    rows = [[0.5, -0.5], [1.0], [0.0, 0.25]]
    spans = [[(0, 2), (2, 3)], [(1, 3)], [(0, 1), (1, 2)]]
    dense = Dense.from_rows([row if kept else [] for row, kept in zip(rows, ok, strict=True)], "turn")
    given = [pair for row, kept in zip(spans, ok, strict=True) if kept for pair in row]
    signal = Signal(np.where(ok, [1.0, 0.0, 0.5], np.nan), np.array(status), dense=dense)
    return signal, np.array([2, 2, 2]), np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]]), np.array(given)


def test_the_paper_form_is_an_undelayed_sum_of_two_z_scores():
    signal, groups, mask, spans = batch()
    found = EpisodeStep(step_weight=0.5, dtype="float64")(signal, groups, mask, spans)
    r = np.array([0.5, -0.5, 1.0, 0.0, 0.25])
    z = 0.5 * (r - r.mean()) / (r.std(ddof=1) + 1e-6)
    e = np.array([0.5, -0.5, 0.0]) / (0.5 + 1e-6)
    expected = [[e[0] + z[0]] * 2 + [e[0] + z[1]], [e[1] + z[2], 0, e[1] + z[2]], [z[3], z[4], 0.0]]
    np.testing.assert_allclose(found, expected)
    same = StepGroupRelative(discount=0.0, step_weight=0.5, epsilon=1e-6, dtype="float64")
    np.testing.assert_allclose(same(signal, groups, mask, spans), expected)


def test_first_steps_alone_make_the_statistics_of_the_released_code():
    signal, groups, mask, spans = batch()
    estimator = create(
        "episode_step", "credit", {"members": "first", "relative": "leave_one_out", "dtype": "float64"}
    )
    found = estimator(signal, groups, mask, spans)
    outcome = pool_relative(signal.outcome, groups, relative="leave_one_out")
    mean = np.mean([0.5, 1.0, 0.0])
    assert found[0, 2] == pytest.approx(outcome[0] + (-0.5 - mean) * 1.5)
    assert found[2, 1] == pytest.approx(outcome[2] + (0.25 - mean) * 1.5)


@pytest.mark.parametrize("members", ["all", "first"])
def test_steps_are_taken_in_the_order_of_their_ends(members):
    signal, groups, mask, spans = batch()
    swapped = Dense.from_rows([[-0.5, 0.5], [1.0], [0.0, 0.25]], "turn")
    estimator = EpisodeStep(members=members)
    turned = estimator(signal.replace(dense=swapped), groups, mask, spans[[1, 0, 2, 3, 4]])
    np.testing.assert_allclose(turned, estimator(signal, groups, mask, spans))


@pytest.mark.parametrize("members", ["all", "first"])
def test_a_sample_without_a_reward_gets_zero_and_enters_nothing(members):
    signal, groups, mask, spans = batch((0, int(Status.TIMED_OUT), 0))
    estimator, kept = EpisodeStep(members=members), [0, 2]
    found = estimator(signal, groups, mask, spans)
    np.testing.assert_array_equal(found[1], 0.0)
    np.testing.assert_allclose(
        found[kept], estimator(signal.take(kept), groups[kept], mask[kept], spans), rtol=1e-6
    )
    assert not estimator(Signal.failed(3, "down"), groups, mask).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pool_relative(np.array([1.0, np.nan]), 2), "values: expected finite"),
        (lambda: pool_relative(np.ones(2), 2, relative="std"), "relative: expected one of"),
        (lambda: pool_relative(np.ones(2), 2, np.ones(3, bool)), "valid: expected shape"),
        (lambda: EpisodeStep(members="last"), "members: expected one of"),
        (lambda: EpisodeStep(step_weight=np.inf), "step_weight: expected"),
        (lambda: EpisodeStep()(Signal(np.zeros(1)), np.zeros(1, int), np.ones((1, 1), int)), "no dense chan"),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()
