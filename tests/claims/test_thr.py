"""The bandit of two right answers: its network, its demonstrations, and what token hidden reward says of a training step."""

from __future__ import annotations

from string import ascii_uppercase

import numpy as np
import pytest
import torch

from guerdon.claims.thr import (
    ESTIMATORS,
    LENGTH,
    LETTERS,
    PROMPTS,
    AnswerNet,
    Answers,
    correct,
    demonstrations,
    experiment,
    measure,
)
from guerdon.core.samples import Chat
from guerdon.credit import prediction_errors, token_hidden_reward
from guerdon.models import CausalLogProbs
from guerdon.train import TokenHiddenReward

RIGHT, WRONG = ("abcd", "efgh"), ("abce", "hhhh")
RESPONSES = (*RIGHT, *WRONG)
OFFSETS = np.arange(len(RESPONSES) + 1) * LENGTH


def group():
    return [Chat("A", text, reference=RIGHT, group="A") for text in RESPONSES]


def test_a_step_on_a_token_moves_the_likelihood_of_right_answers_by_its_hidden_reward():
    net, right = AnswerNet(0), np.array([text in RIGHT for text in RESPONSES])
    ids = net.ids(["A" + text for text in RESPONSES])
    output = net(ids[:, :-1])
    errors = prediction_errors(output.logits.softmax(-1).flatten(0, 1).detach(), ids[:, 1:].reshape(-1))
    thr = token_hidden_reward(output.hidden_states[0].flatten(0, 1).detach(), errors, OFFSETS, right)
    head, log_probs = net.parameters[-1], net.log_probs(ids)
    (likelier,) = torch.autograd.grad(log_probs[:2].mean(1).sum(), head, retain_graph=True)
    moved = []
    for response, sign in enumerate([1, 1, -1, -1]):
        for token in range(LENGTH):
            (step,) = torch.autograd.grad(log_probs[response, token], head, retain_graph=True)
            moved.append(sign * float((step * likelier).sum()))
    assert thr.numpy() == pytest.approx(np.array(moved), rel=1e-3, abs=1e-4)


def test_the_reward_measures_the_network_itself():
    net = AnswerNet(0)
    signal = TokenHiddenReward(correct, CausalLogProbs(net, net.tokenizer, reuse=False))(group())
    assert signal.ok.all()
    assert signal.outcome.tolist() == [1, 1, 0, 0]
    ids = net.ids(["A" + text for text in RESPONSES])
    output = net(ids[:, :-1])
    vocabulary, tokens = np.unique(ids[:, 1:].numpy(), return_inverse=True)
    probabilities = output.logits.softmax(-1).flatten(0, 1).detach()[:, vocabulary]
    errors = prediction_errors(probabilities, torch.from_numpy(tokens.reshape(-1)))
    expected = token_hidden_reward(
        output.hidden_states[0].flatten(0, 1).detach(), errors, OFFSETS, signal.outcome > 0
    )
    assert signal.dense is not None
    assert signal.dense.values == pytest.approx(expected.numpy(), rel=1e-4)


def test_demonstrations_show_the_common_answer_twice_as_often_and_the_habit_more_and_more():
    rng = np.random.default_rng(0)
    answers = {prompt: Answers.draw(rng) for prompt in PROMPTS}
    firsts = {
        prompt: [text[1] for text in demonstrations(answers, rng, 200) if text[0] == prompt]
        for prompt in PROMPTS
    }
    share = {
        kind: [firsts[p].count(getattr(answers[p], kind)[0]) for p in PROMPTS] for kind in Answers._fields
    }
    assert 1.5 < sum(share["common"]) / sum(share["rarer"]) < 2.5
    assert sum(share["wrong"][-5:]) > 2 * sum(share["wrong"][:5])


def test_greedy_answers_are_the_likeliest():
    net = AnswerNet(1)
    ids = net.continued(["A", "B"])
    assert ids.shape == (2, 1 + LENGTH)
    first = net(net.ids(["A"])).logits[0, -1].argmax()
    assert ids[0, 1] == first


def test_measures_of_a_network_that_knows_its_answers():
    rng = np.random.default_rng(0)
    net = AnswerNet(0)
    answers = {prompt: Answers.draw(rng) for prompt in PROMPTS}
    fit = torch.optim.Adam(net.parameters, lr=1e-2)
    ids = net.ids([prompt + answer for prompt in PROMPTS for answer in answers[prompt].right])
    for _ in range(200):
        fit.zero_grad()
        (-net.log_probs(ids).mean()).backward()
        fit.step()
    found = measure(net, answers)
    assert found["greedy"] == 1.0
    assert found["pass@1"] == pytest.approx(1.0, abs=0.05)
    assert found["rarer"] == pytest.approx(0.5, abs=0.05)
    assert found["entropy"] == pytest.approx(np.log(2), abs=0.1)


@pytest.mark.parametrize("arm", list(ESTIMATORS))
def test_a_trial_is_deterministic(arm, monkeypatch):
    monkeypatch.setattr("guerdon.claims.thr.STEPS", 2)
    one, two = (experiment(arm, {"learning_rate": 1e-2}, 20_000) for _ in range(2))
    assert one == two


def test_letters_and_prompts_differ():
    assert set(PROMPTS) <= set(ascii_uppercase)
    assert not set(PROMPTS) & set(LETTERS)
