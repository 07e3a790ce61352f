"""Perplexity: hand-worked, of padded rows, and what has none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guerdon.models.perplexity import log_perplexity

ROWS = st.lists(st.floats(-1e3, 0), min_size=1, max_size=8)


def test_of_a_uniform_model_it_is_the_size_of_the_vocabulary():
    assert math.exp(log_perplexity(np.full(7, -math.log(50)))) == pytest.approx(50)


@given(rows=st.lists(ROWS, min_size=1, max_size=4))
def test_padding_has_no_influence_in_numpy_and_torch(rows):
    width = max(map(len, rows)) + 1
    padded = np.array([row + [np.nan] * (width - len(row)) for row in rows])
    mask = np.array([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    expected = [-sum(row) / len(row) for row in rows]
    np.testing.assert_allclose(log_perplexity(padded, mask), expected, atol=1e-9)
    np.testing.assert_allclose(
        log_perplexity(torch.tensor(padded), torch.tensor(mask)).numpy(), expected, atol=1e-9
    )


def test_its_gradient_skips_what_does_not_count():
    rows = torch.tensor([[-1.0, -3.0, math.nan]], requires_grad=True)
    log_perplexity(rows, torch.tensor([[1, 1, 0]])).sum().backward()
    assert rows.grad.tolist() == [[-0.5, -0.5, 0.0]]


def test_rounding_above_zero_is_a_perplexity_of_one():
    assert float(log_perplexity(np.array([1e-8, 1e-8]))) == 0.0


@pytest.mark.parametrize("bad", [[0.5], [math.nan], [-math.inf], [math.inf], []])
def test_what_is_no_text_of_a_language_model(bad):
    with pytest.raises(ValueError, match="log_probs: expected"):
        log_perplexity(np.array(bad, dtype=float))


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="mask: expected shape"):
        log_perplexity(np.zeros((2, 3)), np.ones(3))
    with pytest.raises(ValueError, match="at least one axis"):
        log_perplexity(np.float64(-1))
    with pytest.raises(ValueError, match="in every row"):
        log_perplexity(np.zeros((2, 3)), np.array([[1, 0, 0], [0, 0, 0]]))


def test_half_precision_is_summed_in_float32() -> None:
    for dtype in (torch.float16, torch.bfloat16):
        found = log_perplexity(torch.full((1, 70_000), -1.0, dtype=dtype))
        assert found.dtype == torch.float32
        assert found.item() == pytest.approx(1.0)
