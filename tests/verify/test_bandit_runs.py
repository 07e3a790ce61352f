"""Measures of whole runs of a bandit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.verify.bandit import ucb_action
from guerdon.verify.bandit_runs import cumulative_regret, greedy_fraction, min_fraction, suffix_failure

ARMS = st.lists(st.integers(0, 3), min_size=1, max_size=30)


@given(arms=ARMS)
def test_regret_is_what_the_best_arm_would_have_gained(arms):
    means = np.array([0.2, 0.9, 0.4, 0.9])
    assert cumulative_regret(arms, means) == pytest.approx(0.9 * len(arms) - means[arms].sum(), abs=1e-9)
    assert cumulative_regret([1, 3] * len(arms), means) == 0.0


@given(arms=ARMS, data=st.data())
def test_a_suffix_fails_where_no_best_arm_is_in_it(arms, data):
    t = data.draw(st.integers(0, len(arms) - 1))
    assert suffix_failure(arms, 2, t) == (2 not in arms[t:])
    assert suffix_failure(arms, [0, 2], t) == (not {0, 2} & set(arms[t:]))


@given(arms=ARMS)
def test_evenness(arms):
    found = min_fraction(arms, 4)
    assert 0 <= found <= 1
    assert (found == 0) == (set(arms) != {0, 1, 2, 3})
    assert min_fraction([0, 1, 2, 3] * len(arms), 4) == 1.0
    assert min_fraction([0, 1, 1, 1], 2, t=2) == 1.0


def test_greedy_rounds_by_hand():
    assert greedy_fraction([0, 1, 0, 0], [1.0, 0.0, 0.0, 1.0]) == pytest.approx(2 / 3)
    assert greedy_fraction([0, 1, 1, 0], [0.5, 0.5, 0.5, 0.5]) == pytest.approx(2 / 3)
    assert greedy_fraction([0], [1.0]) == 0.0
    assert greedy_fraction([0, 1, 2], [0.0, 0.0, 0.0]) == 0.0


def test_equal_means_tie_though_their_sums_are_rounded():
    arms, rewards = [0, 0, 0, 1, 1], [0.1, 0.2, 0.3, 0.2, 0.2]
    assert greedy_fraction(arms, rewards) == pytest.approx(3 / 4)
    assert greedy_fraction(arms, rewards, tolerance=0.0) == pytest.approx(2 / 4)


def run(choose, means, rounds, rng):
    counts, sums, arms, rewards = np.zeros(len(means)), np.zeros(len(means)), [], []
    for _ in range(rounds):
        arm = choose(counts, sums)
        gained = float(rng.random() < means[arm])
        counts[arm], sums[arm] = counts[arm] + 1, sums[arm] + gained
        arms.append(arm)
        rewards.append(gained)
    return arms, rewards


def test_the_measures_tell_explorers_from_greedy_and_uniform_players():
    means, found = np.array([0.2, 0.5, 0.8]), {}
    for name, c in (("ucb", 1.0), ("greedy", 0.0)):
        runs = [
            run(lambda n, s, c=c: ucb_action(n, s, c), means, 60, np.random.default_rng(seed))
            for seed in range(40)
        ]
        found[name] = [
            np.mean([cumulative_regret(arms, means) for arms, _ in runs]),
            np.mean([suffix_failure(arms, 2, 30) for arms, _ in runs]),
            np.mean([greedy_fraction(*r) for r in runs]),
        ]
    assert found["greedy"][1] > found["ucb"][1]
    assert found["greedy"][2] > found["ucb"][2]
    uniform = cumulative_regret([0, 1, 2] * 20, means)
    assert found["ucb"][0] < uniform


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: cumulative_regret([0, 3], [0.0, 1.0, 2.0]), "arms"),
        (lambda: cumulative_regret([-1], [0.0, 1.0]), "arms"),
        (lambda: cumulative_regret([], [0.0]), "arms"),
        (lambda: cumulative_regret([0.5], [0.0]), "arms"),
        (lambda: cumulative_regret([0], [np.nan]), "means"),
        (lambda: suffix_failure([0, 1], 0, 2), "t:"),
        (lambda: suffix_failure([0, 1], 0, -1), "t:"),
        (lambda: suffix_failure([0, 1], [], 0), "best_arms"),
        (lambda: suffix_failure([0, 1], [-1], 0), "best_arms"),
        (lambda: min_fraction([0, 1], 2, 0), "t:"),
        (lambda: min_fraction([0, 1], 2, 3), "t:"),
        (lambda: min_fraction([0, 2], 2), "arms"),
        (lambda: greedy_fraction([0, 1], [1.0]), "rewards"),
        (lambda: greedy_fraction([0, -1], [1.0, 1.0]), "arms"),
        (lambda: greedy_fraction([0], [np.inf]), "rewards"),
        (lambda: greedy_fraction([0], [1.0], tolerance=-1.0), "tolerance"),
    ],
)
def test_wrong_arguments_are_named(call, named):
    with pytest.raises(ValueError, match=named):
        call()
