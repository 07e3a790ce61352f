"""From steps to tokens: every way to share a value, in any order of spans, NumPy or torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.credit import broadcast_outcome, spread_steps

SHARES = ("each", "last", "mean")


@st.composite
def steps(draw, disjoint=None):
    """Ragged steps with token spans, disjoint or overlapping, in random order, and a mask with holes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, width = draw(st.integers(1, 4)), draw(st.integers(0, 12))
    if disjoint is None:
        disjoint = draw(st.booleans())
    rows = []
    for _ in range(n):
        count = int(rng.integers(0, 4))
        cuts = rng.integers(0, width + 1, 2 * count)
        cuts = np.sort(cuts).reshape(-1, 2) if disjoint else np.sort(cuts.reshape(-1, 2), axis=1)
        rows.append(rng.permutation(cuts))
    offsets = np.concatenate(([0], np.cumsum([len(row) for row in rows])))
    spans = np.concatenate(rows).astype(np.int64)
    mask = rng.random((n, width)) < draw(st.sampled_from([0.0, 0.6, 1.0]))
    return rng.normal(size=len(spans)), spans, mask, offsets, rng.normal(size=n)


def by_hand(values, spans, mask, offsets, share, base):
    out = np.repeat(base[:, None], mask.shape[1], axis=1)
    for i in range(len(mask)):
        for j in range(offsets[i], offsets[i + 1]):
            inside = [t for t in range(*spans[j]) if mask[i, t]]
            for t in inside[-1:] if share == "last" else inside:
                out[i, t] += values[j] / (len(inside) if share == "mean" else 1)
    return np.where(mask, out, 0.0)


@pytest.mark.parametrize("share", SHARES)
@given(case=steps())
@settings(max_examples=60, deadline=None)
def test_agrees_with_explicit_loops_in_numpy_and_torch(share, case):
    values, spans, mask, offsets, base = case
    expected = by_hand(values, spans, mask, offsets, share, base)
    found = spread_steps(values, spans, mask, offsets, share=share, base=base)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    tensors = [torch.from_numpy(array) for array in (values, spans, mask, offsets)]
    in_torch = spread_steps(*tensors, share=share, base=torch.from_numpy(base))
    assert isinstance(in_torch, torch.Tensor)
    np.testing.assert_allclose(in_torch.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("share", ["last", "mean"])
@given(case=steps())
@settings(max_examples=30, deadline=None)
def test_value_is_conserved_where_a_step_has_tokens_in_the_mask(share, case):
    values, spans, mask, offsets, _ = case
    row = np.repeat(np.arange(len(mask)), np.diff(offsets))
    reached = np.array([mask[i, a:b].any() for i, (a, b) in zip(row, spans, strict=True)], dtype=bool)
    expected = np.bincount(row[reached], weights=values[reached], minlength=len(mask))
    found = spread_steps(values, spans, mask, offsets, share=share)
    np.testing.assert_allclose(found.sum(axis=1), expected, atol=1e-12)


@given(case=steps(disjoint=True))
@settings(max_examples=30, deadline=None)
def test_padded_steps_equal_ragged_ones(case):
    values, spans, mask, offsets, base = case
    lengths = np.diff(offsets)
    there = np.arange(lengths.max())[None, :] < lengths[:, None]
    padded_values, padded_spans = np.zeros(there.shape), np.zeros((*there.shape, 2), dtype=np.int64)
    padded_values[there], padded_spans[there] = values, spans
    for share in SHARES:
        np.testing.assert_array_equal(
            spread_steps(padded_values, padded_spans, mask, share=share, base=base),
            spread_steps(values, spans, mask, offsets, share=share, base=base),
        )


def test_disjoint_steps_give_exactly_their_value():
    values, spans = np.array([0.1, 0.2, 0.3]), np.array([[1, 3], [3, 4], [0, 2]])
    mask = np.array([[1, 1, 0, 1, 1], [1, 1, 1, 1, 0]])
    found = spread_steps(values, spans, mask, np.array([0, 2, 3]))
    np.testing.assert_array_equal(found, [[0, 0.1, 0, 0.2, 0], [0.3, 0.3, 0, 0, 0]])


def test_last_token_is_the_last_one_in_the_mask():
    mask = np.array([[1, 1, 0, 0, 1]], dtype=bool)
    found = spread_steps(np.array([2.0]), np.array([[0, 4]]), mask, np.array([0, 1]), share="last")
    np.testing.assert_array_equal(found, [[0, 2, 0, 0, 0]])


def test_dtype_can_be_chosen_and_is_kept_otherwise():
    arguments = np.array([1.0]), np.array([[0, 2]]), np.ones((1, 3), bool), np.array([0, 1])
    assert spread_steps(*arguments).dtype == np.float64
    assert spread_steps(*arguments, dtype=np.float32).dtype == np.float32
    half = torch.ones(1, dtype=torch.bfloat16)
    mask = torch.ones((1, 3), dtype=torch.int64)
    assert broadcast_outcome(half, mask).dtype == torch.bfloat16
    assert broadcast_outcome(half, mask, dtype=torch.float32).dtype == torch.float32


def test_outcome_reaches_the_tokens_of_the_mask():
    mask = np.array([[1, 1, 0], [0, 0, 0]])
    found = broadcast_outcome(np.array([-2.0, 3.0]), mask)
    np.testing.assert_array_equal(found, [[-2, -2, 0], [0, 0, 0]])
    assert broadcast_outcome(np.empty(0), np.empty((0, 5), bool)).shape == (0, 5)


ONE = np.array([1.0])
SPAN = np.array([[0, 2]])
MASK = np.ones((1, 3), dtype=bool)
ROW = np.array([0, 1])


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: spread_steps(ONE, np.array([[0, 4]]), MASK, ROW), "width of the mask"),
        (lambda: spread_steps(ONE, np.array([[2, 1]]), MASK, ROW), "spans"),
        (lambda: spread_steps(ONE, np.array([[-1, 1]]), MASK, ROW), "spans"),
        (lambda: spread_steps(ONE, np.array([[0.0, 1.0]]), MASK, ROW), "spans"),
        (lambda: spread_steps(ONE, np.array([0, 1]), MASK, ROW), "spans"),
        (lambda: spread_steps(ONE, SPAN, MASK), "values"),
        (lambda: spread_steps(np.array([np.nan]), SPAN, MASK, ROW), "values"),
        (lambda: spread_steps(ONE, SPAN, np.ones(3, bool), ROW), "mask"),
        (lambda: spread_steps(ONE, SPAN, MASK, np.array([0, 1, 1])), "mask"),
        (lambda: spread_steps(ONE, SPAN, MASK, np.array([1, 1])), "offsets"),
        (lambda: spread_steps(ONE, SPAN, MASK, ROW, share="first"), "share"),
        (lambda: spread_steps(ONE, SPAN, MASK, ROW, base=np.zeros(2)), "base"),
        (lambda: spread_steps(ONE, SPAN, MASK, ROW, base=np.array([np.inf])), "base"),
        (lambda: broadcast_outcome(np.zeros((1, 1)), MASK), "advantage"),
        (lambda: broadcast_outcome(np.zeros(2), MASK), "mask"),
        (lambda: broadcast_outcome(np.array([np.nan]), MASK), "advantage"),
    ],
)
def test_bad_input_is_named_at_the_door(call, word):
    with pytest.raises(ValueError, match=word):
        call()
