"""The world of routed questions: what a dialogue is worth, and whose answer counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from guerdon.claims import router_r1
from guerdon.claims.router_r1 import ANYWAY, CLAIM, DEAR, FREE, PRICED, best_expert, make_reward, play, world
from guerdon.core.samples import Chat
from guerdon.lab.tabular import TabularPolicy
from guerdon.lab.world import Task

ANSWER, TALK_ON = 4, 5


def scripted(choices: Sequence[int]) -> TabularPolicy:
    """A policy that makes one choice after the other, by how many experts were asked."""
    return TabularPolicy(lambda state, n: 100.0 * (np.arange(n) == choices[len(state[1])]))


def played(task: Task, *choices: int) -> Chat:
    return play(task, scripted(choices), np.random.default_rng(0)).sample


def right(task: Task) -> list[bool]:
    return [world().ask(expert, task.extra["question"]) == task.reference for expert in world().experts]


def find(*pattern: bool) -> Task:
    return next(task for task in world().tasks(500) if right(task) == list(pattern))


def test_what_two_experts_say_outvotes_the_first() -> None:
    task = find(False, True, True, False)
    assert not world().check(played(task, 0, ANSWER)).solved
    assert not world().check(played(task, 0, 1, ANSWER)).solved
    assert world().check(played(task, 0, 1, 2, ANSWER)).solved
    assert played(task, 0, 1, 2, ANSWER).extra["cost"] == sum(map(world().price, world().experts[:3]))


@pytest.mark.parametrize("arm", [FREE, PRICED, DEAR, ANYWAY])
def test_a_mistake_in_form_undoes_a_right_answer(arm: str) -> None:
    task = find(True, True, True, True)
    signal = make_reward(arm)([played(task, 0, ANSWER), played(task, 0, TALK_ON)])
    assert signal.ok.all()
    assert signal.outcome[0] > 0
    assert signal.outcome[1] == -1.0


def test_only_one_arm_pays_wrong_answers_for_being_cheap() -> None:
    task = find(False, False, False, True)
    dear, nobody = played(task, 3, ANSWER), played(task, ANSWER)
    assert make_reward(DEAR)([dear, nobody]).outcome == pytest.approx([0.1 + 0.9 * 0.5, 0.0])
    assert make_reward(ANYWAY)([dear, nobody]).outcome == pytest.approx([0.1 + 0.9 * 0.5, 0.9])


def test_the_best_expert_is_the_generalist() -> None:
    task = world().tasks(1)[0]
    sample = play(task, best_expert(world().tasks(300)), np.random.default_rng(0), 1).sample
    assert world().check(sample).asked == (world().experts[-1],)


@pytest.mark.parametrize("arm", CLAIM.arms)
def test_trials_are_the_same_again(arm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router_r1, "STEPS", 2)
    monkeypatch.setattr(router_r1, "FRESH", 50)
    first, second = (router_r1.experiment(arm, {"learning_rate": 1.0}, 3) for _ in range(2))
    assert first == second
