"""Masks of rollouts that are made of segments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guerdon.credit.masks import segment_mask

SEGMENTS = st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=6)


@given(SEGMENTS)
def test_agrees_with_an_explicit_loop_in_numpy_and_torch(segments: list[tuple[int, bool]]) -> None:
    expected = [policy for length, policy in segments for _ in range(length)]
    lengths = np.array([length for length, _ in segments], dtype=np.int64)
    policy = np.array([wrote for _, wrote in segments], dtype=bool)
    mask = segment_mask(lengths, policy)
    assert mask.dtype == bool
    assert mask.tolist() == expected
    on_torch = segment_mask(torch.as_tensor(lengths), torch.as_tensor(policy))
    assert on_torch.dtype == torch.bool
    assert on_torch.tolist() == expected


@pytest.mark.parametrize(
    ("lengths", "policy", "error", "named"),
    [
        ([1, -1], [1, 0], ValueError, "lengths"),
        ([1.0], [1], ValueError, "lengths"),
        ([[1]], [1], ValueError, "lengths"),
        ([1, 2], [1], ValueError, "policy"),
        ([1], [0.5], TypeError, "policy"),
    ],
)
def test_what_does_not_fit_is_named(lengths: Any, policy: Any, error: type[Exception], named: str) -> None:
    with pytest.raises(error, match=named):
        segment_mask(np.array(lengths), np.array(policy))
