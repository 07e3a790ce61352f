"""Hierarchies of rewards that papers describe, said in the algebra."""

from __future__ import annotations

import pytest

from guerdon.core.algebra import gate, minimum
from guerdon.core.function import reward
from guerdon.core.recipe import load_reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Status

TEXTS = {
    "right": "<answer>56</answer>",
    "right, dear": "<answer>56</answer> call call",
    "wrong": "<answer>54</answer>",
    "wrong, dear": "<answer>54</answer> call call",
    "no tags": "56",
}
SAMPLES = [Chat("7*8?", text, reference="56") for text in TEXTS.values()]


@reward
def laid_out(sample):
    return float("<answer>" in sample.text)


@reward
def correct(sample):
    return float("56" in sample.text)


@reward
def cheap(sample):
    return 1.0 - 0.5 * sample.text.count("call")


@reward
def careless(sample):
    if "<answer>" not in sample.text:
        raise ValueError("can't be read")
    return 1.0


def test_a_wrong_format_overrides_the_outcome():
    total = gate(correct, by=laid_out, otherwise=-1.0)
    assert total(SAMPLES).outcome.tolist() == [1, 1, 0, 0, -1]


def test_cost_counts_only_where_the_answer_is_right():
    alpha = 0.6
    total = (1 - alpha) * correct + alpha * gate(cheap, by=correct)
    assert total(SAMPLES).outcome == pytest.approx([1.0, 0.4, 0.0, 0.0, 1.0])


def test_format_over_outcome_over_cost():
    alpha = 0.6
    paid = (1 - alpha) * correct + alpha * gate(cheap, by=correct)
    total = gate(paid, by=laid_out, otherwise=-1.0)
    assert total(SAMPLES).outcome == pytest.approx([1.0, 0.4, 0.0, 0.0, -1.0])
    recipe = load_reward(
        """
        parts: {answer: math, layout: {reward: tags, tags: [answer]}, short: {reward: length, high: 1}}
        total:
          gate:
            sum: [answer, {gate: short, by: answer}]
            weights: [0.4, 0.6]
          by: layout
          otherwise: -1.0
        """
    )
    assert recipe(SAMPLES).outcome[[0, 2, 4]] == pytest.approx([1.0, 0.0, -1.0])


def test_a_closed_gate_hides_what_fails_behind_it():
    assert gate(careless, by=laid_out)(SAMPLES).ok.all()
    assert (laid_out * careless)(SAMPLES).status[4] == Status.FAILED


def test_all_conditions_at_once():
    total = minimum(correct, laid_out)
    assert total(SAMPLES).outcome.tolist() == [1, 1, 0, 0, 0]
    assert (correct * laid_out)(SAMPLES).outcome.tolist() == [1, 1, 0, 0, 0]
