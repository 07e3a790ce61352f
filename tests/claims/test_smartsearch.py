"""The world of refined searches: what a repeated query brings, and what a refined rollout consists of."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from guerdon.claims.smartsearch import (
    ANSWER,
    BETA,
    BUDGET,
    NEXT,
    PROCESS,
    REPEAT,
    THRESHOLD,
    make_reward,
    measure,
    play,
    play_refined,
    world,
)
from guerdon.lab.tabular import TabularPolicy
from guerdon.verify.search_quality import novel_rounds


def always(first: int, second: int, last: int) -> TabularPolicy:
    """A policy that makes these choices with no, one and two facts known."""
    return TabularPolicy(lambda state, n: 100.0 * (np.arange(n) == (first, second, last)[state[0]]))


def test_who_asks_for_what_is_missing_is_right_without_repetition() -> None:
    found = measure(always(NEXT, NEXT, ANSWER), world().tasks(200), np.random.default_rng(0))
    assert found["success"] == 1.0
    assert found["redundancy"] < 0.02


def test_a_repeated_query_brings_nothing_new_and_costs() -> None:
    task = world().tasks(1)[0]
    sample = play(task, always(NEXT, NEXT, REPEAT), np.random.default_rng(0)).sample
    assert novel_rounds(sample.extra["retrieved"], THRESHOLD) == [True, True, False, False]
    assert sample.extra["useful"] == [1] * BUDGET
    assert make_reward(PROCESS)([sample]).outcome == pytest.approx([1.0 - BETA / 2])


@pytest.mark.parametrize(("learnt", "choices"), [(False, [NEXT, ANSWER]), (True, [NEXT, NEXT, ANSWER])])
def test_a_refined_rollout_goes_on_from_the_rewritten_query(learnt: bool, choices: list[int]) -> None:
    task, rng = world().tasks(1)[0], np.random.default_rng(0)
    rollouts = [play_refined(task, always(NEXT, REPEAT, ANSWER), rng, learnt=learnt) for _ in range(20)]
    refined = [rollout for rollout in rollouts if "refined" in rollout.sample.extra]
    assert 0 < len(refined) < len(rollouts)
    for sample, decisions, _ in refined:
        assert world().check(sample) == (True, True)
        assert [decision.choice for decision in decisions] == choices
        assert sample.extra["refined"] == 2
        assert sample.extra["spent"] == BUDGET + 1
    assert not any(world().check(r.sample).answer for r in rollouts if "refined" not in r.sample.extra)


def test_rollouts_are_the_same_again() -> None:
    made = [
        [
            partial(play_refined, learnt=True)(task, policy, rng).sample.completion
            for task in world().tasks(30)
        ]
        for policy, rng in ((TabularPolicy(), np.random.default_rng(3)) for _ in range(2))
    ]
    assert made[0] == made[1]
