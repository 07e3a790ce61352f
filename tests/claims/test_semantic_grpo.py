"""The pieces of the claim: what is compared with the expert, and that the table holds what the recipe says."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.claims.semantic_grpo import (
    EXACT,
    GOLD,
    OVERLAP,
    ROUGE,
    SUBSETS,
    Question,
    draw_questions,
    make_rewards,
    probes,
    scores,
    train,
    write,
)
from guerdon.core.samples import Chat
from guerdon.lab.paraphrases import say


def right(question: Question) -> str:
    return " ".join(say(fact) for fact in question.facts[:GOLD])


def test_paraphrasing_leaves_the_facts_as_they_are() -> None:
    plain, paraphrased = draw_questions(False, 3), draw_questions(True, 3)
    assert [q.facts for q in plain] == [q.facts for q in paraphrased]
    assert [q.answer for q in plain] == [q.answer for q in paraphrased]
    assert all(q.explanation == right(q) for q in plain)
    assert all(q.explanation != right(q) for q in paraphrased)


def test_each_wrong_fact_differs_in_one_slot() -> None:
    for question in draw_questions(True, 3):
        pairs = zip(question.facts[:GOLD], question.facts[GOLD:], strict=True)
        assert all(sum(a != b for a, b in zip(gold, wrong, strict=True)) == 1 for gold, wrong in pairs)


def test_only_the_explanation_is_compared_with_the_expert() -> None:
    question = draw_questions(False, 3)[0]
    total, meaning = make_rewards(ROUGE)
    wrong = (question.answer + 1) % 4
    samples = [write(question, right(question), letter) for letter in (question.answer, wrong)]
    assert meaning(samples).outcome == pytest.approx([1.0, 1.0])
    assert total(samples).outcome == pytest.approx([2.5, 1.5])


def test_without_its_tags_an_explanation_is_worth_nothing() -> None:
    question = draw_questions(False, 3)[0]
    whole = write(question, right(question), question.answer)
    bare = Chat(whole.prompt, right(question), reference=whole.reference, extra=whole.extra)
    for arm in (ROUGE, EXACT):
        assert [float(scored([bare]).outcome[0]) for scored in make_rewards(arm)] == [0.0, 0.0]


def test_the_table_holds_the_recipe_of_every_completion() -> None:
    table, probed = scores(EXACT, 3)
    questions = draw_questions(False, 3)
    assert OVERLAP[0] == 1.0
    for number, question in enumerate(questions):
        expected = np.full((len(SUBSETS), 4), 0.5)
        expected[:, question.answer] += 1.0
        expected[0] += 1.0
        assert table[0, number] == pytest.approx(expected)
    assert table[1].max() == 1.5
    assert probed.tolist() == [0.0, 0.0, 0.0]


def test_the_probes_keep_the_words_of_what_they_distort() -> None:
    question = draw_questions(True, 3)[0]
    _, keywords, denied = (chat.final.removeprefix("<explanation>") for chat in probes(question, 3))
    assert sorted(keywords.partition("<")[0].split()) == sorted(question.explanation.split())
    assert denied.count("It is not true that the ") == GOLD


def test_training_finds_what_the_table_rewards() -> None:
    questions = draw_questions(False, 3)[:2]
    known = np.zeros((2, len(SUBSETS), 4))
    known += OVERLAP[:, None]
    for number, question in enumerate(questions):
        known[number, :, question.answer] += 1.0
    run = train(questions, known, {"learning_rate": 1.0}, 0)
    assert run.metrics["F1"] > 0.95
    assert run.metrics["accuracy"] > 0.95
    assert train(questions, known, {"learning_rate": 1.0}, 0) == run
