"""The pieces of the programs' world: what is read, what is run, and what the grader lets in."""

from __future__ import annotations

import re

import numpy as np
import pytest

from guerdon.agents.python import python_tool
from guerdon.claims.tora import (
    FORMS,
    HARD,
    KEPT,
    MEANING,
    OPERATORS,
    Program,
    Question,
    Solution,
    draw,
    fit,
    grades,
    read,
    shaped,
    taught,
    trajectory,
)
from guerdon.lab.arithmetic import Arithmetic
from guerdon.verify.programs import fenced_programs, last_output

SHARE = Question("(6 + 4) * 5", ("_ buys _ more", "_ fills _ such boxes"), ("6", "4", "5"), "50")
QUESTIONS = [read(task) for task in Arithmetic(operations=2).tasks(100, seed=7)]


def _program(first: str, second: str, form: int) -> Program:
    return Program(OPERATORS.index(first), OPERATORS.index(second), form)


def test_every_question_is_read() -> None:
    assert len(MEANING) == 12
    assert len(HARD) == 4
    meant = [[MEANING[phrase] for phrase in question.phrases] for question in QUESTIONS]
    assert grades([Solution(q, _program(p, s, 0)) for q, (p, s) in zip(QUESTIONS, meant, strict=True)]).all()


def test_the_teacher_solves_what_it_understands_and_nothing_else() -> None:
    solutions = [solution for question in QUESTIONS for solution in taught(question)]
    assert 0 < len(solutions) < len(QUESTIONS)
    assert all(HARD.isdisjoint(solution.question.phrases) for solution in solutions)
    assert grades(solutions).all()


@pytest.mark.parametrize("form", range(len(FORMS)))
def test_a_trajectory_shows_what_its_programs_print(form: int) -> None:
    text = trajectory(Solution(SHARE, _program("+", "*", form)))
    for program, shown in zip(fenced_programs(text), re.findall(r"```output\n(.*)\n```", text), strict=True):
        assert float(python_tool()(code=program)) == float(shown)


def test_a_division_by_zero_is_the_output() -> None:
    question = SHARE._replace(numbers=("6", "4", "4"))
    assert "division by zero" in last_output(trajectory(Solution(question, _program("/", "-", 4))))


def test_which_forms_are_right_depends_on_the_operators() -> None:
    product = [Solution(SHARE, _program("+", "*", form)) for form in range(len(FORMS))]
    assert grades(product).tolist() == [True, True, True, True, False, True, False]
    difference = SHARE._replace(numbers=("9", "4", "5"), answer="0")
    assert grades([Solution(difference, _program("-", "-", 0))]).all()
    assert not grades([Solution(difference, _program("-", "-", 3))]).any()


def test_imitation_writes_what_it_was_shown() -> None:
    policy = fit([Solution(SHARE, _program("+", "*", 5))], smoothing=1e-9)
    drawn = draw(policy, SHARE, 20, np.random.default_rng(0))
    assert {solution.program for solution in drawn} == {_program("+", "*", 5)}


def test_shaping_keeps_a_few_distinct_right_programs() -> None:
    policy = fit([solution for question in QUESTIONS for solution in taught(question)], smoothing=1.0)
    kept = shaped(policy, QUESTIONS[:10], np.random.default_rng(0))
    assert grades(kept).all()
    assert len(set(kept)) == len(kept)
    assert max(sum(s.question == q for s in kept) for q in QUESTIONS[:10]) == KEPT
    ungraded = shaped(policy, QUESTIONS[:10], np.random.default_rng(0), graded=False)
    assert not grades(ungraded).all()
