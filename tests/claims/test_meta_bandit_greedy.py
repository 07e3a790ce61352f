"""What the bandit agent learns from: histories, the samples that are scored, and the network's choices."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.claims import meta_bandit_greedy
from guerdon.claims.meta_bandit_greedy import (
    ALGORITHMIC,
    ARMS,
    CLAIM,
    HORIZON,
    PAID,
    STRATEGIC,
    Policy,
    decide,
    features,
    fresh_runs,
    make_reward,
    moments,
    regret,
)
from guerdon.lab.bandits import epsilon_greedy, greedy
from guerdon.verify.bandit import ucb_action


def test_histories_are_beginnings_of_the_runs() -> None:
    runs = fresh_runs(greedy, 0, 500)
    counts, sums = moments(runs, np.random.default_rng(0))
    rounds = counts.sum(axis=1).astype(int)
    assert (rounds.min(), rounds.max()) == (0, HORIZON - 1)
    for row, t in enumerate(rounds):
        np.testing.assert_array_equal(counts[row], np.bincount(runs.arms[row, :t], minlength=ARMS))
        assert sums[row].sum() == pytest.approx(runs.rewards[row, :t].sum())


def test_each_reward_sees_the_decision() -> None:
    means = np.tile([0.4, 0.4, 0.6, 0.4, 0.4], (40, 1))
    counts, sums = np.full((40, ARMS), 2.0), np.tile([0.0, 3.0, 1.0, 0.0, 0.0], (40, 1))
    arms, samples = decide(counts, sums, means, epsilon_greedy(1.0), np.random.default_rng(0))
    assert set(arms.tolist()) == set(range(ARMS))
    np.testing.assert_array_equal(make_reward(STRATEGIC)(samples).outcome, arms == 2)
    np.testing.assert_array_equal(make_reward(ALGORITHMIC)(samples).outcome, arms == 1)
    assert ucb_action(counts[0], sums[0]) == 1
    assert len(set(make_reward(PAID)(samples).outcome)) == 40


def test_an_arm_never_pulled_has_finite_features() -> None:
    seen = features(np.array([[0.0, 4.0]]), np.array([[0.0, 2.0]]))
    np.testing.assert_allclose(seen[0], [[0.5, 0.0, 0.0, np.log(5)], [0.5, 0.5, 1.0, np.log(5)]])


def test_a_policy_goes_where_the_advantage_is() -> None:
    policy, rng = Policy(0, 0.03), np.random.default_rng(0)
    counts, sums = np.full((200, ARMS), 3.0), rng.normal(size=(200, ARMS))
    for _ in range(150):
        arms = policy(counts, sums, rng)
        policy.improve(counts, sums, arms, (arms == sums.argmax(axis=1)) - 0.2)
    assert (policy(counts, sums, rng) == sums.argmax(axis=1)).mean() > 0.7


def test_agents_meet_the_same_fresh_bandits() -> None:
    runs = [fresh_runs(agent, 4, 20) for agent in (greedy, Policy(0, 0.1))]
    np.testing.assert_array_equal(runs[0].means, runs[1].means)
    assert regret(runs[0]) < 0.2 * HORIZON


@pytest.mark.parametrize("arm", CLAIM.arms)
def test_trials_are_the_same_again(arm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"STEPS": 2, "PROBES": 10, "FRESH": 20, "FRESH_LONG": 5}.items():
        monkeypatch.setattr(meta_bandit_greedy, name, value)
    first, second = (
        meta_bandit_greedy.experiment(arm, {"learning_rate": 0.1, "c": 0.5}, 3) for _ in range(2)
    )
    assert first == second
