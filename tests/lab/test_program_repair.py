"""The world of broken programs: edits, tests that show the bug, and the model that edits."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.agents.guidance import add_guidance
from guerdon.agents.loop import run_agents
from guerdon.core.samples import Chat
from guerdon.lab.program_repair import (
    EDITS,
    OPERATORS,
    OTHERS,
    RIGHT,
    Repairer,
    broken_programs,
    edit,
    edit_of,
    fenced,
    function_name,
    given_program,
    operators,
    state_of,
)
from guerdon.lab.tabular import TabularPolicy
from guerdon.verify.code import CodeTests

TASKS = broken_programs(4, seed=3)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: state_of(given_program(task)))
def test_an_edit_changes_one_operator_and_can_be_read_again(task: Chat) -> None:
    program = given_program(task)
    edited = [edit(program, i) for i in range(EDITS)]
    assert len({program, *edited}) == EDITS + 1
    for i, after in enumerate(edited):
        changed = [
            line
            for line, (a, b) in enumerate(zip(operators(program), operators(after), strict=True))
            if a != b
        ]
        assert changed == [i // OTHERS]
        assert edit_of(Chat(task.prompt, fenced(after))) == (state_of(program), i, 0)


def test_the_line_of_the_bug_is_named_and_the_right_operators_repair_it() -> None:
    samples = list[Chat]()
    for task in TASKS:
        program = given_program(task)
        right = RIGHT[function_name(program)].split()
        repairs = [i for i in range(EDITS) if operators(edit(program, i)) == right]
        assert [i // OTHERS + 1 for i in repairs] == [task.extra["line"]]
        samples += [
            Chat(task.prompt, fenced(edit(program, repairs[0])), task.reference),
            Chat(task.prompt, fenced(program), task.reference),
        ]
    assert CodeTests()(samples).outcome.tolist() == [1.0, 0.0] * len(TASKS)


def test_seeds_change_constants_and_nothing_else() -> None:
    other = broken_programs(4, seed=4)
    assert [state_of(given_program(t)) for t in other] == [state_of(given_program(t)) for t in TASKS]
    assert len({state_of(given_program(t)) for t in TASKS}) == 12
    assert [t.prompt for t in other] != [t.prompt for t in TASKS]
    assert broken_programs(4, seed=3) == TASKS


def test_every_operator_is_told_apart() -> None:
    for operator in OPERATORS:
        assert operators(f"def f(a, b):\n    c = a {operator} 3\n") == [operator]


def test_guidance_draws_the_model_to_the_line() -> None:
    task = TASKS[0]
    policy = TabularPolicy()
    guided = Chat(add_guidance(task.prompt, f"The bug is in line {task.extra['line']}."), "")
    shares = []
    for prompt in (task, guided):
        drawn = run_agents(Repairer(policy, np.random.default_rng(0)), [prompt] * 400, concurrency=1)
        lines = [edit_of(chat).choice // OTHERS + 1 for chat in drawn]
        shares.append(np.mean([line == task.extra["line"] for line in lines]))
    assert shares[0] == pytest.approx(1 / 5, abs=0.08)
    assert shares[1] == pytest.approx(20 / 24, abs=0.08)
    assert policy.probabilities(state_of(given_program(task)), EDITS) == pytest.approx(1 / EDITS)


def test_an_attempt_without_an_edit_has_none() -> None:
    with pytest.raises(ValueError, match="not in list"):
        edit_of(Chat(TASKS[0].prompt, fenced(given_program(TASKS[0]))))
