"""Goal-conditioned states: positions, the contrastive loss, values and the filter."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guerdon.models.goal_conditioned import (
    Filtered,
    filter_generation,
    goal_conditioned_loss,
    goal_contrastive_loss,
    goal_values,
    partial_position,
    sample_positions,
    sample_source_and_goal,
    states_at,
    survivors,
)


def states(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_positions_count_from_the_end():
    assert sample_positions([0.0, 0.3, 0.99], 10, 40).tolist() == [11, 8, 1]
    assert sample_positions([0.0, 0.99], 10, 8).tolist() == [7, 1]
    assert sample_positions([[0.0], [0.5]], [4, 2], 9).tolist() == [[5], [2]]


@given(u=st.floats(0, 1, exclude_max=True), n=st.integers(1, 50), percentile=st.floats(0, 0.99))
def test_positions_lie_in_the_response_or_end_the_prompt_and_leave_out_its_last_share(u, n, percentile):
    position = int(sample_positions([u], n, n + 20, percentile=percentile)[0])
    assert math.floor(percentile * n + 1 - 1e-9) <= position <= n + 1


def test_each_source_is_not_later_than_its_goal():
    rng = np.random.default_rng(3)
    source, goal = sample_source_and_goal([3, 40, 1], 64, 16, rng)
    assert source.shape == goal.shape == (3, 16)
    assert (source >= goal).all()
    assert len(set(source[1].tolist())) > 5
    assert goal.min() >= 1


def test_states_are_those_counted_from_the_end():
    hidden = np.arange(24.0).reshape(2, 4, 3)
    found = states_at(hidden, np.array([[1, 0], [3, 2]]))
    assert found.tolist() == [
        [hidden[0, 3].tolist(), hidden[0, 0].tolist()],
        [hidden[1, 1].tolist(), hidden[1, 2].tolist()],
    ]
    torch.testing.assert_close(
        states_at(torch.tensor(hidden), np.array([[1, 0], [3, 2]])), torch.tensor(found)
    )
    for positions in ([[4], [1]], [[-1], [1]], [[1]]):
        with pytest.raises(ValueError, match="positions: expected"):
            states_at(hidden, np.array(positions))


def test_the_loss_has_the_bounds_that_cosines_set():
    one = states(1, 1, 4)
    floor = 2 * math.log(1 + math.exp(-1))
    assert float(goal_contrastive_loss(one, 3 * one, one, -one, beta=1.0)) == pytest.approx(floor)
    assert float(goal_contrastive_loss(one, -one, one, one, beta=0.5)) == pytest.approx((floor + 2) / 2)


@given(seed=st.integers(0, 50), average=st.booleans(), scale=st.floats(0.1, 100))
def test_the_loss_in_torch_and_its_freedom_from_scale(seed, average, scale):
    arrays = [states(3, m, 5, seed=seed + k) for k, m in enumerate((4, 4, 2, 2))]
    found = float(goal_contrastive_loss(*arrays, average_goals=average))
    assert 0.5 * 0.6265 < found < 0.5 * 2.6266
    assert float(goal_contrastive_loss(*(scale * a for a in arrays), average_goals=average)) == pytest.approx(
        found
    )
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    loss = goal_contrastive_loss(*tensors, average_goals=average)
    assert float(loss.detach()) == pytest.approx(found)
    loss.backward()
    assert all(tensor.grad.abs().sum() > 0 for tensor in tensors)


def test_averaged_goals_are_one_goal():
    source, goal, negative = states(2, 3, 4), states(2, 3, 4, seed=1), states(2, 1, 4, seed=2)
    one = goal_contrastive_loss(source, goal.mean(axis=1, keepdims=True), negative, negative)
    assert float(
        goal_contrastive_loss(source, goal, negative, negative, average_goals=True)
    ) == pytest.approx(float(one))


def test_a_zero_state_has_a_gradient_that_is_a_number():
    zero = torch.zeros(1, 1, 3, requires_grad=True)
    goal_contrastive_loss(zero, torch.ones(1, 1, 3), zero, torch.ones(1, 1, 3)).backward()
    assert torch.isfinite(zero.grad).all()


def test_training_on_the_loss_draws_good_states_together():
    torch.manual_seed(0)
    good, bad = torch.randn(8, 4, 6, requires_grad=True), torch.randn(8, 4, 6, requires_grad=True)
    optimizer = torch.optim.Adam([good, bad], 0.05)
    for _ in range(150):
        optimizer.zero_grad()
        goal_contrastive_loss(good, good, good, bad).backward()
        optimizer.step()
    values = goal_values(torch.stack([good, bad]).detach().numpy()[:, 0], good.detach().numpy()[0])
    assert values[0].min() > 0.8
    assert values[1].max() < -0.8


def test_the_total_loss():
    contrastive = torch.tensor(0.3, requires_grad=True)
    chosen, rejected = torch.tensor([1.0, 0.2]), torch.tensor([0.5, 0.4])
    loss = goal_conditioned_loss(chosen, rejected, contrastive)
    loss.backward()
    assert contrastive.grad == 1
    expected = -torch.nn.functional.logsigmoid(chosen - rejected).mean() + 0.3
    assert float(loss.detach()) == pytest.approx(float(expected))


def test_values_are_cosines_to_the_mean_goal():
    values = goal_values([[1.0, 0.0], [0.0, 0.0], [-2.0, -1.0]], [[1.0, 1.0], [3.0, 1.0]])
    assert values.tolist() == pytest.approx([2 / math.sqrt(5), 0, -1])


def test_a_generation_stops_at_the_first_low_value_after_the_skip():
    assert filter_generation([0.1, 0.9, 0.2, 0.9, 0.1], 0.5, skip=1) == Filtered(False, 3, 4)
    assert filter_generation([0.1, 0.5, 0.9], 0.5, skip=1) == Filtered(True, 0, 2)
    assert filter_generation([0.1, 0.1], 0.5) == Filtered(True, 0, 0)
    assert filter_generation([], 0.5) == Filtered(True, 0, 0)


def test_survivors_vote_and_if_there_are_none_all_do():
    kept, stopped = Filtered(True, 0, 10), Filtered(False, 6, 10)
    assert survivors([stopped, kept, stopped]) == ([1], pytest.approx(0.4))
    assert survivors([stopped, stopped]) == ([0, 1], 0.0)
    assert survivors([Filtered(True, 0, 0)]) == ([0], 0.0)
    assert survivors([]) == ([], 0.0)


def test_the_token_that_speaks_for_a_share():
    assert [partial_position(10, share) for share in (0, 0.05, 0.25, 1)] == [0, 0, 1, 9]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sample_positions([1.0], 4, 9), "uniforms: expected numbers"),
        (lambda: sample_positions([math.nan], 4, 9), "uniforms: expected numbers"),
        (lambda: sample_positions([0.5], 0, 9), "tokens: expected integers"),
        (lambda: sample_positions([0.5], [4, 4], 9), "uniforms, tokens: expected shapes"),
        (lambda: sample_positions([0.5], 4, 9, percentile=1.0), "percentile: expected"),
        (lambda: sample_source_and_goal([4], 9, 0, np.random.default_rng()), "samples: expected"),
        (lambda: goal_contrastive_loss(*[states(2, 3)] * 4), "source, goal: expected shapes"),
        (lambda: goal_contrastive_loss(*[states(0, 1, 3)] * 4), "source, goal: expected shapes"),
        (
            lambda: goal_contrastive_loss(*[states(1, 1, 3)] * 3, states(1, 1, 2)),
            "negative_source, negative_goal",
        ),
        (lambda: goal_contrastive_loss(*[states(1, 1, 3)] * 4, beta=0.0), "beta: expected"),
        (lambda: goal_conditioned_loss(np.zeros(2), np.zeros(3), 0.0), "rejected: expected shape"),
        (lambda: goal_conditioned_loss(np.zeros(0), np.zeros(0), 0.0), "chosen: expected shape"),
        (lambda: goal_values([[1.0]], []), "goals: expected shape"),
        (lambda: goal_values([[math.nan]], [[1.0]]), "expected finite"),
        (lambda: filter_generation([math.nan], 0.5), "values: expected finite"),
        (lambda: filter_generation([0.5], math.nan), "threshold: expected"),
        (lambda: filter_generation([0.5], 0.5, skip=-1), "skip: expected"),
        (lambda: partial_position(0, 0.5), "tokens: expected"),
        (lambda: partial_position(5, 1.5), "share: expected"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
