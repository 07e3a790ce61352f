"""The gradient of progress is that of effective rewards, and the searches spend what they may."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.claims.pav import (
    BEST,
    CALLS,
    CLAIM,
    MIDDLING,
    OUTCOME,
    OWN,
    SKILL,
    STRENGTHS,
    advantages,
    experiment,
    gradient,
    planter,
    prospects,
    sampled,
    searched,
)
from guerdon.credit import effective_rewards
from guerdon.lab.chain_practice import BEGINNER
from guerdon.lab.chain_writer import ChainWriter, habits
from guerdon.lab.chains import Chains
from guerdon.lab.tabular import TabularPolicy
from guerdon.lab.token_mdp import TokenMDP

PLANTED = TokenMDP.planted([1, 2, 0], vocabulary=4, length=6)


@pytest.fixture
def policy() -> np.ndarray:
    weights = np.random.default_rng(0).random((4, 4)) + 0.1
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("arm", [OUTCOME, OWN, MIDDLING])
def test_on_average_it_is_the_gradient_of_effective_rewards(arm: str, policy: np.ndarray) -> None:
    """`Σ_s d(s) Σ_a π(a | s) · (Q^π + α A^μ) · ∇ log π(a | s)`; the policy as its own prover only scales it, by 1 + α."""
    values = None if arm == OUTCOME else prospects(arm, PLANTED, policy)
    progress = 0.0 if values is None else values[1:, PLANTED.successor] - values[:-1, :, None]
    q = PLANTED.action_values(policy)
    effective = effective_rewards(q, progress + np.zeros_like(q), alpha=5.0)
    weight = (PLANTED.visits(policy)[:-1, :, None] * policy * effective).sum(axis=0)
    exact = weight - weight.sum(axis=1, keepdims=True) * policy
    rng = np.random.default_rng(1)
    batches = [PLANTED.sample(policy, 8, rng) for _ in range(3000)]
    found = [gradient(policy, batch, advantages(batch, values)) for batch in batches]
    assert np.mean(found, axis=0) == pytest.approx(exact, abs=0.03)
    if arm == OWN:
        weight = (PLANTED.visits(policy)[:-1, :, None] * policy * q).sum(axis=0)
        assert exact == pytest.approx(6.0 * (weight - weight.sum(axis=1, keepdims=True) * policy))


def test_a_stronger_prover_succeeds_more_often_and_best_of_four_more_than_one() -> None:
    start = [PLANTED.values(planter(PLANTED, strength))[0, 0] for strength in STRENGTHS.values()]
    assert start == sorted(start)
    uniform = np.full((4, 4), 0.25)
    once = PLANTED.values(uniform)[0, 0]
    assert prospects(BEST, PLANTED, uniform)[0, 0] == pytest.approx(1 - (1 - once) ** 4)


def test_whole_solutions_cost_at_least_the_calls() -> None:
    policy, task = TabularPolicy(habits(BEGINNER)), Chains(5, 97).tasks(1, 0)[0]
    found = sampled(ChainWriter(SKILL), task, policy, np.random.default_rng(0))
    assert sum(map(len, found[:-1])) < CALLS <= sum(map(len, found))
    assert all(str(solution[-1]).startswith("answer") or len(solution) == 12 for solution in found)


@pytest.mark.parametrize("arm", CLAIM.arms)
def test_a_trial_repeats(arm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guerdon.claims.pav.STEPS", 5)
    monkeypatch.setattr("guerdon.claims.pav.PROBLEMS", 5)
    setting = {"learning_rate": 10.0}
    first = experiment(arm, setting, 20001)
    searched.cache_clear()
    assert experiment(arm, setting, 20001) == first
    assert 0.0 <= first.metrics["search"] <= 1.0
