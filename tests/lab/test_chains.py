"""Chains of arithmetic: what is said of each line, and what can't be talked into being right."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.registry import create
from guerdon.lab.chains import Chain, Chains, CheckedStep, Operation, StepKind, check_steps, solution

SEVEN = Chain(7, (Operation("+", 5), Operation("*", 3), Operation("-", 4)), 10)


def kinds(text: str) -> list[str]:
    return [step.kind.value for step in check_steps(SEVEN, text).steps]


def track(text: str) -> list[bool]:
    return [step.on_track for step in check_steps(SEVEN, text).steps]


def test_the_solution_of_every_task_is_sound() -> None:
    for operations, modulus in [(1, 5), (3, 10), (20, 97)]:
        world = Chains(operations, modulus)
        for task in world.tasks(50, seed=3):
            check = world.check(task.chat(task.solution))
            assert check.sound
            assert check.solved
            assert len(check.steps) == operations + 1
            assert task.reference == task.solution[0]["content"].split()[-1]


def test_kinds_of_lines_and_where_the_solution_leaves_the_track() -> None:
    text = "7+5=2\n2+0=2\n2*3=7\nno 2*3=6\n6-4=2\nanswer 2"
    assert kinds(text) == ["right", "trivial", "slip", "repair", "right", "answer"]
    assert track(text) == [True, True, False, True, True, True]
    check = check_steps(SEVEN, text)
    assert check.answered
    assert not check.sound
    assert check.first_error == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("7*3=1", "other"),  # true, but not asked for now
        ("8+5=3", "other"),  # not the value at hand
        ("7+5=12", "slip"),  # not modulo 10
        ("7+0=8", "other"),
        ("no 7+5=2", "other"),  # nothing to repair
        ("answer 2", "other"),  # too early, though right
        ("+5=2", "other"),
        ("７+5=2", "other"),  # another kind of digit
        ("7+5=2 or so", "other"),
    ],
)
def test_what_is_not_the_next_operation(text: str, said: str) -> None:
    assert kinds(text) == [said]
    assert track(text) == [False]


def test_the_answer_counts_however_it_was_come_by_but_only_at_the_end() -> None:
    assert check_steps(SEVEN, "answer 2").answered
    assert not check_steps(SEVEN, "answer 2").sound
    assert not check_steps(SEVEN, "answer 2\nanswer 2").answered
    assert not check_steps(SEVEN, "answer 2\n2+0=2").answered
    assert not check_steps(SEVEN, "").answered
    assert check_steps(SEVEN, "").steps == ()


def test_a_repair_follows_the_line_that_it_repairs() -> None:
    assert kinds("7+5=3\n3+0=3\nno 7+5=2") == ["slip", "trivial", "other"]
    assert kinds("7+5=3\nno 7+5=4\nno 7+5=2") == ["slip", "slip", "other"]
    assert track("7+5=3\n3*3=9\nno 3*3=9") == [False, False, False]  # repairs a line that was right


@given(st.text(alphabet="0123456789+-*=no answer\n", max_size=200))
def test_any_text_is_judged(text: str) -> None:
    check = check_steps(SEVEN, text)
    assert len(check.steps) <= text.count("\n") + 1
    assert not check.answered or text.rstrip().splitlines()[-1].split()[-1].lstrip("0") in ("2", "02")


def test_a_very_long_text_is_judged() -> None:
    trivial, digits = check_steps(SEVEN, "7+0=7\n" * 100_000), "9" * 100_000
    assert len(trivial.steps) == 100_000
    assert {step.kind for step in trivial.steps} == {StepKind.TRIVIAL}
    for line in (digits, f"answer {digits}", f"7+{digits}=7", f"no {digits}+0={digits}"):
        assert check_steps(SEVEN, line).steps == (CheckedStep(StepKind.OTHER, False),)


def test_demonstrations_slip_as_often_as_told() -> None:
    world, rng = Chains(4, 97), random.Random(0)
    tasks = world.tasks(300)
    assert all(world.check(t.chat(world.demonstrate(t, rng, 0.0)[1:])).sound for t in tasks[:50])
    steps = [
        step
        for t in tasks
        for step in world.check(t.chat(world.demonstrate(t, rng, 0.6)[1:])).steps
        if step.kind is not StepKind.ANSWER
    ]
    assert {step.kind for step in steps} == {StepKind.RIGHT, StepKind.SLIP}
    assert sum(step.kind is StepKind.SLIP for step in steps) / len(steps) == pytest.approx(0.2, abs=0.04)


def test_a_planted_slip_is_where_it_was_planted() -> None:
    text = solution(SEVEN, [False, True], random.Random(0))
    assert kinds(text) == ["right", "slip", "right", "answer"]


def test_equal_seeds_give_equal_tasks_and_settings_are_checked() -> None:
    world = create("chains", "world", {"operations": 2, "modulus": 7})
    assert world.rows(5, 1) == Chains(2, 7).rows(5, 1) != Chains(2, 7).rows(5, 2)
    for wrong in ({"operations": 0}, {"operations": 2.0}, {"modulus": 4}, {"modulus": 101}):
        with pytest.raises(ValueError, match="expected an integer from"):
            Chains(**wrong)  # type: ignore[arg-type]
