"""The pieces of the twenty-questions world: what is read, what is paid, where tool output stands."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.claims.igpo import (
    BITS,
    FITTING,
    NAMES,
    UNKNOWN,
    BeliefGain,
    BetweenTools,
    play,
    prior,
    read,
    reply,
)
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal
from guerdon.credit import grpo
from guerdon.lab.tabular import TabularPolicy
from guerdon.verify.tagged_answer import TaggedAnswerF1


def test_all_bits_tell_the_answer_apart() -> None:
    for answer in range(len(NAMES)):
        known = UNKNOWN
        for question in range(BITS):
            known = read(known, reply(answer, question))
        assert np.flatnonzero(prior(("answer", known), len(NAMES))).tolist() == [answer]


def test_other_questions_tell_nothing() -> None:
    assert read("1??0", reply(3, BITS)) == "1??0"


def test_a_turn_is_paid_for_the_rise_of_the_belief() -> None:
    turns = [
        {"role": "assistant", "content": "<tool_call>question 0</tool_call>"},
        {"role": "tool", "content": reply(5, 0)},
        {"role": "assistant", "content": "<tool_call>question 9</tool_call>"},
        {"role": "tool", "content": reply(5, 9)},
        {"role": "assistant", "content": f"<answer>{NAMES[5]}</answer>"},
    ]
    sample = Chat("Which animal is it?", turns, reference=NAMES[5])
    signal = (TaggedAnswerF1() + BeliefGain(TabularPolicy(prior)))([sample])
    assert signal.dense is not None
    half = np.exp(FITTING) / (8 * np.exp(FITTING) + 8)
    assert signal.dense.values == pytest.approx([half - 1 / 16, 0.0])
    assert signal.outcome == pytest.approx([1.0])


def test_a_rollout_names_what_it_decided() -> None:
    rollout = play(5, TabularPolicy(prior), np.random.default_rng(0))
    assert [decision.part for decision in rollout.decisions] == [0, 1, 2, 3, 4, 5]
    assert NAMES[rollout.decisions[-1].choice] in rollout.sample.final


def test_groups_of_equal_outcomes_are_silent() -> None:
    credit = BetweenTools(grpo())
    groups, mask = np.array([0, 0, 1, 1]), np.ones((4, 2), dtype=bool)
    advantages = credit(Signal(np.array([1.0, 1.0, 1.0, 0.0])), groups, mask)
    assert credit.silent == [0.5]
    assert advantages.shape == mask.shape
    assert np.all(advantages[:2] == 0)
    assert np.all(advantages[2] > 0)
    assert np.all(advantages[3] < 0)
