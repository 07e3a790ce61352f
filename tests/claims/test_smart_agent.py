"""The pieces of the facts' world: what a trajectory says, and what each way of training learns."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.claims.smart_agent import (
    REASON,
    SEARCH,
    Fact,
    LogisticPolicy,
    Question,
    draw_questions,
    fit_labels,
    write,
)
from guerdon.core.recipe import load_reward
from guerdon.lab.tabular import Decision
from guerdon.verify.reasoning_steps import parse_steps

KNOWN = Fact(20, known=True, features=(1.0, 0.0))
UNKNOWN = Fact(30, known=False, features=(-1.0, 1.0))
QUESTION = Question((KNOWN, UNKNOWN))


def _right(question: Question, *kinds: int) -> float:
    return load_reward("math")([write(question, kinds, np.random.default_rng(0))]).outcome[0]


def test_the_answer_is_right_where_what_is_unknown_is_searched() -> None:
    assert _right(QUESTION, REASON, SEARCH) == 1
    assert _right(QUESTION, SEARCH, SEARCH) == 1
    assert _right(QUESTION, SEARCH, REASON) == 0
    assert _right(QUESTION, REASON, REASON) == 0


def test_the_library_reads_each_kind_of_step() -> None:
    steps = parse_steps(write(QUESTION, [REASON, SEARCH], np.random.default_rng(0)).text)
    assert [step.type for step in steps] == ["normal", "tool", "normal"]
    assert [step.tool for step in steps] == [None, "Search", None]


def test_a_search_costs_where_the_question_is_solved_without() -> None:
    priced = load_reward("smart-agent")
    easy = Question((KNOWN,), solved_without=True)
    samples = [write(q, [SEARCH], np.random.default_rng(0)) for q in (easy, Question((UNKNOWN,)))]
    assert priced(samples).outcome.tolist() == [0.5, 1.0]


def test_questions_are_solved_without_tools_where_all_facts_are_known() -> None:
    questions = draw_questions(200, np.random.default_rng(0))
    assert [q.solved_without for q in questions] == [all(f.known for f in q.facts) for q in questions]
    assert any(q.solved_without for q in questions)


def test_labels_teach_to_search_the_unknown() -> None:
    policy = fit_labels(draw_questions(200, np.random.default_rng(0)), strength=1.0)
    assert policy.probabilities(KNOWN.features, 2)[SEARCH] < 0.1
    assert policy.probabilities(UNKNOWN.features, 2)[SEARCH] > 0.9


def test_the_logistic_policy_steps_up_the_gradient() -> None:
    policy = LogisticPolicy()
    policy.improve([[Decision((2.0, 1.0), SEARCH)]], np.array([[1.0]]), learning_rate=1.0)
    assert policy.parameters == pytest.approx(np.array([0.5, 1.0, 0.5]))
    assert policy.probabilities((0.0, 0.0), 2).sum() == pytest.approx(1.0)
