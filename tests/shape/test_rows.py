"""Reductions, scans and kernels over rows that lie end to end."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guerdon.shape import rows
from guerdon.shape.rows import by_rows, row_index, row_min, row_sum, scan_to_end

seeds = st.integers(0, 2**32 - 1)
# Short rows are scanned by doubling and long ones in a loop.
longest = st.sampled_from([5, 300])


def ragged(seed: int, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Values and lengths of a few rows, some of them empty."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, longest, rng.integers(0, 6)) * (rng.random() < 0.9)
    return rng.normal(size=lengths.sum()), lengths


def each(values: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    return np.split(values, np.cumsum(lengths))[:-1]


@given(seeds, longest)
def test_reductions_are_those_of_each_row(seed, longest):
    values, lengths = ragged(seed, longest)
    sums = [row.sum() for row in each(values, lengths)]
    lowest = [row.min() if row.size else np.inf for row in each(values, lengths)]
    np.testing.assert_allclose(row_sum(values, lengths), sums, atol=1e-12)
    np.testing.assert_array_equal(row_min(values, lengths), lowest)
    tensors = torch.tensor(values), torch.tensor(lengths)
    np.testing.assert_allclose(row_sum(*tensors), sums, atol=1e-12)
    np.testing.assert_array_equal(row_min(*tensors)[lengths > 0], np.array(lowest)[lengths > 0])
    np.testing.assert_array_equal(row_index(lengths), np.repeat(np.arange(lengths.size), lengths))


@pytest.mark.parametrize(("operation", "ufunc"), [("add", np.add), ("minimum", np.minimum)])
@given(seeds, longest)
def test_a_scan_goes_from_each_value_to_the_end_of_its_row(operation, ufunc, seed, longest):
    values, lengths = ragged(seed, longest)
    given_values = values.copy()
    parts = [ufunc.accumulate(row[::-1])[::-1] for row in each(values, lengths)]
    expected = np.concatenate([*parts, []])
    np.testing.assert_allclose(scan_to_end(values, lengths, operation), expected, atol=1e-11)
    np.testing.assert_array_equal(values, given_values)
    same = scan_to_end(torch.tensor(values), torch.tensor(lengths), operation)
    np.testing.assert_allclose(same, expected, atol=1e-11)
    np.testing.assert_allclose(scan_to_end(values, lengths, operation, overwrite=True), expected, atol=1e-11)


def test_a_row_does_not_disturb_the_rows_before_it():
    values = np.concatenate([np.full(200, 1e-3), np.full(200, 1e300)])
    found = scan_to_end(values, np.array([200, 200]), "add")
    np.testing.assert_allclose(found[:200], 1e-3 * np.arange(200, 0, -1))


def test_a_scan_of_single_precision_stays_in_it_and_is_accurate():
    values = np.random.default_rng(0).normal(size=4096).astype(np.float32)
    found = scan_to_end(values, np.array([4096]), "add")
    assert found.dtype == np.float32
    exact = np.cumsum(values[::-1], dtype=np.float64)[::-1]
    np.testing.assert_allclose(found, exact, atol=1e-5 * np.abs(exact).max())


@given(seeds, longest, st.sampled_from([1, 7, 1 << 16]))
def test_a_kernel_gets_whole_rows_whatever_the_size_of_a_block(seed, longest, block):
    values, lengths = ragged(seed, longest)
    given_values, numbers = values.copy(), np.arange(lengths.size) + 1.0

    def center(lengths, values, numbers):
        means = row_sum(values, lengths) / np.maximum(lengths, 1)
        return (values - np.repeat(means, lengths)) * np.repeat(numbers, lengths)

    expected = center(lengths, values, numbers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "BLOCK", block)
        np.testing.assert_allclose(by_rows(center, lengths, (values,), (numbers,)), expected, atol=1e-12)
        np.testing.assert_array_equal(values, given_values)
        overwritten = by_rows(center, lengths, (values,), (numbers,), overwrite=True)
    np.testing.assert_allclose(overwritten, expected, atol=1e-12)
