"""The token process whose values are known: they obey Bellman, and estimators meet them on average."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.core.dense import Dense
from guerdon.core.signal import Signal
from guerdon.credit import dr_grpo, rloo
from guerdon.lab.token_mdp import TokenMDP

PLANTED = TokenMDP.planted([1, 2, 0], vocabulary=4, length=6)


def random_policy(seed: int, *shape: int) -> np.ndarray:
    weights = np.random.default_rng(seed).random(shape) + 0.1
    return weights / weights.sum(axis=-1, keepdims=True)


def test_values_obey_bellman_and_advantages_average_to_nothing() -> None:
    policy = random_policy(0, 6, 4, 4)
    values, q, a = (f(policy) for f in (PLANTED.values, PLANTED.action_values, PLANTED.advantages))
    assert values.shape == (7, 4)
    assert q.shape == a.shape == (6, 4, 4)
    assert np.allclose((policy * q).sum(-1), values[:-1])
    assert np.allclose((policy * a).sum(-1), 0.0)
    assert np.allclose(values[:, 3], 1.0)  # once it is planted it pays whatever follows


def test_values_and_visits_are_what_sampling_finds() -> None:
    policy = random_policy(1, 4, 4)
    rollouts = PLANTED.sample(policy, 40_000, np.random.default_rng(2))
    assert rollouts.outcomes.mean() == pytest.approx(PLANTED.values(policy)[0, 0], abs=0.01)
    visits = PLANTED.visits(policy)
    assert np.allclose(visits.sum(axis=1), 1.0)
    for t in (1, 3, 6):
        shares = np.bincount(rollouts.states[:, t], minlength=4) / 40_000
        assert np.allclose(shares, visits[t], atol=0.015)
    text = "".join(map(str, rollouts.tokens[rollouts.outcomes == 1][0]))
    one = text.index("1")
    assert "0" in text[text.index("2", one) :]


def test_leave_one_out_has_the_true_gradient_on_average() -> None:
    """Σ_t A_{i,t} ∇ log π averages to ∇ V for an unbiased estimator, whatever the baseline."""
    policy, groups = random_policy(3, 4, 4), 4000
    rollouts = PLANTED.sample(policy, groups * 4, np.random.default_rng(4))
    signal = Signal(rollouts.outcomes)
    codes, mask = np.repeat(np.arange(groups), 4), np.ones((groups * 4, 6), dtype=bool)
    truth = (PLANTED.visits(policy)[:-1, :, None] * policy * PLANTED.advantages(policy)).sum(axis=0)
    for estimator, scale in ((rloo(), 1.0), (dr_grpo(), 3 / 4)):
        found = gradient(rollouts.states, rollouts.tokens, estimator(signal, codes, mask), policy)
        assert np.allclose(found, scale * truth, atol=0.02)


def gradient(
    states: np.ndarray, tokens: np.ndarray, advantages: np.ndarray, policy: np.ndarray
) -> np.ndarray:
    pushed, total = np.zeros_like(policy), np.zeros(policy.shape[0])
    np.add.at(pushed, (states[:, :-1], tokens), advantages)
    np.add.at(total, states[:, :-1], advantages)
    return (pushed - total[:, None] * policy) / len(tokens)


def test_true_advantages_as_token_rewards_have_the_true_returns() -> None:
    policy = random_policy(5, 4, 4)
    rollouts = PLANTED.sample(policy, 50, np.random.default_rng(6))
    a = PLANTED.advantages(policy)[np.arange(6), rollouts.states[:, :-1], rollouts.tokens]
    assert np.allclose(a.sum(axis=1), rollouts.outcomes - PLANTED.values(policy)[0, 0])
    assert Dense.from_rows(list(a), "token").values.size == 300


def test_what_does_not_fit_is_refused() -> None:
    for sequence in ([], [9], [0] * 7, [-1]):
        with pytest.raises(ValueError, match="sequence"):
            TokenMDP.planted(sequence, vocabulary=4, length=6)
    with pytest.raises(ValueError, match="shape"):
        PLANTED.values(random_policy(0, 3, 4))
    with pytest.raises(ValueError, match="add up to 1"):
        PLANTED.values(np.ones((4, 4)))
    with pytest.raises(ValueError, match="states from 0 to 1"):
        TokenMDP(np.array([[0, 2], [1, 1]]), np.zeros(2), 3)
