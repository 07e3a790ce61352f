"""The reward model of the experiment on verified scores, and the rewards made of it."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.claims.qwen25_math import MODEL, SIGMOID, SUM, VERIFIER, LengthyScore, make, measured
from guerdon.core.context import Context
from guerdon.lab.chains import Chain, Chains, Operation

TASK = Chains(3, 97).task(Chain(7, (Operation("+", 5), Operation("*", 3), Operation("-", 4)), 97))
RIGHT = "7+5=12\n12*3=36\n36-4=32\nanswer 32"
IDLE = "7+0=7\n" * 4 + RIGHT
LUCKY = "1+1=2\n" + RIGHT
IDLE_WRONG = "7+0=7\n" * 11 + "answer 7"
WRONG = "7+5=13\n13*3=39\n39-4=35\nanswer 35"


def context():
    return Context(rng=np.random.default_rng(0))


def test_the_reward_model_adds_up_lines_and_likes_idle_ones():
    found = LengthyScore(noise=0.0)([TASK.chat(text) for text in (RIGHT, IDLE, LUCKY)], context())
    assert found.outcome == pytest.approx([2.0, 3.2, 1.3])


@pytest.mark.parametrize("arm", [SIGMOID, VERIFIER])
def test_no_taste_lifts_a_wrong_answer_above_a_right_one(arm):
    texts = [RIGHT, LUCKY, WRONG, IDLE_WRONG]
    found = make(arm)([TASK.chat(text) for text in texts], context()).outcome
    assert found[:2].min() > found[2:].max()


def test_the_reward_model_alone_prefers_a_long_wrong_answer_to_a_right_one():
    right, idle = LengthyScore(noise=0.0)([TASK.chat(RIGHT), TASK.chat(IDLE_WRONG)], context()).outcome
    assert idle > right


def test_the_sum_adds_the_verdict_to_the_score_as_it_is():
    samples = [TASK.chat(text) for text in (RIGHT, WRONG)]
    gain = make(SUM)(samples, context()).outcome - make(MODEL)(samples, context()).outcome
    assert gain == pytest.approx([1.0, 0.0])


def test_wrong_lines_are_counted_in_right_answers_only():
    found = measured([TASK.chat(text) for text in (RIGHT, LUCKY, WRONG)])
    assert found == pytest.approx({"success": 2 / 3, "wrong lines": 0.5, "lines": 13 / 3})
