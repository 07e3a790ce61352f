"""Self-training learns a value and a policy, and no arm spends more than its budget."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.claims.rest_mcts import (
    CLAIM,
    ONE,
    WORLD,
    LearnedValue,
    Readers,
    experiment,
    fine_tuned,
    said,
    self_trained,
    solve,
    summed_up,
    voted,
)
from guerdon.lab.chain_writer import CHOICES, Choice, State
from guerdon.lab.chains import Chain, Operation
from guerdon.train.self_training import ValueExample

CHAIN = Chain(7, (Operation("+", 5), Operation("*", 3)), 10)
TASKS = [task.chat("") for task in WORLD.tasks(10, 20001)]

SETTING = {"temperature": 0.7, "exploration": 0.7}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, number in (("TASKS", 20), ("PROBLEMS", 5), ("BUDGETS", (12, 96))):
        monkeypatch.setattr(f"guerdon.claims.rest_mcts.{name}", number)
    self_trained.cache_clear()


def test_a_policy_is_fitted_to_the_solutions_from_the_beginning() -> None:
    solved = [task.chat(task.solution) for task in WORLD.tasks(10, 20001)]
    fitted = fine_tuned(solved)
    assert fitted.probabilities(State(3, False), CHOICES)[Choice.WORK] > 0.9
    assert fitted.probabilities(State(0, False), CHOICES)[Choice.ANSWER] > 0.9
    assert fitted.probabilities(State(3, True), CHOICES)[Choice.WORK] < 0.6  # wasn't among them


def test_the_value_is_the_mean_target_of_what_looks_the_same() -> None:
    readers = Readers(np.random.default_rng(0))
    task = WORLD.tasks(1, 20001)[0].chat("")
    value, trivial = str(Chain.of(task).start), [f"{Chain.of(task).start}{end}" for end in ("+0=", "-0=")]
    lines = [f"{line}{value}" for line in trivial]
    examples = [
        ValueExample(task.__class__(task.prompt, line, extra=task.extra), target)
        for line, target in zip(lines, (0.2, 0.6), strict=True)
    ]
    learned = LearnedValue(readers, examples)(readers(Chain.of(task)))
    assert learned([(lines[0],), (lines[1],), ("answer 1",)]) == pytest.approx([0.4, 0.4, 0.4])


def test_answers_and_votes() -> None:
    right, cut = ("7+5=2", "2*3=6", "answer 6"), ("7+5=2", "2*3=6")
    early = ("answer 7",)
    assert said([right, cut, early]) == ["answer 6", None, "answer 7"]
    assert voted([early, right, cut], [0.3, 0.4, 5.0]) == right
    assert voted([cut], [1.0]) == ()
    assert summed_up(CHAIN, cut) == right
    assert summed_up(CHAIN, early) == early


@pytest.mark.parametrize("arm", CLAIM.arms)
def test_an_arm_keeps_its_budget(arm: str) -> None:
    learned = self_trained(20001).value
    found = [solve(arm, SETTING, task, learned, 30, seed) for seed, task in enumerate(TASKS)]
    assert all(0 < outcome.calls <= 30 for outcome in found)
    if arm == ONE:
        assert max(outcome.calls for outcome in found) <= 12


@pytest.mark.parametrize("arm", CLAIM.arms)
def test_a_trial_repeats(arm: str) -> None:
    first = experiment(arm, SETTING, 20001)
    self_trained.cache_clear()
    assert experiment(arm, SETTING, 20001) == first
