"""The pieces of the claim: which answer is better, and what the rewards beside BLEU say."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.claims.bleuberi import (
    BLEU,
    LENGTH,
    Instruction,
    TfIdf,
    agreement,
    draw_instruction,
    draw_pair,
    edit_similarity,
    make_reward,
    measure,
    play,
    prior,
)
from guerdon.core.preferences import Preference
from guerdon.core.samples import Chat
from guerdon.lab.paraphrases import SLOTS
from guerdon.lab.tabular import TabularPolicy


def test_edit_similarity_takes_the_closest_reference() -> None:
    samples = [
        Chat("", "a b c d", ["a x c d e", "z"]),
        Chat("", "a b", ["a b"]),
        Chat("", "a b", ["c", "d e f g"]),
    ]
    assert edit_similarity(samples).outcome == pytest.approx([1 - 2 / 5, 1.0, 0.0])


def test_tfidf_weighs_rare_words_and_takes_the_closest_reference() -> None:
    scored = TfIdf(["the car", "the coat", "the phone"])
    samples = [
        Chat("", "the car", ["the coat", "the car"]),
        Chat("", "the car", ["the coat"]),
        Chat("", "car car", ["car"]),
        Chat("", "zebra", ["the car", "the coat"]),
    ]
    values = scored(samples).outcome
    assert values[[0, 2, 3]] == pytest.approx([1.0, 1.0, 0.0])
    assert 0 < values[1] < 0.5


def test_a_tie_is_half_an_agreement() -> None:
    better, worse, equal = (Chat("", text, ["a b c d"]) for text in ("x x x", "x", "y y y"))
    pairs = [Preference(better, worse), Preference(worse, better), Preference(better, equal)]
    assert agreement(make_reward(LENGTH, []), pairs, 1) == pytest.approx(0.5)
    assert agreement(make_reward(LENGTH, []), pairs[::2], 1) == pytest.approx(0.75)


def test_only_the_first_references_count() -> None:
    pair = Preference(
        Chat("", "one two three four", ["nothing alike at all", "one two three four"]),
        Chat("", "nothing alike at all", ["nothing alike at all", "five"]),
    )
    assert agreement(make_reward(BLEU, []), [pair], 1) == 0.0
    assert agreement(make_reward(BLEU, []), [pair], 2) == 0.5


def test_flaws_are_mixed_so_that_length_says_little() -> None:
    rng = np.random.default_rng(0)
    pairs = [draw_pair(rng) for _ in range(300)]
    sentences = [pair.rejected.final.count(".") for pair in pairs]
    assert {n: round(sentences.count(n) / 300, 1) for n in (1, 2, 3)} == {1: 0.3, 2: 0.3, 3: 0.3}
    assert all(pair.chosen.final.count(".") == 2 for pair in pairs)


def test_a_policy_that_says_what_was_asked_is_measured_so() -> None:
    def sure(state: tuple[object, ...], options: int) -> np.ndarray:
        logits = np.zeros(options)
        if state[0] == "next":
            logits[0 if state[1] is None else int(str(state[1])) + 1] = 50.0
        elif state[0] == "content":
            logits[int(str(state[2]))] = 50.0
        return logits

    rng = np.random.default_rng(0)
    tasks = [draw_instruction(rng) for _ in range(50)]
    found = measure(tasks, TabularPolicy(sure), rng)  # type: ignore[arg-type]
    assert found["content"] == 1.0
    assert found["length ratio"] == pytest.approx(1.0, abs=0.1)
    assert found["repetition"] < 0.02
    assert found["content"] > measure(tasks, TabularPolicy(prior), rng)["content"]


def test_a_decision_for_every_word_choice() -> None:
    rng = np.random.default_rng(1)
    task = Instruction((0,) * SLOTS, ["The doctor bought the car."])
    rollout = play(task, TabularPolicy(prior), rng)
    kinds = [decision.state[0] for decision in rollout.decisions]  # type: ignore[index]
    phrases = len(rollout.sample.extra["said"])
    assert kinds.count("content") == kinds.count("wording") == phrases
    assert kinds.count("next") in (phrases, phrases + 1)
