"""The world of tool requests: what is read, what a turn says, and what each arm pays for it."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.claims.toolrl import (
    COARSE,
    EQUAL,
    FINE,
    INTERMEDIATE,
    LAYOUTS,
    NAMES,
    PARAMETERS,
    PHRASES,
    RECIPES,
    TRAINING,
    exact,
    play,
    prior,
    requests,
    steps_to,
)
from guerdon.core.recipe import load_reward
from guerdon.lab.tabular import TabularPolicy


def right(state, options):
    """The untrained policy without doubt, and with the tool of the pair that is asked for."""
    logits = 100.0 * prior(state, options)
    if state[0] == "tool":
        logits[NAMES.index(PHRASES[state[1]])] += 100.0
    return logits


def one_wrong(state, options):
    """Right but for one value, the word of `define` and `synonym`."""
    return np.eye(options)[1] * 100.0 if state[-1] == "word" else right(state, options)


def test_sentences_name_the_values_of_the_calls_that_they_ask_for():
    for request in requests(TRAINING, 0):
        calls = request.task.extra["calls"]
        assert len(request.needs) == len(calls)
        for need, call in zip(request.needs, calls, strict=True):
            assert set(need.values) == set(call["parameters"].values())
            assert tuple(call["parameters"]) == PARAMETERS[call["name"]]


@pytest.mark.parametrize(("arm", "most"), [(FINE, 4), (INTERMEDIATE, 4), (COARSE, 4), (EQUAL, 2)])
def test_the_right_decisions_are_solved_and_get_the_maximum(arm, most):
    rng = np.random.default_rng(0)
    rollouts = [play(request, TabularPolicy(right), rng) for request in requests(20, 0)]
    assert exact(rollouts) == 1.0
    assert load_reward(RECIPES[arm])([r.sample for r in rollouts]).outcome == pytest.approx(most)


@pytest.mark.parametrize("layout", range(1, len(LAYOUTS)))
def test_another_layout_is_neither_solved_nor_pays_for_format(layout):
    def policy(state, options):
        return np.eye(options)[layout] * 100.0 if state == ("layout",) else right(state, options)

    rng = np.random.default_rng(0)
    rollouts = [play(request, TabularPolicy(policy), rng) for request in requests(20, 0)]
    assert exact(rollouts) == 0.0
    assert load_reward("toolrl")([r.sample for r in rollouts]).parts["format"].outcome.max() == 0.0


@pytest.mark.parametrize(
    ("arm", "correctness"),
    [(FINE, 6 * 2 / 3 - 3), (INTERMEDIATE, 6 / 2 - 3), (COARSE, -3), (EQUAL, 2 * 2 / 3 - 1)],
)
def test_a_wrong_value_costs_what_the_arm_says(arm, correctness):
    asked = [
        r for r in requests(60, 0) if [c["name"] for c in r.task.extra["calls"]] in (["define"], ["synonym"])
    ]
    rng = np.random.default_rng(0)
    samples = [play(request, TabularPolicy(one_wrong), rng).sample for request in asked]
    assert samples
    assert load_reward(RECIPES[arm])(samples).parts["correctness"].outcome == pytest.approx(correctness)


def test_the_untrained_policy_cannot_tell_the_tools_of_a_pair_apart():
    chances = TabularPolicy(prior).probabilities(("tool", "What does {word} mean?"), len(NAMES))
    assert chances[NAMES.index("define")] == chances[NAMES.index("synonym")] == chances.max()
    assert chances.max() < 0.5


def test_a_level_that_is_never_reached_takes_the_whole_training():
    assert steps_to([(5, 0.5), (10, 0.9), (15, 0.7)], 0.8) == 10
    assert steps_to([(5, 0.5)], 0.8) == 150
