"""Progress of steps under a prover, and credit for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.dense import Dense
from guerdon.core.registry import create
from guerdon.core.signal import Signal, Status
from guerdon.credit.step_advantage import (
    StepProgress,
    best_of_k_success,
    effective_rewards,
    prover_diagnostics,
    step_advantages,
)

chances = st.floats(0, 1)
rows_of_chances = st.lists(st.tuples(chances, st.lists(chances, max_size=6)), max_size=6)


@given(rows_of_chances)
def test_an_advantage_is_what_a_step_adds_and_rows_telescope(rows):
    q = np.array([x for _, row in rows for x in row])
    initial, offsets = np.array([v for v, _ in rows]), np.cumsum([0, *(len(row) for _, row in rows)])
    expected = [x - before for v, row in rows for before, x in zip([v, *row], row, strict=False)]
    found = step_advantages(q, initial, offsets=offsets)
    np.testing.assert_allclose(found, expected, atol=1e-15)
    tensors = map(torch.tensor, (q, initial))
    np.testing.assert_allclose(step_advantages(*tensors, offsets=torch.tensor(offsets)).numpy(), found)
    for i, (v, row) in enumerate(rows):
        total = found[offsets[i] : offsets[i + 1]].sum()
        assert total == pytest.approx(row[-1] - v if row else 0.0, abs=1e-12)


def test_padded_rows_skip_what_is_outside_the_mask():
    q = np.array([[0.3, np.nan, 0.6], [np.nan, np.nan, np.nan], [0.9, 0.5, 0.5]])
    mask = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1]])
    found = step_advantages(q, np.array([0.4, 0.1, 0.5]), mask)
    np.testing.assert_allclose(found, [[-0.1, 0, 0.3], [0, 0, 0], [0.4, -0.4, 0]], atol=1e-12)


def test_the_graph_is_kept():
    q = torch.rand(2, 3, dtype=torch.float64, requires_grad=True)
    initial = torch.rand(2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: step_advantages(x, initial), (q,))
    assert torch.autograd.gradcheck(lambda x: best_of_k_success(x, 4), (q,))


def test_the_best_of_more_attempts_succeeds_more_often_save_at_the_ends():
    q = np.array([0.0, 0.01, 0.5, 1.0])
    assert best_of_k_success(q, 1) == pytest.approx(q)
    assert best_of_k_success(q, 4) == pytest.approx([0.0, 1 - 0.99**4, 0.9375, 1.0])
    certain = torch.tensor([0.0, 1.0], requires_grad=True)
    best_of_k_success(certain, 4).sum().backward()
    assert certain.grad.tolist() == [4.0, 0.0]


def test_effective_rewards_weigh_progress_alone_and_keep_its_sign():
    found = effective_rewards(np.array([0.5, 0.5]), np.array([-0.2, 0.2]), 5.0)
    np.testing.assert_allclose(found, [-0.5, 1.5])
    half = effective_rewards(torch.tensor([0.5], dtype=torch.bfloat16), torch.tensor([0.25]))
    assert half.dtype == torch.bfloat16
    assert half.tolist() == [1.25]


@given(st.lists(st.tuples(st.floats(0.1, 1), chances, chances), min_size=1, max_size=6))
def test_a_policy_is_its_own_aligned_prover_and_a_constant_prover_is_none(actions):
    weight, q, other = (np.array(column) for column in zip(*actions, strict=True))
    pi = weight / weight.sum()
    own = prover_diagnostics(pi, q, q)
    assert own.alignment == pytest.approx(own.distinguishability)
    assert own.distinguishability == pytest.approx(np.average((q - pi @ q) ** 2, weights=pi), abs=1e-12)
    constant = prover_diagnostics(pi, np.full_like(q, 0.7), other)
    np.testing.assert_allclose(constant, 0.0, atol=1e-12)
    states = prover_diagnostics(
        *map(torch.tensor, (np.array([pi, pi]), np.array([q, other]), np.array([q, q])))
    )
    np.testing.assert_allclose(states.alignment[0], own.alignment, atol=1e-12)


def batch():
    dense = Dense.from_rows([[0.2, -0.1], [0.3], []], "step")
    status = np.array([Status.OK, Status.OK, Status.ABSTAINED])
    mask = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 1]], dtype=bool)
    return (
        Signal(np.array([1.0, 0.0, np.nan]), status, dense=dense),
        np.zeros(3, int),
        mask,
        np.array([[0, 1], [1, 3], [0, 2]]),
    )


@pytest.mark.parametrize(("reach", "first"), [("own", 0.2), ("to_go", 0.1)])
def test_a_token_has_the_outcome_and_the_progress_of_its_step(reach, first):
    signal, groups, mask, spans = batch()
    found = StepProgress(alpha=2.0, reach=reach, dtype="float64")(signal, groups, mask, spans)
    expected = [
        [1 + 2 * first, 1 - 0.2, 1 - 0.2, 1],
        [-1 + 0.6, -1 + 0.6, -1, 0],
        [0, 0, 0, 0],
    ]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_steps_are_taken_in_the_order_of_their_ends():
    signal, groups, mask, spans = batch()
    turned = signal.replace(dense=Dense.from_rows([[-0.1, 0.2], [0.3], []], "step"))
    for reach in ("own", "to_go"):
        estimator = StepProgress(reach=reach)
        np.testing.assert_allclose(
            estimator(turned, groups, mask, spans[[1, 0, 2]]), estimator(signal, groups, mask, spans)
        )


def test_a_registered_estimator_gives_zero_where_nothing_was_scored():
    _, groups, mask, _ = batch()
    estimator = create("step_progress", "credit", {"alpha": 5.0})
    assert not estimator(Signal.failed(3, "down"), groups, mask).any()
    with pytest.raises(ValueError, match="no dense channel"):
        estimator(Signal(np.zeros(3)), groups, mask)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: step_advantages(np.zeros((2, 3)), np.zeros(3)), r"initial: expected shape \(2,\)"),
        (lambda: step_advantages(np.zeros((1, 1)), np.array([np.nan])), "initial: expected finite"),
        (lambda: step_advantages(np.array([[np.inf]]), np.zeros(1)), "expected finite"),
        (lambda: effective_rewards(np.zeros(2), np.zeros(3)), "advantages: expected shape"),
        (lambda: effective_rewards(np.zeros(1), np.zeros(1), -1.0), "alpha: expected"),
        (lambda: best_of_k_success(np.array([1.1]), 4), "q: expected probabilities"),
        (lambda: best_of_k_success(np.array([0.1]), 0), "k: expected"),
        (lambda: prover_diagnostics(np.array([0.5, 0.6]), np.zeros(2), np.zeros(2)), "policy: expected"),
        (lambda: prover_diagnostics(np.array([1.0]), np.zeros(2), np.zeros(1)), "q_prover: expected shape"),
        (lambda: StepProgress(alpha=-1.0), "alpha: expected"),
        (lambda: StepProgress(reach="all"), "reach: expected one of"),
    ],
)
def test_errors_name_the_argument(call, said):
    with pytest.raises(ValueError, match=said):
        call()
