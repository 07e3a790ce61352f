"""The pieces of the text-to-SQL claim: what is read in a question, what can be written, what is paid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("sqlglot")

from guerdon.claims.reasoning_sql import (
    ALL,
    FORM,
    FROM,
    GROUP,
    JACCARD,
    NEXT,
    ONLY_EXECUTION,
    QUERIES,
    RECALL,
    SELECT,
    WHERE,
    Remembered,
    RowOverlap,
    make_reward,
    play,
    prior,
    questions,
)
from guerdon.core.samples import Chat
from guerdon.lab.tabular import TabularPolicy
from guerdon.verify.sql import SqlExecution

QUESTIONS = questions(60, 7)
TAGGED = next(iter(FORM))


def answer(question: Any, query: str) -> Chat:
    return question.task.chat(TAGGED.format(query=query))


def test_a_question_is_read_as_its_template_and_blanks() -> None:
    for question in QUESTIONS:
        assert QUERIES[question.asked].format(**question.blanks) == question.task.reference


def test_every_question_has_an_answer_that_the_policy_can_write() -> None:
    """By trying all conditions and tables with the columns of the right query."""
    for question in {q.asked: q for q in QUESTIONS}.values():
        columns = [
            c
            for c in SELECT
            if c in QUERIES[question.asked].split(" FROM ")[0].replace("c.", "").replace("p.", "")
        ]
        lists = [", ".join(columns), *columns, ", ".join(c for c in columns if c != "{number}")]
        queries = [
            f"SELECT {listed} FROM {table}{where}{group}".format(**question.blanks)
            for listed in lists
            for table in FROM
            for where in WHERE
            for group in GROUP
        ]
        outcome = SqlExecution()([answer(question, query) for query in queries]).outcome
        assert outcome.max() == 1.0, question.asked


def test_the_untrained_policy_is_mostly_wrong_but_can_be_right() -> None:
    policy, rng = TabularPolicy(prior), np.random.default_rng(0)
    samples = [play(question, policy, rng).sample for question in QUESTIONS * 10]
    assert 0.0 < SqlExecution()(samples).outcome.mean() < 0.1


def test_the_stub_judge_grades_rows() -> None:
    question = next(q for q in QUESTIONS if " > " in q.task.reference and "JOIN" not in q.task.reference)
    right = answer(question, question.task.reference)
    more = answer(question, question.task.reference.split(" WHERE ")[0])
    broken = answer(question, "SELECT nothing FROM nowhere")
    grades = RowOverlap()([right, more, broken]).outcome
    assert grades[0] == 2.0
    assert 0.0 < grades[1] < 2.0
    assert grades[2] == 0.0


def test_the_judge_adds_nothing_to_a_right_answer() -> None:
    question = QUESTIONS[0]
    signal = make_reward(ALL)([answer(question, question.task.reference)])
    assert signal.outcome == pytest.approx([6.5])


def test_recall_pays_for_columns_too_many_and_jaccard_does_not() -> None:
    question = next(q for q in QUESTIONS if q.task.reference.startswith("SELECT MAX"))
    number, table = question.blanks["number"], question.blanks["child"]
    long = answer(question, f"SELECT MAX({number}), {question.blanks['item']} FROM {table}")
    assert make_reward(RECALL)([long]).outcome.tolist() == [1.0]
    assert make_reward(JACCARD)([long]).outcome[0] < 1.0
    assert make_reward(ONLY_EXECUTION)([long]).outcome.tolist() == [0.0]


def test_a_remembered_value_is_that_of_its_question_and_answer() -> None:
    first, second = (q for q in QUESTIONS[:2])
    samples = [answer(q, query) for q in (first, second) for query in (q.task.reference, "SELECT 1")] * 2
    remembered = Remembered(SqlExecution())
    assert remembered(samples).outcome.tolist() == SqlExecution()(samples).outcome.tolist()
    assert remembered(samples[::-1]).outcome.tolist() == SqlExecution()(samples[::-1]).outcome.tolist()


def test_lists_of_columns_can_end() -> None:
    assert "" in NEXT
    assert "" not in SELECT
