"""Rewards of tokens and steps from the log-ratio of two models."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guerdon.models.log_ratio import step_rewards, token_log_ratios

ROWS = st.lists(st.lists(st.floats(-30, 30), min_size=1, max_size=6), min_size=1, max_size=4)


@st.composite
def cut_rows(draw):
    """Rows of token rewards, and where the steps of each end."""
    rows = draw(ROWS)
    ends = [sorted(draw(st.lists(st.integers(0, len(row)), max_size=4))) for row in rows]
    return rows, ends


def _offsets(rows):
    return np.cumsum([0, *map(len, rows)])


def _flat(rows, dtype=float):
    return np.array([value for row in rows for value in row], dtype=dtype)


@given(cut_rows())
def test_a_step_has_what_its_tokens_have(case):
    rows, ends = case
    expected = [
        sum(row[start:end])
        for row, cuts in zip(rows, ends, strict=True)
        for start, end in zip([0, *cuts], cuts, strict=False)
    ]
    accumulated = [sum(row[:end]) for row, cuts in zip(rows, ends, strict=True) for end in cuts]
    flat, tokens, cuts, steps = _flat(rows), _offsets(rows), _flat(ends, int), _offsets(ends)
    padded = np.zeros((len(rows), max(map(len, rows))))
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    for convert in (np.asarray, torch.tensor):
        single = step_rewards(convert(flat), cuts, steps, token_offsets=tokens)
        np.testing.assert_allclose(np.asarray(single), expected, atol=1e-9)
        whole = step_rewards(convert(padded), convert(cuts), convert(steps), form="accumulative")
        np.testing.assert_allclose(np.asarray(whole), accumulated, atol=1e-9)


@given(ROWS)
def test_single_rewards_of_a_row_sum_to_the_reward_of_the_response(rows):
    ends = [[*range(0, len(row), 2), len(row)] for row in rows]
    found = step_rewards(_flat(rows), _flat(ends, int), _offsets(ends), token_offsets=_offsets(rows))
    sums = [part.sum() for part in np.split(found, _offsets(ends)[1:-1])]
    np.testing.assert_allclose(sums, [sum(row) for row in rows], atol=1e-9)


@pytest.mark.parametrize("convert", [np.asarray, torch.tensor])
def test_what_is_masked_has_no_influence(convert):
    policy = convert(np.array([[np.nan, -1.0, -2.0, np.inf], [-1.0, -3.0, -4.0, np.nan]]))
    reference = convert(np.array([[-np.inf, -2.0, -2.5, 0.0], [np.nan, -1.0, -4.0, 0.0]]))
    mask = convert(np.array([[1, 1, 1, 0], [1, 1, 1, 0]]))
    found = token_log_ratios(policy, reference, 0.5, mask=mask, start=convert(np.array([1, 1])))
    np.testing.assert_array_equal(np.asarray(found), [[0, 0.5, 0.25, 0], [0, -1, 0, 0]])
    same = token_log_ratios(policy[:, :3], reference[:, :3], 0.5, start=1)
    np.testing.assert_array_equal(np.asarray(same), [[0, 0.5, 0.25], [0, -1, 0]])


def test_the_gradient_reaches_the_tokens_of_the_step_and_no_others():
    policy = torch.tensor([[-1.0, -2.0, -3.0, float("nan")]], requires_grad=True)
    ratios = token_log_ratios(policy, torch.zeros(1, 4), 0.5, mask=torch.tensor([[1, 1, 1, 0]]))
    step_rewards(ratios, [1, 3], [0, 2])[1].backward()
    assert policy.grad.tolist() == [[0.0, 0.5, 0.5, 0.0]]


def test_a_long_batch_in_half_precision_keeps_its_small_rewards():
    tokens = torch.full((1000, 2), 100.0, dtype=torch.float16)
    tokens[-1, 1] = 0.001
    found = step_rewards(tokens, [1, 2] * 1000, np.arange(1001) * 2)
    assert found.dtype == torch.float16
    assert found[-1].item() == pytest.approx(0.001, rel=1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: token_log_ratios(np.zeros(2), np.zeros(3)), "reference: expected shape"),
        (lambda: token_log_ratios(np.zeros(2), np.zeros(2), mask=np.ones(1)), "mask: expected shape"),
        (lambda: token_log_ratios(np.zeros(2), np.zeros(2), start=np.zeros(2)), "start: expected"),
        (lambda: token_log_ratios(np.zeros(2), np.zeros(2), np.nan), "coefficient: expected"),
        (lambda: token_log_ratios(np.zeros(()), np.zeros(())), "policy: expected at least one axis"),
        (lambda: step_rewards(np.zeros(3), [1], [0, 1]), r"token_rewards: expected shape \(n, T\)"),
        (lambda: step_rewards(np.zeros((1, 3)), [4], [0, 1]), "ends: expected positions"),
        (lambda: step_rewards(np.zeros((1, 3)), [-1], [0, 1]), "ends: expected positions"),
        (lambda: step_rewards(np.zeros((1, 3)), [2, 1], [0, 2]), "ends: expected positions"),
        (lambda: step_rewards(np.zeros((1, 3)), [1.5], [0, 1]), "ends: expected integers"),
        (lambda: step_rewards(np.zeros((2, 3)), [1], [0, 1]), "offsets: expected 2 rows"),
        (lambda: step_rewards(np.zeros(3), [1], [0, 1], token_offsets=[0, 2]), "token_offsets: expected"),
        (lambda: step_rewards(np.array([[np.nan]]), [1], [0, 1]), "token_rewards: expected finite"),
        (lambda: step_rewards(np.zeros((1, 3)), [1], [0, 1], form="mean"), "form: expected one of"),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()
