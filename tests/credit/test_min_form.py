"""Min-form credit: the worst step to come, strict and as a weighted sum."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.dense import Dense
from guerdon.core.registry import create
from guerdon.core.signal import Signal, Status
from guerdon.credit.leave_one_out import leave_one_out_steps
from guerdon.credit.min_form import (
    MinForm,
    dense_return_advantages,
    good_minus_bad,
    min_form_returns,
    softmin_rewards,
)
from guerdon.credit.returns import discounted_returns

numbers = st.floats(-1.0, 1.0, width=32)
ragged_rows = st.lists(st.lists(numbers, max_size=9), max_size=6)


def flat(rows):
    return np.array([x for row in rows for x in row], dtype=np.float64), np.cumsum([0, *map(len, rows)])


@given(ragged_rows)
def test_a_return_is_the_smallest_reward_from_here_on(rows):
    expected = [min(row[t:]) for row in rows for t in range(len(row))]
    values, offsets = flat(rows)
    np.testing.assert_array_equal(min_form_returns(values, offsets=offsets), expected)
    found = min_form_returns(torch.tensor(values), offsets=torch.tensor(offsets))
    np.testing.assert_array_equal(found.numpy(), expected)


@given(st.integers(0, 2**32 - 1))
def test_padded_rows_skip_what_is_outside_the_mask(seed):
    rng = np.random.default_rng(seed)
    mask, values = rng.random((4, 7)) < 0.6, rng.normal(size=(4, 7))
    values[~mask] = np.nan
    rows = [list(values[i, mask[i]]) for i in range(4)]
    for function in (min_form_returns, softmin_rewards):
        found = function(values, mask=mask)
        np.testing.assert_array_equal(found[~mask], 0.0)
        ragged, offsets = flat(rows)
        np.testing.assert_allclose(found[mask], function(ragged, offsets=offsets))


@given(st.lists(numbers, min_size=1, max_size=9), st.sampled_from([0.01, 0.1, 1.0, 50.0]))
def test_weights_are_a_softmax_of_the_negated_rewards(row, temperature):
    r = np.array([row])
    weights = np.exp(-(r - r.min()) / temperature)
    expected = weights / weights.sum() * r
    found = softmin_rewards(r, temperature)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(softmin_rewards(torch.tensor(r), temperature).numpy(), expected, atol=1e-12)
    assert r.min() - 1e-9 <= found.sum() <= r.mean() + 1e-9


def test_a_cold_softmin_summed_is_the_minimum_up_to_the_worst_step_and_nothing_after():
    returns = discounted_returns(softmin_rewards(np.array([[0.9, 0.8, -0.6, 0.7]]), 0.02), 1.0)
    np.testing.assert_allclose(returns, [[-0.6, -0.6, -0.6, 0.0]], atol=1e-9)


def test_huge_rewards_and_small_temperatures_stay_finite():
    found = softmin_rewards(np.array([[1e300, -1e300, 0.0]]), 1e-3)
    np.testing.assert_array_equal(found, [[0.0, -1e300, 0.0]])


def test_gradients_flow_to_the_worst_step():
    r = torch.tensor([[0.5, -0.5, 0.2]], requires_grad=True)
    min_form_returns(r)[0, 0].backward()
    assert r.grad.tolist() == [[0.0, 1.0, 0.0]]
    r = torch.tensor([[0.5, -0.5, 0.2]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: softmin_rewards(x, 0.3), (r,))


@pytest.mark.parametrize("function", [min_form_returns, softmin_rewards])
def test_half_precision_comes_back_as_given(function):
    found = function(torch.tensor([[0.5, -0.5]], dtype=torch.bfloat16))
    assert found.dtype == torch.bfloat16


def test_step_rewards_of_logits_are_probabilities_of_good_less_bad():
    logits = np.array([[[0.0, 2.0], [3.0, 3.0]], [[1000.0, -1000.0], [-1e4, 1e4]]])
    found = good_minus_bad(logits)
    bounded = np.clip(logits, -20, 20)
    p = np.exp(bounded) / np.exp(bounded).sum(-1, keepdims=True)
    np.testing.assert_allclose(found, p[..., 1] - p[..., 0], atol=1e-12)
    np.testing.assert_allclose(good_minus_bad(torch.tensor(logits)).numpy(), found)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: good_minus_bad(np.zeros((2, 3))), r"logits: expected shape \(…, 2\)"),
        (lambda: min_form_returns(np.array([[np.nan]])), "rewards: expected finite"),
        (lambda: min_form_returns(np.zeros(3), offsets=np.array([0, 2])), "offsets: expected"),
        (lambda: softmin_rewards(np.zeros((1, 2)), 0.0), "temperature: expected"),
        (lambda: dense_return_advantages(np.zeros((2, 2)), np.ones((2, 2), int), 2, form="max"), "form: "),
        (lambda: dense_return_advantages(np.zeros((2, 2)), np.ones((2, 3), int), 2), "mask: expected shape"),
        (lambda: MinForm(baseline="mean"), "baseline: expected one of"),
        (lambda: MinForm(temperature=-1.0), "temperature: expected"),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("form", ["sum", "min"])
def test_dense_returns_lose_the_mean_return_of_the_others(form):
    rng = np.random.default_rng(3)
    rewards, mask = rng.normal(size=(5, 6)), rng.random((5, 6)) < 0.7
    groups = np.array([2, 7, 2, 2, 5])
    masked = np.where(mask, rewards, 0.0)
    returns = np.zeros_like(masked)
    for t in range(6):
        returns[:, t] = masked[:, t:].sum(1) if form == "sum" else masked[:, t:].min(1)
    expected = np.zeros_like(masked)
    for i in (0, 2, 3):
        others = [j for j in (0, 2, 3) if j != i]
        expected[i] = mask[i] * (returns[i] - returns[others].sum() / (2 * 6))
    found = dense_return_advantages(rewards, mask, groups, form=form, whitened=False)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    tensors = map(torch.tensor, (rewards, mask, groups))
    same = dense_return_advantages(*tensors, form=form, whitened=False)
    np.testing.assert_allclose(same.numpy(), expected, atol=1e-12)
    assert abs(dense_return_advantages(rewards, mask, groups, form=form)[mask].mean()) < 1e-12


def test_an_empty_batch_has_empty_advantages():
    assert dense_return_advantages(np.zeros((0, 0)), np.zeros((0, 0), bool), np.zeros(0, int)).shape == (0, 0)


def batch():
    """Two groups of two; the third sample abstains."""
    dense = Dense.from_rows([[0.5, -0.5], [0.25], [], [0.1, 0.2]], "step")
    status = np.array([Status.OK, Status.OK, Status.ABSTAINED, Status.OK])
    signal = Signal(np.array([1.0, 0.0, np.nan, 1.0]), status, dense=dense)
    spans = np.array([[0, 2], [2, 4], [0, 3], [0, 1], [1, 3]])
    mask = np.array([[1, 1, 1, 1, 1], [1, 0, 1, 1, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 0]], dtype=bool)
    return signal, np.array([4, 4, 6, 6]), mask, spans


def test_the_estimator_adds_steps_to_come_and_the_outcome():
    signal, groups, mask, spans = batch()
    found = MinForm(dtype="float64")(signal, groups, mask, spans)
    w = np.exp([-5.0, 5.0]) / np.exp([-5.0, 5.0]).sum()
    first, second = w * [0.5, -0.5]
    # Sample 0 has 5 tokens of which 2 lie in each step; sample 1 has 3, of which 2 lie in its step.
    relative = [first - 2 * 0.25 / 3, second - 2 * 0.25 / 3, 0.25 - 2 * (first + second) / 5]
    tokens = [1 + sum(relative[:2])] * 2 + [1 + relative[1]] * 2 + [1.0]
    np.testing.assert_allclose(found[0], tokens)
    np.testing.assert_allclose(found[1], np.array([relative[2] - 1, 0, relative[2] - 1, -1, 0]))
    np.testing.assert_array_equal(found[2:], 0.0)


def test_steps_are_taken_in_the_order_of_their_ends():
    signal, groups, mask, spans = batch()
    swapped = Dense.from_rows([[-0.5, 0.5], [0.25], [], [0.1, 0.2]], "step")
    turned = MinForm()(signal.replace(dense=swapped), groups, mask, spans[[1, 0, 2, 3, 4]])
    np.testing.assert_allclose(turned, MinForm()(signal, groups, mask, spans))


def test_nothing_is_compared_with_a_sample_that_has_no_reward():
    signal, groups, mask, spans = batch()
    groups = np.array([1, 1, 1, 2])
    with_it = MinForm(dtype="float64")(signal, groups, mask, spans)
    kept = [0, 1, 3]
    without = MinForm(dtype="float64")(signal.take(kept), groups[kept], mask[kept], spans)
    np.testing.assert_allclose(with_it[kept], without)


def test_a_registered_estimator_takes_its_options_and_gives_zero_without_rewards():
    signal, groups, mask, spans = batch()
    estimator = create("min_form", "credit", {"baseline": "none", "outcome_weight": 0.0, "dtype": "float64"})
    found = estimator(signal, groups, mask, spans)
    np.testing.assert_allclose(found[1], [0.25, 0, 0.25, 0, 0])
    assert not estimator(Signal.failed(4, "down"), groups, mask).any()
    with pytest.raises(ValueError, match="no dense channel"):
        estimator(Signal(np.zeros(4)), groups, mask)
    with pytest.raises(ValueError, match="<= 5, the width of the mask"):
        estimator(signal, groups, mask, spans + 3)


@pytest.mark.parametrize("baseline", ["token", "step"])
def test_step_baselines_are_averages_of_the_others(baseline):
    rows, tokens = [[1.0, -1.0], [0.5], [], [2.0, 3.0, 4.0]], [[2, 3], [4], [], [1, 1, 6]]
    values, offsets = flat(rows)
    found = leave_one_out_steps(values, offsets, 4, baseline=baseline, tokens=flat(tokens)[0])
    expected = []
    for i, row in enumerate(rows):
        others = [j for j in range(4) if j != i and rows[j]]
        if baseline == "token":
            average = sum(sum(rows[j]) for j in others) / sum(sum(tokens[j]) for j in others)
            expected += [r - average * t for r, t in zip(row, tokens[i], strict=True)]
        else:
            average = np.mean([np.mean(rows[j]) for j in others])
            expected += [r - average for r in row]
    np.testing.assert_allclose(found, expected)
    tensors = map(torch.tensor, (values, offsets))
    same = leave_one_out_steps(*tensors, 4, baseline=baseline, tokens=torch.tensor(flat(tokens)[0]))
    np.testing.assert_allclose(same.numpy(), expected)


def test_how_a_row_is_cut_does_not_matter_for_its_sum_over_the_token_baseline():
    whole = leave_one_out_steps(np.array([0.6, 0.1]), np.array([0, 1, 2]), 2, tokens=np.array([8, 5]))
    cut = leave_one_out_steps(np.array([0.2, 0.4, 0.1]), np.array([0, 2, 3]), 2, tokens=np.array([3, 5, 5]))
    np.testing.assert_allclose(cut[:2].sum(), whole[0])


def test_the_sum_form_without_a_baseline_is_what_is_still_to_come():
    signal = Signal(np.zeros(2), dense=Dense.from_rows([[1.0, -2.0, 4.0], [3.0]], "token"))
    found = MinForm(form="sum", baseline="none")(signal, np.zeros(2, int), np.array([[1, 1, 1], [1, 0, 0]]))
    assert found.tolist() == [[3.0, 2.0, 4.0], [3.0, 0.0, 0.0]]
    with pytest.raises(ValueError, match="form: expected one of"):
        MinForm(form="max")
