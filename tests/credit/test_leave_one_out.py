"""Leave-one-out below the level of a sample, and the scales of a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.dense import Dense
from guerdon.core.registry import create
from guerdon.core.signal import Signal, Status
from guerdon.credit.batch_scale import unit_returns, whiten
from guerdon.credit.estimators import spans_to
from guerdon.credit.group_relative import group_relative
from guerdon.credit.leave_one_out import (
    DenseLeaveOneOut,
    last_token,
    leave_one_out_average,
    leave_one_out_steps,
    leave_one_out_tokens,
)
from guerdon.credit.returns import discounted_returns
from guerdon.credit.spread import spread_steps

seeds = st.integers(0, 2**32 - 1)
GROUPS = np.array([3, 8, 3, 3, 8, 1])


def tokens(seed):
    rng = np.random.default_rng(seed)
    mask, rewards = rng.random((6, 5)) < 0.7, rng.normal(size=(6, 5))
    return np.where(mask, rewards, np.nan), mask


@given(seeds)
def test_token_rewards_by_the_equation(seed):
    rewards, mask = tokens(seed)
    expected = np.zeros(mask.shape)
    for code in (3, 8, 1):
        rows = [i for i in np.flatnonzero(code == GROUPS) if mask[i].any()]
        k = len(rows)
        if k > 1:
            means = sum(rewards[i, mask[i]].mean() for i in rows)
            for i in rows:
                expected[i, mask[i]] = rewards[i, mask[i]] * k / (k - 1) - means / (k - 1)
    found = leave_one_out_tokens(rewards, mask, GROUPS)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    same = leave_one_out_tokens(*map(torch.tensor, (rewards, mask, GROUPS)))
    np.testing.assert_allclose(same.numpy(), expected, atol=1e-12)


@given(seeds)
def test_an_outcome_at_one_token_is_compared_with_the_mean_of_the_others(seed):
    outcome, mask = np.random.default_rng(seed).normal(size=6), np.ones((6, 4), bool)
    last = last_token(mask)
    found = leave_one_out_tokens(last * outcome[:, None], last, GROUPS)
    expected = group_relative(outcome, GROUPS, baseline="leave_one_out", scale="none")
    np.testing.assert_allclose(found[:, -1], expected, atol=1e-12)
    assert not found[:, :-1].any()


def test_a_long_row_is_not_favoured_for_being_long():
    rewards, mask = np.full((2, 6), 0.5), np.array([[1] * 6, [1] * 2 + [0] * 4])
    np.testing.assert_array_equal(leave_one_out_tokens(rewards, mask, 2), 0.0)


def test_the_last_token_is_the_last_of_the_mask():
    mask = np.array([[1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
    expected = [[0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert last_token(mask).tolist() == np.array(expected, bool).tolist()
    assert last_token(torch.tensor(mask)).tolist() == np.array(expected, bool).tolist()
    assert last_token(np.zeros((2, 0), int)).shape == (2, 0)
    with pytest.raises(ValueError, match="mask: expected an array"):
        last_token(np.ones(3, bool))
    with pytest.raises(TypeError, match="booleans or integers"):
        last_token(np.ones((1, 3)))


def test_an_average_of_others_is_nan_where_there_are_none():
    found = leave_one_out_average(np.array([3.0, 1.0, 5.0]), np.array([2, 4, 0]), np.array([0, 0, 1]))
    np.testing.assert_array_equal(found, [0.25, 1.5, np.nan])


def test_a_sample_that_counts_nothing_says_nothing_about_the_others():
    found = leave_one_out_average(np.array([3.0, 1.0, 5.0]), np.array([2, 4, 0]), 3)
    np.testing.assert_allclose(found, [0.25, 1.5, 4 / 6])


@given(seeds)
def test_whitened_tokens_have_mean_zero_and_variance_one(seed):
    rewards, mask = tokens(seed)
    found = whiten(rewards, mask, epsilon=0.0)
    np.testing.assert_array_equal(found[~mask], 0.0)
    if mask.sum() > 1:
        assert abs(found[mask].mean()) < 1e-9
        assert abs(found[mask].std(ddof=1) - 1) < 1e-9
    np.testing.assert_allclose(whiten(torch.tensor(rewards), torch.tensor(mask), epsilon=0.0), found)


def test_whitening_is_differentiable_and_leaves_its_argument_alone():
    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 1, 1]])
    values = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: whiten(x, mask), (values,))
    assert torch.autograd.gradcheck(whiten, (values,))
    rewards = np.arange(8.0).reshape(2, 4)
    for function in (whiten, unit_returns, lambda x, m: leave_one_out_tokens(x, m, 2)):
        function(rewards, mask.numpy())
        np.testing.assert_array_equal(rewards, np.arange(8.0).reshape(2, 4))
    whiten(rewards)
    np.testing.assert_array_equal(rewards, np.arange(8.0).reshape(2, 4))


@pytest.mark.parametrize("scale", [1e-200, 1e-20, 1e20, 1e200])
def test_whitening_does_not_depend_on_the_scale(scale):
    values = np.random.default_rng(0).normal(size=(3, 5))
    np.testing.assert_allclose(whiten(values * scale, epsilon=0.0), whiten(values, epsilon=0.0), rtol=1e-9)


def test_unit_returns_of_ragged_rows_are_those_of_padded_ones():
    rewards, mask = tokens(1)
    offsets = np.concatenate(([0], np.cumsum(mask.sum(axis=1))))
    np.testing.assert_allclose(
        unit_returns(rewards[mask], offsets=offsets), unit_returns(rewards, mask)[mask]
    )


def test_whitening_nothing_or_equal_values_gives_zero():
    for mask in (np.zeros((2, 2), int), np.array([[1, 0], [0, 0]]), np.ones((2, 2), int)):
        found = whiten(np.full((2, 2), 0.1, np.float32), mask, epsilon=0.0)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, 0.0)


@given(seeds, st.floats(1e-3, 1e3))
def test_no_return_leaves_the_unit_interval_and_the_scale_of_rewards_does_not_matter(seed, scale):
    rewards, mask = tokens(seed)
    rewards *= scale
    found = unit_returns(rewards, mask, epsilon=1e-12)
    returns = np.abs(discounted_returns(found, 1.0, mask))
    assert returns.max() <= 1.0
    assert not mask.any() or returns.max() > 1 - 1e-6
    np.testing.assert_allclose(found, unit_returns(rewards * 7, mask, epsilon=1e-12), atol=1e-6)


def test_an_empty_batch_has_unit_returns():
    assert unit_returns(np.zeros((0, 3))).shape == (0, 3)
    assert unit_returns(torch.zeros((2, 0))).shape == (2, 0)


def batch(status=(0, 0, 0, 0)):
    ok = np.array(status) == 0
    rows = [[0.1, 0.2, 0.3], [-0.1, 0.0], [0.4, 0.1, 0.0], [0.2]]
    dense = Dense.from_rows([row if kept else [] for row, kept in zip(rows, ok, strict=True)], "token")
    outcome = np.where(ok, [1.0, 0.0, 0.0, 1.0], np.nan)
    mask = np.arange(3) < np.array([[3], [2], [3], [1]])
    return Signal(outcome, np.array(status), dense=dense), np.array([5, 5, 9, 9]), mask


def test_the_estimator_sums_returns_of_both_sources_with_their_own_discounts():
    signal, groups, mask = batch()
    process = np.zeros((4, 3))
    process[mask] = signal.dense.values
    process /= 0.6 + 1e-6
    last = last_token(mask)
    relative = leave_one_out_tokens(process, mask, groups)
    final = leave_one_out_tokens(signal.outcome[:, None] * last, last, groups)
    returns = 2 * discounted_returns(relative, 0.5, mask) + 3 * discounted_returns(final, 0.9, mask)
    options = {"discount": 0.5, "outcome_discount": 0.9, "process_weight": 2.0, "outcome_weight": 3.0}
    raw = DenseLeaveOneOut(**options, whitened=False, dtype="float64")(signal, groups, mask)
    np.testing.assert_allclose(raw, returns)
    whitened = DenseLeaveOneOut(**options, dtype="float64")(signal, groups, mask)
    np.testing.assert_allclose(whitened, whiten(returns, mask))


@given(seeds)
def test_the_estimator_is_the_composition_of_its_parts(seed):
    rng = np.random.default_rng(seed)
    n, width = 6, 9
    mask = rng.random((n, width)) < rng.choice([0.2, 0.8])
    ends = [np.sort(rng.integers(0, width + 1, rng.integers(0, 4))) for _ in range(n)]
    dense = Dense.from_rows([rng.normal(size=row.size) for row in ends], "step")
    spans = spans_to(np.concatenate(ends), dense.row_index)
    signal = Signal(rng.normal(size=n), dense=dense)
    process = unit_returns(spread_steps(dense.values, spans, mask, dense.offsets, share="last"), mask)
    last = last_token(mask)
    rewards = leave_one_out_tokens(process, mask, GROUPS)
    rewards += leave_one_out_tokens(last * signal.outcome[:, None], last, GROUPS)
    expected = whiten(discounted_returns(rewards, 1.0, mask), mask)
    found = DenseLeaveOneOut(dtype="float64")(signal, GROUPS, mask, spans)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("mask", "spans", "message"),
    [
        (np.ones((4, 3), bool), np.array([[0, 4]]), "spans: expected"),
        (np.ones((1, 3), bool), np.array([[0, 3]]), "mask: expected shape"),
        (np.ones(4, bool), np.array([[0, 1]]), "mask: expected shape"),
    ],
)
def test_the_estimator_checks_mask_and_spans(mask, spans, message):
    signal = Signal(np.zeros(4), dense=Dense.from_rows([[1.0], [], [], []], "step"))
    with pytest.raises(ValueError, match=message):
        DenseLeaveOneOut()(signal, np.zeros(4, int), mask, spans)


def test_step_rewards_stand_at_the_ends_of_their_spans_whatever_their_order():
    mask, groups = np.ones((2, 4), bool), np.zeros(2, int)
    signal = Signal(np.zeros(2), dense=Dense.from_rows([[1.0, 2.0], []], "step"))
    turned = Signal(np.zeros(2), dense=Dense.from_rows([[2.0, 1.0], []], "step"))
    estimator = DenseLeaveOneOut(bounded=False, whitened=False, dtype="float64")
    found = estimator(signal, groups, mask, np.array([[0, 2], [2, 3]]))
    # Row means are 3/4 and 0: each token of row 0 loses 3/4, of row 1 too.
    np.testing.assert_allclose(found, [[3.0, 3.75, 2.5, -0.75], [-3.0, -2.25, -1.5, -0.75]])
    np.testing.assert_allclose(estimator(turned, groups, mask, np.array([[2, 3], [0, 2]])), found)


@pytest.mark.parametrize("status", [Status.ABSTAINED, Status.FAILED])
def test_a_sample_without_a_reward_gets_zero_and_enters_nothing(status):
    signal, groups, mask = batch((0, 0, int(status), 0))
    estimator = create("rloo_dense", "credit", {"dtype": "float64"})
    kept = [0, 1, 3]
    found = estimator(signal, groups, mask)
    np.testing.assert_array_equal(found[2], 0.0)
    np.testing.assert_allclose(found[kept], estimator(signal.take(kept), groups[kept], mask[kept]))
    assert not estimator(Signal.failed(4, "down"), groups, mask).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: leave_one_out_tokens(np.zeros(3), np.ones(3, int), 3), "rewards: expected rank 2"),
        (
            lambda: leave_one_out_tokens(np.array([[np.inf]]), np.ones((1, 1), int), 1),
            "rewards: expected fin",
        ),
        (lambda: leave_one_out_average(np.zeros(2), np.array([1, -1]), 2), "counts: expected numbers of at"),
        (lambda: leave_one_out_average(np.zeros(2), np.ones(3), 2), "counts: expected shape"),
        (lambda: leave_one_out_steps(np.zeros(2), np.array([0, 1, 2]), 2), "tokens: needed"),
        (lambda: leave_one_out_steps(np.zeros(2), np.array([0, 1, 2]), 2, baseline="x"), "baseline: "),
        (lambda: whiten(np.zeros((1, 2)), np.ones((1, 3), int)), "mask: expected shape"),
        (lambda: whiten(np.zeros((1, 2)), np.ones((1, 2), int), epsilon=-1.0), "epsilon: expected"),
        (lambda: unit_returns(np.array([[np.nan]])), "rewards: expected finite"),
        (lambda: unit_returns(np.zeros((1, 1)), epsilon=0.0), "epsilon: expected"),
        (lambda: DenseLeaveOneOut(discount=1.5), "discount: expected"),
        (lambda: DenseLeaveOneOut(outcome_weight=np.nan), "outcome_weight: expected"),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()
