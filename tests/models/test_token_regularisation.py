"""Preference optimisation with token rewards."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guerdon.models.token_regularisation import (
    contrastive_token_rewards,
    token_regularised_dpo,
    token_regularised_simpo,
    token_regulariser,
)

LOG_PROB = st.floats(-1e6, 0)


@given(LOG_PROB, LOG_PROB)
def test_token_rewards_are_bounded_and_change_sign_with_the_prompts(better, worse):
    found = contrastive_token_rewards(np.array([better]), np.array([worse]))
    assert abs(found[0]) <= 0.5
    np.testing.assert_array_equal(found, -contrastive_token_rewards(np.array([worse]), np.array([better])))
    if -30 < better - worse < 30:
        assert found[0] == pytest.approx(1 / (1 + math.exp(worse - better)) - 0.5, abs=1e-12)


def test_token_rewards_have_no_gradient_and_skip_what_is_masked():
    better = torch.tensor([[-1.0, float("nan")]], requires_grad=True)
    found = contrastive_token_rewards(better, torch.tensor([[-3.0, 0.0]]), mask=torch.tensor([[1, 0]]))
    assert not found.requires_grad
    assert found.tolist() == [[pytest.approx(1 / (1 + math.exp(-2)) - 0.5), 0.0]]
    with pytest.raises(ValueError, match="finite"):
        contrastive_token_rewards(np.array([-np.inf]), np.array([-np.inf]))


def test_the_regulariser_raises_good_tokens_and_lowers_bad_ones():
    log_probs = torch.tensor([[-1.0, -2.0, float("nan")]], requires_grad=True)
    rewards = torch.tensor([[0.2, -0.3, 0.5]], requires_grad=True)
    token_regulariser(log_probs, rewards, 0.1, mask=torch.tensor([[1, 1, 0]])).sum().backward()
    assert log_probs.grad[0].tolist() == pytest.approx([-0.02, 0.03, 0.0])
    assert rewards.grad is None


def _pair(**options):
    chosen, rejected = (torch.full((2, width), -1.0, requires_grad=True) for width in (3, 2))
    rewards = torch.tensor([[0.4, -0.1, 0.2]]), torch.tensor([[0.1, -0.4]])
    found = token_regularised_dpo(
        chosen,
        rejected,
        torch.full((2, 3), -1.0),
        torch.full((2, 2), -1.0),
        *(row.expand(2, -1) for row in rewards),
        beta=0.1,
        **options,
    )
    return found, chosen, rejected


def test_at_the_reference_the_weight_is_a_half_and_carries_no_gradient():
    found, chosen, _ = _pair(alpha=2.0)
    assert found.preference.tolist() == pytest.approx([math.log(2)] * 2)
    assert found.weight.tolist() == [0.5, 0.5]
    assert not found.weight.requires_grad
    found.total.sum().backward()
    expected = -0.1 * (0.5 + 2.0 * 0.5 * np.array([0.4, -0.1, 0.2]))
    np.testing.assert_allclose(chosen.grad[0], expected, atol=1e-6)


def test_a_static_weight_is_one_and_without_alpha_it_is_dpo():
    found, *_ = _pair(alpha=0.5, weighting="static")
    assert found.weight.tolist() == [1.0, 1.0]
    np.testing.assert_allclose(
        found.total.detach(), (found.preference + 0.5 * (found.chosen + found.rejected)).detach()
    )
    plain, *_ = _pair(alpha=0.0)
    assert plain.total.tolist() == plain.preference.tolist()


def test_the_mean_regulariser_counts_the_tokens_of_the_mask():
    log_probs, rewards = np.array([[-1.0, -2.0, np.nan]]), np.array([[0.2, -0.3, 0.5]])
    mask = np.array([[1, 1, 0]])
    assert token_regulariser(log_probs, rewards, 2.0, mask=mask, reduce="mean") == pytest.approx([-0.4])
    assert token_regulariser(log_probs, rewards, 2.0, mask=mask) == pytest.approx([-0.8])


SIMPO = {
    "policy_chosen": [[-1.0, -3.0]],  # mean −2
    "policy_rejected": [[-2.0, -4.0, -6.0]],  # mean −4
    "rewards_chosen": [[0.4, -0.2]],  # Σ r̂ · log π = 0.2
    "rewards_rejected": [[0.0, 0.5, -0.1]],  # Σ r̂ · log π = −1.4
}


@pytest.mark.parametrize(("gamma", "margin"), [(0.0, 5.0), (1.5, 3.5), (6.0, -1.0)])
def test_simpo_on_one_pair(gamma, margin):
    found = token_regularised_simpo(**{k: np.array(v) for k, v in SIMPO.items()}, gamma=gamma, alpha=0.1)
    weight = 1 / (1 + math.exp(margin))
    assert found.preference[0] == pytest.approx(math.log1p(math.exp(-margin)))
    assert found.weight[0] == pytest.approx(weight)
    assert (found.chosen[0], found.rejected[0]) == pytest.approx((-2.5 * 0.1, 2.5 * 1.4 / 3))
    assert found.total[0] == pytest.approx(
        math.log1p(math.exp(-margin)) + 0.1 * weight * (-0.25 + 2.5 * 1.4 / 3)
    )


@given(st.integers(0, 2**32 - 1), st.sampled_from(["dynamic", "static"]))
def test_the_gradient_of_simpo_is_that_of_its_definition(seed, weighting):
    rng = np.random.default_rng(seed)
    masks = [torch.tensor(rng.random((3, width)) < 0.6) for width in (4, 6)]
    for mask in masks:
        mask[:, int(rng.integers(mask.shape[1]))] = True
    rewards = [torch.tensor(rng.uniform(-0.5, 0.5, mask.shape)) for mask in masks]
    values = [torch.tensor(-5 * rng.random(mask.shape)) for mask in masks]

    def leaves():
        return [value.clone().requires_grad_() for value in values]

    own, plain = leaves(), leaves()
    hidden = [torch.where(mask, value, torch.nan) for mask, value in zip(masks, own, strict=True)]
    token_regularised_simpo(
        *hidden, *rewards, beta=2.0, gamma=0.7, alpha=0.5, mask_chosen=masks[0], mask_rejected=masks[1],
        weighting=weighting,
    ).total.sum().backward()  # fmt: skip
    r, reg = list[torch.Tensor](), list[torch.Tensor]()
    for value, mask, reward in zip(plain, masks, rewards, strict=True):
        r.append(torch.stack([2.0 * row[m].mean() for row, m in zip(value, mask, strict=True)]))
        reg.append(
            torch.stack(
                [-2.0 * (h[m] * row[m]).mean() for row, m, h in zip(value, mask, reward, strict=True)]
            )
        )
    margin = r[0] - r[1] - 0.7
    weight = torch.sigmoid(-margin).detach() if weighting == "dynamic" else 1.0
    (-torch.nn.functional.logsigmoid(margin) + 0.5 * weight * (reg[0] + reg[1])).sum().backward()
    for one, other in zip(own, plain, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_simpo_without_alpha_has_no_regulariser_and_ignores_what_is_masked():
    rng = np.random.default_rng(0)
    arrays = [-rng.random((3, width)) for width in (4, 2, 4, 2)]
    masks = [np.arange(4) < np.array([[1], [4], [2]]), np.arange(2) < np.array([[2], [1], [1]])]
    options = {"mask_chosen": masks[0], "mask_rejected": masks[1]}
    found = token_regularised_simpo(*arrays, alpha=0.0, **options)
    np.testing.assert_array_equal(found.total, found.preference)
    hidden = [torch.tensor(np.where(masks[i % 2], a, np.nan)) for i, a in enumerate(arrays)]
    same = token_regularised_simpo(
        *hidden, alpha=0.0, **{name: torch.tensor(mask) for name, mask in options.items()}
    )
    for one, other in zip(found, same, strict=True):
        np.testing.assert_allclose(one, other.numpy())


def test_simpo_does_not_depend_on_the_length_of_an_answer():
    short = {k: np.array(v) for k, v in SIMPO.items()}
    long = {k: np.tile(v, (1, 50)) for k, v in short.items()}
    for one, other in zip(token_regularised_simpo(**short), token_regularised_simpo(**long), strict=True):
        np.testing.assert_allclose(one, other)


def test_a_pair_that_is_far_apart_stays_finite():
    rows = np.full((1, 1), -5e3), np.zeros((1, 1))
    found = token_regularised_dpo(*rows, *rows[::-1], *rows, beta=1.0, alpha=1.0)
    assert found.preference[0] == pytest.approx(1e4)
    assert found.weight[0] == pytest.approx(1.0)


def test_masked_numpy_is_masked_torch():
    rng = np.random.default_rng(0)
    arrays = [-rng.random((3, 4)) for _ in range(6)]
    masks = [rng.random((3, 4)) > 0.3 for _ in range(2)]
    numpy = token_regularised_dpo(*arrays, mask_chosen=masks[0], mask_rejected=masks[1])
    hidden = [torch.tensor(np.where(masks[i % 2], a, np.nan)) for i, a in enumerate(arrays)]
    same = token_regularised_dpo(*hidden, mask_chosen=torch.tensor(masks[0]), mask_rejected=masks[1])
    for one, other in zip(numpy, same, strict=True):
        np.testing.assert_allclose(one, other.numpy())


def test_wrong_arguments_are_named():
    a, b, flat = np.zeros((1, 2)), np.zeros((1, 3)), np.zeros(2)
    with pytest.raises(ValueError, match="rewards beside policy_rejected: expected shape"):
        token_regularised_dpo(a, b, a, b, a, a)
    with pytest.raises(ValueError, match="policy_chosen: expected shape"):
        token_regularised_dpo(flat, a, flat, a, flat, a)
    two = np.zeros((2, 2))
    with pytest.raises(ValueError, match="policy_rejected: expected 1 rows"):
        token_regularised_dpo(a, two, a, two, a, two)
    with pytest.raises(ValueError, match="alpha: expected"):
        token_regularised_dpo(a, b, a, b, a, b, alpha=-1.0)
    with pytest.raises(ValueError, match="weighting: expected one of"):
        token_regularised_dpo(a, b, a, b, a, b, weighting="half")
    with pytest.raises(ValueError, match="beta: expected"):
        token_regulariser(a, a, 0.0)
    with pytest.raises(ValueError, match="token_rewards beside log_probs"):
        token_regulariser(a, b, 0.1)
    with pytest.raises(ValueError, match="reduce: expected one of"):
        token_regulariser(a, a, 0.1, reduce="max")
    with pytest.raises(ValueError, match="rewards beside policy_rejected: expected shape"):
        token_regularised_simpo(a, b, a, a)
    with pytest.raises(ValueError, match="policy_rejected: expected 1 rows"):
        token_regularised_simpo(a, two, a, two)
    with pytest.raises(ValueError, match="gamma: expected"):
        token_regularised_simpo(a, b, a, b, gamma=-0.1)
    with pytest.raises(ValueError, match="policy_rejected: expected at least one token"):
        token_regularised_simpo(a, b, a, b, mask_rejected=np.zeros((1, 3)))
    with pytest.raises(ValueError, match="log_probs: expected at least one token"):
        token_regulariser(np.zeros((1, 0)), np.zeros((1, 0)), 0.1, reduce="mean")
