"""Clip and delta: what repeats or drags on can't add up."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.context import Context
from guerdon.core.dense import Dense
from guerdon.core.function import reward
from guerdon.core.registry import create
from guerdon.core.samples import Chat
from guerdon.core.signal import Score, Signal, Status
from guerdon.shape.clip_delta import StepClip, StepDelta, step_deltas

rows = st.lists(st.lists(st.floats(0, 1, width=32), max_size=6), max_size=5)


def flat(rows):
    return np.array([x for row in rows for x in row], dtype=np.float64), np.cumsum([0, *map(len, rows)])


@given(rows)
def test_the_return_from_each_step_but_the_last_is_its_own_reward(rows):
    values, offsets = flat(rows)
    deltas = step_deltas(values, offsets)
    for row, start in zip(rows, offsets, strict=False):
        returns = np.cumsum(deltas[start : start + len(row)][::-1])[::-1]
        np.testing.assert_allclose(returns, [*row[:-1], 0.0][: len(row)], atol=1e-12)
    same = step_deltas(torch.tensor(values), torch.tensor(offsets))
    np.testing.assert_array_equal(same.numpy(), deltas)


@given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=5), st.integers(1, 20))
def test_repeating_a_step_adds_nothing(row, times):
    longer = [row[0]] * times + row
    total, repeated = (step_deltas(*flat([r])).sum() for r in (row, longer))
    assert repeated == pytest.approx(total, abs=1e-9)


def test_the_gradient_goes_through():
    r = torch.tensor([0.3, 0.6, 0.9], requires_grad=True)
    (step_deltas(r, torch.tensor([0, 3])) * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert r.grad.tolist() == [1.0, 9.0, 0.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: step_deltas(np.array([np.nan]), np.array([0, 1])), "rewards: expected finite"),
        (lambda: step_deltas(np.zeros(2), np.array([0, 3])), "offsets: expected"),
        (lambda: step_deltas(np.zeros((1, 2)), np.array([0, 2])), "rewards: expected rank 1"),
        (lambda: StepClip(float("nan")), "step_clip.threshold: expected"),
        (lambda: StepClip(0.5, "steps"), "step_clip.channel: expected"),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@reward
def steps(sample: Chat) -> Score:
    return Score(1.0, dense=sample.extra["steps"])


def test_clip_and_delta_behind_a_reward():
    shaped = steps | create("step_clip", "transform", {"threshold": 0.5}) | create("step_delta", "transform")
    found = shaped([Chat("", "", extra={"steps": s}) for s in ([0.9, 0.8, 0.2, 0.7], [0.3], "bad")])
    assert found.outcome[:2].tolist() == [1.0, 1.0]
    np.testing.assert_allclose(found.dense.row(0), [0.0, 0.3, -0.3, 0.0])
    np.testing.assert_allclose(found.dense.row(1), [0.0])
    assert found.status[2] == Status.FAILED
    assert found.dense.row(2).size == 0


def apply(transform, signal):
    return transform.apply(signal, np.zeros(len(signal), dtype=np.int64), Context())


def test_steps_are_taken_in_the_order_of_their_ends():
    spans = [[(4, 9), (0, 4), (9, 10)]]
    signal = Signal(np.zeros(1), dense=Dense.from_rows([[0.2, 0.9, 0.5]], "step", spans))
    found = apply(StepDelta(), signal)
    np.testing.assert_allclose(found.dense.values, [0.2, 0.7, 0.0])
    assert found.dense.spans.tolist() == [[4, 9], [0, 4], [9, 10]]


def test_a_signal_without_steps_passes():
    signal = Signal(np.array([0.4]))
    for transform in (StepClip(0.5), StepDelta()):
        assert apply(transform, signal).outcome.tolist() == [0.4]
    np.testing.assert_allclose(apply(StepClip(0.5, "outcome"), signal).outcome, [-0.1])
