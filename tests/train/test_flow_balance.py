"""Balance of flows over steps and over tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guerdon.train.flow_balance import flow_balance_loss, log_rewards, token_flow_balance_loss

seeds = st.integers(0, 2**32 - 1)


def worked(forward, reward, stop, decay):
    """The sum over pairs of states, term by term."""
    total = weights = 0.0
    for i in range(len(reward)):
        for j in range(i + 1, len(reward)):
            delta = reward[i] + sum(forward[i:j]) + stop[j] - reward[j] - stop[i]
            total += decay ** (j - i) * delta**2
            weights += decay ** (j - i)
    return total / weights if weights else 0.0


@given(seeds, st.floats(0.1, 1.0))
def test_the_loss_is_the_weighted_mean_over_pairs_of_states(seed, decay):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 5, size=3)
    forward, reward, stop = rng.normal(size=(3, 4)), rng.normal(size=(3, 5)), rng.normal(size=(3, 5))
    rows = zip(forward, reward, stop, lengths, strict=True)
    expected = [worked(f[:k], r[: k + 1], s[: k + 1], decay) for f, r, s, k in rows]
    for array, extra in ((forward, 0), (reward, 1), (stop, 1)):
        array[np.arange(array.shape[1])[None] >= lengths[:, None] + extra] = np.nan
    found = flow_balance_loss(forward, reward, stop, decay, lengths)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    tensors = map(torch.tensor, (forward, reward, stop))
    same = flow_balance_loss(*tensors, decay, torch.tensor(lengths))
    np.testing.assert_allclose(same.numpy(), expected, atol=1e-12)


@given(seeds, st.floats(0.1, 1.0))
def test_the_token_loss_is_of_inclusive_sums(seed, decay):
    rng = np.random.default_rng(seed)
    logp, scores, stop = (-rng.random((2, 4)) for _ in range(3))
    lengths = [4, int(rng.integers(0, 4))]
    found = token_flow_balance_loss(logp, scores, stop, decay, lengths)
    for row, k in enumerate(lengths):
        # States are tokens: what leads from token i to j are the tokens after i.
        reward = np.cumsum(scores[row])[:k]
        assert found[row] == pytest.approx(worked(logp[row, 1:k], reward, stop[row, :k], decay), abs=1e-12)


def test_a_policy_in_proportion_to_the_reward_has_no_loss():
    # One step at each state, of reward R_k: stopping at k has probability R_k over what is left.
    reward = np.array([1.0, 0.5, 0.25, 0.25])
    left = np.cumsum(reward[::-1])[::-1]
    stop, onward = np.log(reward / left), np.log(left[1:] / left[:-1])
    assert flow_balance_loss(onward[None], np.log(reward)[None], stop[None], 0.9) == pytest.approx(0.0)
    assert flow_balance_loss(onward[None], np.log(reward[::-1])[None], stop[None], 0.9) > 0.1


def test_descent_reaches_the_proportions_of_the_reward():
    reward = torch.tensor([[0.1, 0.3, 0.6]], dtype=torch.float64)
    logits = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(300):
        forward = torch.nn.functional.logsigmoid(logits)
        last = torch.zeros(1, 1, dtype=torch.float64)
        stop = torch.cat([torch.nn.functional.logsigmoid(-logits), last], dim=1)
        optimizer.zero_grad()
        flow_balance_loss(forward, reward.log(), stop).sum().backward()
        optimizer.step()
    go = torch.sigmoid(logits)[0].tolist()
    assert [1 - go[0], go[0] * (1 - go[1]), go[0] * go[1]] == pytest.approx([0.1, 0.3, 0.6], abs=1e-3)


@pytest.mark.parametrize("loss", [flow_balance_loss, token_flow_balance_loss])
def test_gradients_are_exact_and_don_t_come_from_padding(loss):
    torch.manual_seed(0)
    states = 4 if loss is flow_balance_loss else 3
    arrays = [torch.randn(2, width, dtype=torch.float64) for width in (3, states, states)]
    arrays[0][1, 2] = float("nan")
    arrays = [array.requires_grad_() for array in arrays]
    lengths = torch.tensor([3, 2])
    loss(*arrays, 0.8, lengths).sum().backward()
    assert arrays[0].grad[1, 2] == 0
    assert all(bool(torch.isfinite(array.grad).all()) for array in arrays)
    whole = [array.detach()[:1].requires_grad_() for array in arrays]
    assert torch.autograd.gradcheck(lambda *given: loss(*given, 0.8), whole)


def test_log_rewards_start_at_the_problem_and_are_never_infinite():
    found = log_rewards(np.array([[0.5, 0.0, 1.0]]))
    np.testing.assert_allclose(found, [[0.0, np.log(0.5), np.log(0.5e-6), np.log(0.5e-6)]])
    scores = torch.tensor([[0.5, 0.0]], requires_grad=True)
    log_rewards(scores).sum().backward()
    assert scores.grad.tolist() == [[4.0, 0.0]]
    assert log_rewards(np.zeros((2, 0))).tolist() == [[0.0], [0.0]]


def test_nothing_to_balance_is_no_loss():
    assert flow_balance_loss(np.zeros((1, 0)), np.ones((1, 1)), np.ones((1, 1))).tolist() == [0.0]
    assert token_flow_balance_loss(np.zeros((1, 1)), np.ones((1, 1)), np.ones((1, 1))).tolist() == [0.0]
    assert token_flow_balance_loss(np.zeros((0, 0)), np.zeros((0, 0)), np.zeros((0, 0))).shape == (0,)


def test_half_precision_comes_back_as_given():
    ones = torch.ones(1, 3, dtype=torch.bfloat16)
    assert token_flow_balance_loss(-ones, -ones, -ones).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: log_rewards(np.array([[1.5]])), "step_scores: expected"),
        (lambda: log_rewards(np.array([[np.nan]])), "step_scores: expected"),
        (lambda: log_rewards(np.array([[0.5]]), 0.0), "floor: expected"),
        (
            lambda: flow_balance_loss(np.zeros((1, 2)), np.zeros((1, 2)), np.zeros((1, 3))),
            "log_reward: expected shape",
        ),
        (
            lambda: flow_balance_loss(np.zeros((1, 1)), np.zeros((1, 2)), np.full((1, 2), -np.inf)),
            "log_stop: expected finite",
        ),
        (
            lambda: flow_balance_loss(np.zeros((1, 1)), np.zeros((1, 2)), np.zeros((1, 2)), 0.0),
            "decay: expected",
        ),
        (
            lambda: flow_balance_loss(np.zeros((1, 1)), np.zeros((1, 2)), np.zeros((1, 2)), 1.0, [2]),
            "lengths: expected integers in",
        ),
        (
            lambda: token_flow_balance_loss(np.zeros((1, 2)), np.zeros((1, 3)), np.zeros((1, 2))),
            "log_scores: expected shape",
        ),
    ],
)
def test_errors_name_the_argument(call, said):
    with pytest.raises(ValueError, match=said):
        call()
