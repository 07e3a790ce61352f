"""Fitting an implicit reward, and what the claim compares its step rewards with."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.claims.implicit_prm import SAMPLES, WORLD, said, steps_of
from guerdon.core.dense import Dense
from guerdon.core.samples import Chat
from guerdon.core.segmenters import lines
from guerdon.lab.characters import character_tokenizer
from guerdon.lab.implicit_fitting import (
    Fitting,
    fitted_to_likelihood,
    fitted_to_outcomes,
    fitted_to_pairs,
)
from guerdon.lab.policy import make_model
from guerdon.models import CausalLogProbs, ImplicitReward

PLAN = Fitting(beta=1.0, learning_rate=1e-2, batch_size=8, epochs=4)
TEXTS = ("right\nend", "wrong\nend")


def chats() -> tuple[list[Chat], list[float]]:
    return [Chat("ask", TEXTS[i % 2]) for i in range(16)], [1.0 - i % 2 for i in range(16)]


def rewards(model: object, reference: object, tokenizer: object) -> np.ndarray:
    policy, start = (CausalLogProbs(one, tokenizer) for one in (model, reference))
    reward = ImplicitReward(policy, start, unit="response")
    return reward([Chat("ask", text) for text in TEXTS]).outcome


@pytest.mark.parametrize("loss", ["outcomes", "pairs"])
def test_fitting_raises_the_reward_of_what_is_right_and_leaves_the_reference(loss: str) -> None:
    samples, labels = chats()
    tokenizer = character_tokenizer(["ask", *TEXTS])
    start = make_model(tokenizer, 0, layers=1, width=32)
    before = [weight.clone() for weight in start.parameters()]
    pairs = list(zip(samples[::2], samples[1::2], strict=True))

    def fit() -> np.ndarray:
        model = (
            fitted_to_outcomes(start, tokenizer, samples, labels, PLAN)
            if loss == "outcomes"
            else fitted_to_pairs(start, tokenizer, pairs, PLAN)
        )
        return rewards(model, start, tokenizer)

    right, wrong = fit()
    assert right > wrong + 0.01
    assert np.array_equal(fit(), [right, wrong])
    assert all(bool((a == b).all()) for a, b in zip(before, start.parameters(), strict=True))


def test_likelihood_learns_what_it_sees() -> None:
    tokenizer = character_tokenizer(["ask", *TEXTS])
    start = make_model(tokenizer, 0, layers=1, width=32)
    model = fitted_to_likelihood(start, tokenizer, [Chat("ask", TEXTS[0])] * 16, PLAN)
    right, wrong = rewards(model, start, tokenizer)
    assert right > wrong


def test_nothing_to_fit_to_and_labels_that_do_not_fit_are_refused() -> None:
    tokenizer = character_tokenizer(["ask", *TEXTS])
    start = make_model(tokenizer, 0, layers=1, width=32)
    with pytest.raises(ValueError, match="at least one"):
        fitted_to_pairs(start, tokenizer, [], PLAN)
    with pytest.raises(ValueError, match="labels"):
        fitted_to_outcomes(start, tokenizer, chats()[0], [1.0], PLAN)
    with pytest.raises(ValueError, match="beta"):
        Fitting(beta=0.0)


def test_steps_count_up_to_the_first_mistake_and_are_voted_for_in_their_problem() -> None:
    task = WORLD.tasks(1)[0]
    right = str(task.solution[0]["content"])
    first, *others = right.split("\n")
    wrong = "\n".join([first[:-1] + str((int(first[-1]) + 1) % WORLD.modulus), *others])
    samples = [task.chat(text) for text in (wrong, *[right] * (SAMPLES - 1))]
    spans = [np.array(lines(sample.text)) for sample in samples]
    steps = steps_of(samples, Dense.from_rows([np.zeros(len(s)) for s in spans], "step", spans))
    per = len(spans[0])
    assert not steps.on_track[0]
    assert steps.on_track[per:].all()
    assert steps.clean[:per].tolist() == [True] + [False] * (per - 1)
    assert steps.votes[[0, per]].tolist() == [1 / SAMPLES, 1 - 1 / SAMPLES]
    assert said(samples[1]) == task.reference
