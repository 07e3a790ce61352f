"""Losses that fit an implicit reward."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from guerdon.models.implicit_loss import dpo_loss, nca_loss, outcome_cross_entropy, paired_kto_loss

PAIR_LOSSES = [dpo_loss, paired_kto_loss, nca_loss]
PAIRS = st.lists(st.tuples(*[st.floats(-50, 0)] * 4), min_size=1, max_size=5)


@given(st.lists(st.tuples(st.floats(-20, 20), st.floats(0, 1)), min_size=1, max_size=6))
def test_cross_entropy_is_that_of_torch(rows):
    rewards, labels = (np.array(column) for column in zip(*rows, strict=True))
    expected = torch.nn.functional.binary_cross_entropy_with_logits(*map(torch.tensor, (rewards, labels)))
    assert float(outcome_cross_entropy(rewards, labels)) == pytest.approx(float(expected), abs=1e-9)


def test_cross_entropy_neither_overflows_nor_saturates():
    rewards = torch.tensor([-1e4, 1e4], requires_grad=True)
    loss = outcome_cross_entropy(rewards, torch.tensor([1.0, 0.0]))
    loss.backward()
    assert loss.item() == 1e4
    assert rewards.grad.tolist() == [-0.5, 0.5]


def test_the_paired_losses_by_hand():
    columns = [np.array(column) for column in ([-1.0, -2.0], [-3.0, -9.0], [-3.0, -3.0], [-4.0, -4.0])]
    chosen, rejected = (
        np.array([2.0, 1.0]),
        np.array([1.0, -5.0]),
    )  # whose mean is below 0: no KL of the rejected
    kto = (expit(-0.5 * chosen).sum() + expit(-0.5 * (1.5 - rejected)).sum()) / 4
    assert float(paired_kto_loss(*columns, 0.5)) == pytest.approx(kto)
    against = np.log(expit(-0.5 * chosen)) + np.log(expit(-0.5 * rejected))
    nca = (-np.log(expit(0.5 * chosen)) - 0.5 * against).mean()
    assert float(nca_loss(*columns, 0.5)) == pytest.approx(nca)


@pytest.mark.parametrize("loss", PAIR_LOSSES)
@given(pairs=PAIRS, beta=st.floats(0.01, 1))
def test_numpy_and_torch_agree(loss, pairs, beta):
    columns = [np.array(column) for column in zip(*pairs, strict=True)]
    found = float(loss(*columns, beta))
    assert math.isfinite(found)
    assert found == pytest.approx(float(loss(*map(torch.tensor, columns), beta)), abs=1e-12)


@pytest.mark.parametrize(("loss", "start"), [(dpo_loss, math.log(2)), (paired_kto_loss, 0.5)])
def test_at_the_reference_nothing_is_preferred_and_training_raises_the_chosen(loss, start):
    chosen, rejected = (torch.full((3,), -5.0, requires_grad=True) for _ in range(2))
    reference = torch.full((3,), -5.0)
    found = loss(chosen, rejected, reference, reference)
    assert found.item() == pytest.approx(start)
    found.backward()
    assert (chosen.grad < 0).all()
    assert (rejected.grad > 0).all()


def test_contrastive_noise_alignment_resists_where_both_fall():
    both = np.array([-30.0])
    zero = np.zeros(1)
    assert dpo_loss(both, both, zero, zero, 1.0) == pytest.approx(math.log(2))
    assert nca_loss(both, both, zero, zero, 1.0) == pytest.approx(30.0)


@pytest.mark.parametrize("loss", PAIR_LOSSES)
def test_wrong_arguments_are_named(loss):
    one, two, none = np.zeros(1), np.zeros(2), np.zeros(0)
    with pytest.raises(ValueError, match="ref_rejected: expected shape"):
        loss(one, one, one, two)
    with pytest.raises(ValueError, match="policy_chosen: expected shape"):
        loss(none, none, none, none)
    with pytest.raises(ValueError, match="beta: expected"):
        loss(one, one, one, one, 0.0)


@pytest.mark.parametrize("label", [-0.1, 1.1, np.nan])
def test_a_label_is_a_probability(label):
    with pytest.raises(ValueError, match=r"target: expected numbers in \[0, 1\]"):
        outcome_cross_entropy(np.zeros(1), np.array([label]))
    with pytest.raises(ValueError, match="labels: expected shape"):
        outcome_cross_entropy(np.zeros(1), np.zeros(2))
    with pytest.raises(ValueError, match="rewards: expected shape"):
        outcome_cross_entropy(np.zeros(0), np.zeros(0))
