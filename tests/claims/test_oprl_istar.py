"""The reward that learns from pairs of walks: what it starts as, what it learns, and what teaches it nothing."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.claims.oprl_istar import WALK, TrajectoryPreference, reached, turn_rewards
from guerdon.core.samples import Chat
from guerdon.lab.tabular import Decision, Rollout, TabularPolicy

HOME = "y+ y+ y+ y+ x+ x+ x+ x+"
PIT = "x+ x+ y+ y+"


def walk(moves: str, group: int = 0) -> Chat:
    turns = [{"role": "assistant", "content": move} for move in moves.split()]
    return Chat("at 0 0", turns, reference=list(WALK.goal), group=group)


def test_outcomes() -> None:
    assert reached([walk(HOME), walk(PIT), walk("y+ y+")]).outcome.tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(("unit", "parts"), [("turn", [8, 4]), ("token", [16, 8])])
def test_it_learns_which_turns_led_home(unit: str, parts: list[int]) -> None:
    paid, samples = TrajectoryPreference(TabularPolicy(), 0.1, unit), [walk(HOME), walk(PIT)]
    first = paid(samples)
    assert first.dense is not None
    assert first.dense.lengths.tolist() == parts
    assert np.allclose(first.dense.values, 0.0, atol=1e-6)
    later = [paid(samples) for _ in range(3)][-1]
    assert later.dense is not None
    home, pit = later.dense.sums()
    assert home > 0 > pit
    assert max(abs(home), abs(pit)) <= 1.0


def test_walks_that_all_fail_or_are_of_different_starts_teach_nothing() -> None:
    paid = TrajectoryPreference(TabularPolicy(), 0.1, "turn")
    for samples in ([walk(PIT), walk(PIT)], [walk(HOME, 0), walk(PIT, 1)]):
        for _ in range(2):
            signal = paid(samples)
            assert signal.dense is not None
            assert np.allclose(signal.dense.values, 0.0, atol=1e-6)


def test_rewards_are_relative_to_the_live_policy() -> None:
    policy = TabularPolicy()
    paid, samples = TrajectoryPreference(policy, 0.1, "turn"), [walk(HOME), walk(PIT)]
    paid(samples)
    # The policy takes x more often than its reward model: there the ratio falls, and elsewhere it doesn't.
    before = paid(samples)
    policy.improve([[Decision(0, 0)]], np.array([[5.0]]), 1.0)
    after = paid(samples)
    assert before.dense is not None
    assert after.dense is not None
    assert before.dense.row(1)[0] > after.dense.row(1)[0]


def test_turns_without_process_rewards_are_paid_the_outcome() -> None:
    samples = [walk(HOME), walk(PIT)]
    rollouts = [
        Rollout(s, [Decision(int(r), int(o)) for r, o in zip(*WALK.choices(s), strict=True)]) for s in samples
    ]
    assert turn_rewards(rollouts, reached(samples)).tolist() == [1.0] * 8 + [0.0] * 4
    tokens, turns = (TrajectoryPreference(TabularPolicy(), 0.1, unit) for unit in ("token", "turn"))
    for paid in (tokens, turns):
        paid(samples)
    found = [turn_rewards(rollouts, paid(samples)) for paid in (tokens, turns)]
    assert found[0].shape == found[1].shape == (12,)
    assert np.corrcoef(found[0], found[1])[0, 1] == pytest.approx(1.0)
