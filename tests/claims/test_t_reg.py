"""The answers and the bigram model of the experiment on token-level regularisation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from guerdon.claims.t_reg import CONTENT, DPO, END, LENGTH, START, TREG, Model, fitted, make, trained, write


@pytest.fixture
def answers():
    counts = np.arange(200) % 4
    return write(np.arange(200) % 6, counts, np.random.default_rng(0)), counts


def test_a_corrupted_word_is_the_one_of_another_topic_in_its_place(answers):
    sentences, counts = answers
    content = sentences.words < CONTENT
    foreign = content & (sentences.words // LENGTH != sentences.topics[:, None])
    assert np.array_equal(foreign, sentences.corrupted)
    assert np.array_equal(sentences.corrupted.sum(axis=1), counts)
    assert all((row[row < CONTENT] % LENGTH).tolist() == list(range(LENGTH)) for row in sentences.words)


def test_the_mask_ends_with_one_end(answers):
    sentences, _ = answers
    assert ((sentences.words == END) & sentences.mask).sum(axis=1).tolist() == [1] * 200
    assert (sentences.words[~sentences.mask] == END).all()


def test_the_model_is_the_bigrams_it_was_fitted_to(answers):
    sentences, _ = answers
    logits = fitted(sentences)
    found = Model(torch.tensor(logits)).log_probs(sentences).numpy()
    weights = np.exp(logits[sentences.topics[0], START])
    assert found[0, 0] == pytest.approx(np.log(weights[sentences.words[0, 0]] / weights.sum()))
    before, after = sentences.words[0, :2]
    weights = np.exp(logits[sentences.topics[0], before])
    assert found[0, 1] == pytest.approx(np.log(weights[after] / weights.sum()))


def test_the_model_rewards_right_words_above_corrupted_ones_unless_they_follow_one():
    problem = make(20000)
    rewards, side = problem.rewards[1].numpy(), problem.rejected
    right = side.mask & (side.words < CONTENT) & ~side.corrupted
    follows = np.pad(side.corrupted[:, :-1], ((0, 0), (1, 0)))
    assert rewards[right & ~follows].mean() > 0.02
    assert rewards[side.corrupted].mean() < -0.05
    assert rewards[right & follows].mean() < -0.05


def test_a_regulariser_of_no_weight_is_plain_dpo():
    problem = make(20000)
    plain = trained(DPO, {"learning_rate": 0.05}, problem)
    assert torch.equal(plain.logits, trained(TREG, {"learning_rate": 0.05, "alpha": 0.0}, problem).logits)
    assert not torch.equal(plain.logits, trained(TREG, {"learning_rate": 0.05, "alpha": 1.0}, problem).logits)
