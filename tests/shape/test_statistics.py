"""The masked statistics of groups."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from guerdon.shape import group_statistics


@given(data=st.data(), n=st.integers(1, 30), ddof=st.integers(0, 2))
@settings(max_examples=40, deadline=None)
def test_agrees_with_numpy_group_by_group(data, n, ddof):
    values = data.draw(hnp.arrays(np.float64, n, elements=st.floats(-100, 100, width=16)))
    codes = data.draw(hnp.arrays(np.int64, n, elements=st.integers(-2, 2)))
    valid = data.draw(hnp.arrays(np.bool_, n))
    found = group_statistics(values, codes, valid=valid, ddof=ddof)
    in_torch = group_statistics(torch.from_numpy(values), torch.from_numpy(codes), valid=valid, ddof=ddof)
    for code in set(codes.tolist()):
        rows = (codes == code) & valid
        g = found.codes[codes == code][0]
        assert found.count[g] == rows.sum()
        if rows.any():
            assert found.mean[g] == pytest.approx(values[rows].mean(), abs=1e-9)
            np.testing.assert_allclose(found.deviation[rows], values[rows] - values[rows].mean(), atol=1e-9)
        else:
            assert np.isnan(found.mean[g])
        expected = values[rows].std(ddof=ddof) if rows.sum() > ddof else 0.0
        assert found.std[g] == pytest.approx(expected, abs=1e-9)
    np.testing.assert_array_equal(found.deviation[~valid], 0.0)
    for name in ("count", "mean", "std", "deviation"):
        np.testing.assert_allclose(getattr(in_torch, name).numpy(), getattr(found, name), atol=1e-9)
    np.testing.assert_array_equal(in_torch.flat.numpy(), found.flat)


def test_large_offsets_do_not_cost_precision():
    found = group_statistics(np.array([1e9, 1e9 + 1, 1e9 + 2]), 3, std_floor=0.0)
    assert found.std[0] == pytest.approx(1.0, abs=1e-12)


def test_float32_residue_is_flat():
    values = np.array([np.cumsum(np.full(10, 0.1, dtype=np.float32))[-1], 1.0, 1.0], dtype=np.float32)
    assert np.ptp(values) > 0
    assert group_statistics(values, 3).flat.all()
    assert not group_statistics(np.array([0.0, 1e-30]), 2).flat.any()
