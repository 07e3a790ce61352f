"""Pooling and cosine, on numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.models import cosine_similarity, masked_mean


@given(seed=st.integers(0, 2**32 - 1))
def test_what_stands_in_padding_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    hidden, mask = rng.normal(size=(3, 5, 4)), rng.integers(0, 2, (3, 5))
    pooled = masked_mean(hidden, mask)
    for row, states, counts in zip(pooled, hidden, mask, strict=True):
        kept = states[counts == 1]
        np.testing.assert_allclose(row, kept.mean(axis=0) if len(kept) else np.zeros(4))
    hidden[mask == 0] = np.nan
    np.testing.assert_array_equal(masked_mean(hidden, mask), pooled)


@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(1e-3, 1e3))
def test_the_cosine_ignores_length_and_keeps_order(seed, scale):
    a, b = np.random.default_rng(seed).normal(size=(2, 6, 3))
    found = cosine_similarity(a, b)
    assert (np.abs(found) <= 1).all()
    np.testing.assert_allclose(cosine_similarity(scale * a, b), found, atol=1e-9)
    np.testing.assert_allclose(cosine_similarity(b, a), found)
    np.testing.assert_allclose(cosine_similarity(a, a), 1.0)
    np.testing.assert_allclose(cosine_similarity(a, -a), -1.0)


def test_zero_vectors_and_broadcasting():
    vectors = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 2.0]])
    np.testing.assert_array_equal(cosine_similarity([1.0, 0.0], vectors), [1, 0, 0])
    assert cosine_similarity(masked_mean([[1.0, 2.0]], [0]), [1.0, 2.0]) == 0.0
    assert cosine_similarity(masked_mean(np.empty((0, 2)), []), [1.0, 2.0]) == 0.0


def test_single_precision_is_widened():
    tiny = np.full(3, 1e-30, dtype=np.float32)
    assert cosine_similarity(tiny, tiny, floor=1e-100) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: masked_mean(np.zeros((2, 3, 4)), np.zeros((2, 4))), "mask"),
        (lambda: masked_mean(np.zeros(3), np.zeros(3)), "hidden"),
        (lambda: masked_mean([[np.nan]], [1]), "hidden"),
        (lambda: cosine_similarity([1.0], [1.0, 2.0]), "a, b"),
        (lambda: cosine_similarity(1.0, 1.0), "a, b"),
        (lambda: cosine_similarity([np.inf], [1.0]), "a, b"),
        (lambda: cosine_similarity([1.0], [1.0], floor=0.0), "floor"),
    ],
)
def test_wrong_arguments_are_named(call, named):
    with pytest.raises(ValueError, match=named):
        call()
