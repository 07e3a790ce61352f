"""Choices of a multi-armed bandit, one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.context import EMPTY
from guerdon.core.recipe import load_reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Abstain, Status
from guerdon.verify.bandit import BanditChoice, strategic_reward, ucb_action

MEANS = {"means": [0.1, 0.5, 0.9]}


def scored(reward, text, reference):
    return reward.score(Chat("which arm?", text, reference=reference), EMPTY)


@given(
    means=st.lists(st.integers(-5, 5), min_size=1, max_size=6),
    scale=st.floats(0.5, 10),
    shift=st.floats(-5, 5),
)
def test_the_strategic_reward_ranks_arms_on_any_scale(means, scale, shift):
    found = [strategic_reward(arm, means) for arm in range(len(means))]
    assert max(found) == 1.0
    assert min(found) == (1.0 if len(set(means)) == 1 else 0.0)
    moved = np.array(means) * scale + shift
    if len(set(means)) > 1:
        np.testing.assert_allclose(
            [strategic_reward(arm, moved) for arm in range(len(means))], found, atol=1e-6
        )


def test_ucb():
    assert ucb_action([3, 0, 0], [3.0, 0.0, 0.0]) == 1
    assert ucb_action([2, 2], [1.0, 1.0]) == 0
    assert ucb_action([10, 1], [9.0, 0.0], c=0.0) == 0
    bonus = math.sqrt(math.log(11) / 1) - math.sqrt(math.log(11) / 10)
    assert ucb_action([10, 1], [10 * (1.001 * bonus), 0.0]) == 0
    assert ucb_action([10, 1], [10 * (0.999 * bonus), 0.0]) == 1


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: strategic_reward(3, [0, 1, 2]), "arm"),
        (lambda: strategic_reward(-1, [0, 1, 2]), "arm"),
        (lambda: strategic_reward(0, []), "means"),
        (lambda: strategic_reward(0, [math.nan, 1]), "means"),
        (lambda: strategic_reward(0, ["a"]), "means"),
        (lambda: ucb_action([1, 2], [1.0]), "sums"),
        (lambda: ucb_action([1, -2], [1.0, 1.0]), "counts"),
        (lambda: ucb_action([1.5, 1], [1.0, 1.0]), "counts"),
        (lambda: ucb_action([1, 1], [1.0, 1.0], c=-1.0), "c:"),
        (lambda: BanditChoice(against="best"), "against"),
        (lambda: BanditChoice(tag=""), "tag"),
        (lambda: BanditChoice(c=math.inf), "c:"),
        (lambda: BanditChoice(invalid=math.nan), "invalid"),
    ],
)
def test_wrong_arguments_are_named(call, named):
    with pytest.raises(ValueError, match=named):
        call()


def test_the_last_legal_arm_is_the_choice():
    reward = BanditChoice()
    assert scored(reward, "<answer>0</answer> no: <answer> 2\n</answer>", MEANS) == 1.0
    assert scored(reward, "<answer>1</answer><answer>the last one</answer>", MEANS) == 0.5
    named = {**MEANS, "arms": ["red", "green", "blue"]}
    assert scored(reward, "<answer>green</answer>", named) == 0.5
    assert scored(BanditChoice(tag="arm"), "<arm>blue</arm><answer>red</answer>", named) == 1.0


@pytest.mark.parametrize(
    "text",
    ["", "2", "<answer>3</answer>", "<answer>-1</answer>", "<answer>2", "\ud800", "<answer>" * 100_000],
)
def test_no_arm_is_invalid(text):
    assert scored(BanditChoice(), text, MEANS) == 0.0
    assert scored(BanditChoice(invalid=-1.0), text, MEANS) == -1.0


def test_imitation_of_ucb():
    reward = BanditChoice(against="ucb")
    history = {"counts": [10, 1], "sums": [6.0, 0.5]}
    assert scored(reward, "<answer>1</answer>", history) == 1.0
    assert scored(reward, "<answer>0</answer>", history) == 0.0
    assert scored(BanditChoice(against="ucb", c=0.0), "<answer>0</answer>", history) == 1.0


def test_references_that_say_too_little_or_nonsense():
    for reference in (None, "0.1", [0.1], {}, {"means": None}):
        with pytest.raises(Abstain, match="reference"):
            scored(BanditChoice(), "<answer>0</answer>", reference)
    with pytest.raises(Abstain, match="counts"):
        scored(BanditChoice(against="ucb"), "<answer>0</answer>", MEANS)
    bad = [
        {"means": "ab"},
        {"means": []},
        {"means": [10**400]},
        {"means": [math.inf]},
        {**MEANS, "arms": ["a", "b"]},
    ]
    bad += [{**MEANS, "arms": ["a", "b", "a "]}, {**MEANS, "arms": [1, 2, 3]}]
    signal = BanditChoice()([Chat("q", "nothing", reference=reference) for reference in bad])
    assert signal.status.tolist() == [Status.FAILED] * len(bad)
    assert all("reference" in signal.reasons[i] for i in range(len(bad)))


def test_the_recipe_of_the_published_reward():
    signal = load_reward("meta-bandit-greedy")([Chat("q", "<answer>1</answer>", reference=MEANS)])
    assert signal.outcome.tolist() == [0.5]
