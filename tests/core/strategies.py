"""Hypothesis strategies for signals, and rewards that return a prepared one."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from guerdon import Chat, Dense, Reward, Signal, Status

VALUES = st.floats(-100, 100, allow_nan=False).map(lambda x: round(x, 3))
STATUSES = st.sampled_from(
    [Status.OK, Status.OK, Status.OK, Status.ABSTAINED, Status.FAILED, Status.TIMED_OUT]
)


class Prepared(Reward):
    """Returns the signal that it was made with, row by row, and counts how often a sample was scored."""

    def __init__(self, signal: Signal, name: str = "prepared") -> None:
        self.signal, self.name = signal, name
        self.scored = np.zeros(len(signal), dtype=int)

    def score_batch(self, samples, context):
        rows = np.array([sample.extra["row"] for sample in samples], dtype=np.int64)
        self.scored[rows] += 1
        return self.signal.take(rows)


def chats(n, groups=3):
    return [Chat(f"p{i % groups}", f"c{i}", group=i % groups, extra={"row": i}) for i in range(n)]


@st.composite
def signals(draw, n, dense=False):
    outcome = np.array(draw(st.lists(VALUES, min_size=n, max_size=n)))
    status = np.array(draw(st.lists(STATUSES, min_size=n, max_size=n)), dtype=np.uint8)
    reasons = {i: f"reason {i}" for i in range(n) if status[i] >= Status.FAILED}
    channel = None
    if dense:
        lengths = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
        rows = [draw(st.lists(VALUES, min_size=k, max_size=k)) for k in lengths]
        channel = Dense.from_rows(rows, "step", [[(j, j + 1) for j in range(k)] for k in lengths])
    return Signal(outcome, status, reasons=reasons, dense=channel)


def assert_same(left: Signal, right: Signal, tolerance: float = 1e-9) -> None:
    np.testing.assert_array_equal(left.status, right.status)
    np.testing.assert_allclose(left.outcome, right.outcome, rtol=tolerance, atol=tolerance)
    assert (left.dense is None) == (right.dense is None)
    if left.dense is not None and right.dense is not None:
        np.testing.assert_array_equal(left.dense.offsets, right.dense.offsets)
        np.testing.assert_allclose(left.dense.values, right.dense.values, rtol=tolerance, atol=tolerance)
