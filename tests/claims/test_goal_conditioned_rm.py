"""The pieces of the experiment on goal-conditioned reward models."""

from __future__ import annotations

import random

import numpy as np
import pytest

from guerdon.claims.goal_conditioned_rm import (
    OPERATIONS,
    VOTERS,
    WORLD,
    Sides,
    calibrated,
    pair,
    problems,
    sampled,
    sides,
    vote,
)
from guerdon.lab.chain_rewards import right_answer
from guerdon.lab.chains import StepKind


def test_a_rejected_solution_has_one_slip_and_the_pair_parts_at_its_result():
    rng = random.Random(0)
    pairs = [pair(chain, rng) for chain in problems(rng)[:40]]
    values = [np.zeros(len(one.chosen.text)) for one in pairs]
    parted = sides(values + values, pairs).parted
    lines = set[int]()
    for one, at in zip(pairs, parted, strict=True):
        kinds = [step.kind for step in WORLD.check(one.rejected).steps]
        assert kinds.count(StepKind.SLIP) == 1
        assert WORLD.check(one.chosen).sound
        assert not WORLD.check(one.rejected).answered
        assert one.rejected.text[:at].endswith("=")
        lines.add(one.rejected.text[:at].count("\n"))
    assert lines == set(range(OPERATIONS))


def test_values_are_compared_after_a_share_and_from_the_error_on():
    right, wrong = [np.full(4, 0.5)] * 2, [np.array([0.9, 0.9, 0.1, 0.1])] * 2
    found = Sides(right, wrong, [2, 2])
    assert (found.at(0.5), found.at(0.75), found.after()) == (0.0, 1.0, 1.0)


@pytest.fixture
def samples():
    rng = random.Random(1)
    return sampled(problems(rng)[:30], rng)


def test_a_filter_by_the_truth_leaves_right_votes_and_saves_what_follows(samples):
    right = right_answer(samples).outcome
    values = [np.full(20, outcome) for outcome in right]
    everyone, nothing = vote(samples, values, 0.0)
    filtered, saved = vote(samples, values, 0.5)
    assert nothing == 0.0
    groups = right.reshape(-1, VOTERS)
    assert filtered == np.mean(groups.any(axis=1)) > everyone
    assert saved == pytest.approx(np.mean([1 - row.mean() if row.any() else 0.0 for row in groups]))
    assert 0.0 < calibrated(samples, values) <= 1.0


def test_a_threshold_that_costs_votes_is_not_taken(samples):
    values = [np.full(20, -outcome) for outcome in right_answer(samples).outcome]
    threshold = calibrated(samples, values)
    assert vote(samples, values, threshold) == vote(samples, values, -1.0)
