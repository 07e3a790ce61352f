"""A learned score that a verifier rules over: the equation, its order, and rows without a verdict."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon import Chat
from guerdon.core.registry import create
from guerdon.core.signal import Status
from guerdon.shape.verified_score import VerifiedScore, verified_score
from guerdon.verify import Column


@given(
    right=st.floats(-1e300, 1e300),
    wrong=st.floats(-1e300, 1e300),
    scale=st.sampled_from([1e-3, 0.5, 1e6, 1e10]),
)
def test_no_score_lifts_a_wrong_answer_above_a_right_one(right, wrong, scale):
    found = verified_score(np.array([right, wrong]), np.array([1.0, 0.0]), scale)
    assert 1 >= found[0] >= 0 >= found[1] >= -1


@given(st.lists(st.floats(-20, 20), min_size=2, max_size=5), st.integers(0, 1))
def test_the_score_orders_within_a_class(scores, verdict):
    found = verified_score(np.sort(scores), np.full(len(scores), float(verdict)))
    assert (np.diff(found) >= 0).all()
    assert found == pytest.approx([1 / (1 + math.exp(-s / 2)) + verdict - 1 for s in sorted(scores)])


def scored(rows, **options):
    samples = [Chat("q", "a", extra=row) for row in rows]
    return VerifiedScore(Column("score"), Column("verdict"), **options)(samples)


def test_the_reward_shows_its_parts():
    signal = scored([{"score": 2.0, "verdict": True}, {"score": 2.0, "verdict": 0}], scale=1.0)
    assert signal.outcome == pytest.approx([0.880797, -0.119203], abs=1e-6)
    assert [part.outcome.tolist() for part in signal.parts.values()] == [[2, 2], [1, 0]]


def test_a_row_without_score_or_verdict_has_no_value():
    signal = scored(
        [
            {"score": 2.0},
            {"verdict": 1},
            {"score": "x", "verdict": 1},
            {"score": 0, "verdict": 0.5},
            {"score": 0, "verdict": 1},
        ]
    )
    A, F, OK = Status.ABSTAINED, Status.FAILED, Status.OK
    assert signal.status.tolist() == [A, A, F, F, OK]
    assert np.isnan(signal.outcome[:4]).all()
    assert signal.reasons[3] == "column: expected a verdict of 0 or 1, got 0.5"
    assert signal.outcome[4] == 0.5


def test_wrong_arguments_are_named():
    one = np.ones(1)
    for arguments, message in (
        ((one, one, 0.0), "scale: expected"),
        ((one, np.ones(2)), "verdict: expected shape"),
        ((one * math.nan, one), "score: expected finite"),
        ((one, one / 2), "verdict: expected 0 or 1"),
    ):
        with pytest.raises(ValueError, match=message):
            verified_score(*arguments)
    with pytest.raises(ValueError, match="scale: expected"):
        create("verified_score", arguments={"score": "bleu", "verifier": "math", "scale": -1})
    with pytest.raises(ValueError, match="'column' has a dense channel"):
        scored([{"score": [1.0, 2.0], "verdict": 1}])
