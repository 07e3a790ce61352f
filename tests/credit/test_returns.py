"""Returns along time: equal to the textbook loop, padded or ragged, NumPy or torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.credit import discounted_returns, gae, lambda_returns


def loop_returns(r, d, bootstrap):
    out, following = np.zeros(len(r)), bootstrap
    for t in reversed(range(len(r))):
        out[t] = following = r[t] + d[t] * following
    return out


def loop_lambda(r, v, d, lam, bootstrap):
    out, following, value = np.zeros(len(r)), bootstrap, bootstrap
    for t in reversed(range(len(r))):
        out[t] = following = r[t] + d[t] * ((1 - lam[t]) * value + lam[t] * following)
        value = v[t]
    return out


def loop_gae(r, v, d, lam, bootstrap):
    out, following, value = np.zeros(len(r)), 0.0, bootstrap
    for t in reversed(range(len(r))):
        following = r[t] + d[t] * value - v[t] + d[t] * lam[t] * following
        out[t], value = following, v[t]
    return out


FUNCTIONS = {
    "discounted_returns": (
        lambda r, v, d, lam, **options: discounted_returns(r, d, **options),
        lambda r, v, d, lam, bootstrap: loop_returns(r, d, bootstrap),
    ),
    "lambda_returns": (lambda_returns, loop_lambda),
    "gae": (gae, loop_gae),
}


@st.composite
def padded(draw):
    """Rows with holes, and noise outside the mask that must not matter."""
    n, width = draw(st.integers(0, 4)), draw(st.integers(0, 19))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mask = rng.random((n, width)) < draw(st.sampled_from([0.0, 0.5, 0.9, 1.0]))
    r, v = rng.normal(size=(2, n, width))
    d = np.where(rng.random((n, width)) < 0.1, 0.0, 0.97)
    lam = rng.random((n, width))
    return np.where(mask, r, np.nan), np.where(mask, v, np.inf), d, lam, mask, rng.normal(size=n)


@pytest.mark.parametrize("name", FUNCTIONS)
@given(case=padded())
@settings(max_examples=30, deadline=None)
def test_padded_and_ragged_equal_the_loop_in_numpy_and_torch(name, case):
    function, loop = FUNCTIONS[name]
    r, v, d, lam, mask, bootstrap = case
    expected = np.zeros(r.shape)
    for i, keep in enumerate(mask):
        expected[i, keep] = loop(r[i, keep], v[i, keep], d[i, keep], lam[i, keep], bootstrap[i])

    found = function(r, v, d, lam, mask=mask, bootstrap=bootstrap)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_array_equal(found[~mask], 0.0)

    offsets = np.concatenate(([0], np.cumsum(mask.sum(axis=1))))
    ragged = function(r[mask], v[mask], d[mask], lam[mask], bootstrap=bootstrap, offsets=offsets)
    np.testing.assert_allclose(ragged, expected[mask], atol=1e-12)

    tensors = [torch.from_numpy(array) for array in (r, v, d, lam)]
    in_torch = function(*tensors, mask=torch.from_numpy(mask), bootstrap=torch.from_numpy(bootstrap))
    assert isinstance(in_torch, torch.Tensor)
    np.testing.assert_allclose(in_torch.numpy(), expected, atol=1e-12)


@given(case=padded())
@settings(max_examples=20, deadline=None)
def test_the_three_are_tied_by_their_definitions(case):
    r, v, d, lam, mask, bootstrap = case
    values = np.where(mask, v, 0.0)
    np.testing.assert_allclose(
        gae(r, v, d, lam, mask, bootstrap) + values, lambda_returns(r, v, d, lam, mask, bootstrap), atol=1e-12
    )
    np.testing.assert_allclose(
        lambda_returns(r, v, d, 1.0, mask, bootstrap), discounted_returns(r, d, mask, bootstrap), atol=1e-12
    )


def test_termination_cuts_and_truncation_bootstraps():
    rewards = np.ones((2, 3))
    discount = np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.5]])
    found = discounted_returns(rewards, discount, bootstrap=np.array([100.0, 100.0]))
    np.testing.assert_allclose(found, [[1.75, 1.5, 1.0], [14.25, 26.5, 51.0]])


def test_steps_outside_the_mask_do_not_discount():
    rewards, mask = np.array([[1.0, 9.0, 9.0, 1.0]]), np.array([[1, 0, 0, 1]])
    np.testing.assert_allclose(discounted_returns(rewards, 0.5, mask), [[1.5, 0.0, 0.0, 1.0]])


def test_a_long_row_and_a_zero_discount():
    rewards = np.ones((1, 4097))
    np.testing.assert_array_equal(discounted_returns(rewards, 0.0), rewards)
    np.testing.assert_allclose(discounted_returns(rewards, 1.0)[0, 0], 4097)


def test_inputs_are_left_alone_and_dtype_is_kept():
    rewards = np.ones((2, 5), dtype=np.float32)
    before = rewards.copy()
    found = discounted_returns(rewards, np.float32(0.5))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(rewards, before)
    assert discounted_returns(torch.ones((2, 5), dtype=torch.bfloat16), 0.5).dtype == torch.bfloat16


ROWS = np.zeros((2, 3))


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: discounted_returns(np.zeros(3), 0.9), "rewards"),
        (lambda: discounted_returns(ROWS, 1.5), "discount"),
        (lambda: discounted_returns(ROWS, float("nan")), "discount"),
        (lambda: discounted_returns(ROWS, np.full((2, 3), -0.1)), "discount"),
        (lambda: discounted_returns(ROWS, np.zeros(3)), "discount"),
        (lambda: discounted_returns(ROWS, 0.9, np.ones((2, 2), bool)), "mask"),
        (lambda: discounted_returns(ROWS, 0.9, None, np.zeros(3)), "bootstrap"),
        (lambda: discounted_returns(ROWS, 0.9, None, np.array([0.0, np.nan])), "bootstrap"),
        (lambda: discounted_returns(np.full((2, 3), np.nan), 0.9), "rewards"),
        (lambda: discounted_returns(np.zeros(3), 0.9, offsets=np.array([0, 2])), "offsets"),
        (lambda: discounted_returns(np.zeros(3), 0.9, offsets=np.array([0, 2, 1, 3])), "offsets"),
        (lambda: discounted_returns(np.zeros(3), 0.9, np.ones(3, bool), offsets=np.array([0, 3])), "ragged"),
        (lambda: discounted_returns(ROWS, 0.9, offsets=np.array([0, 2])), "rewards"),
        (lambda: gae(ROWS, np.zeros((2, 4)), 0.9, 0.9), "values"),
        (lambda: gae(ROWS, ROWS, 0.9, 2.0), "lambda_"),
        (lambda: lambda_returns(ROWS, np.full((2, 3), np.inf), 0.9, 0.9), "values"),
    ],
)
def test_bad_input_is_named_at_the_door(call, word):
    with pytest.raises(ValueError, match=word):
        call()


@pytest.mark.parametrize("form", ["padded", "ragged"])
def test_long_rows_have_the_sums_that_a_discount_of_one_gives_and_arguments_stay(form):
    rng = np.random.default_rng(0)
    rewards, mask, bootstrap = rng.normal(size=(3, 500)), rng.random((3, 500)) < 0.7, rng.normal(size=3)
    offsets = np.concatenate(([0], np.cumsum(mask.sum(axis=1))))
    options = {"mask": mask} if form == "padded" else {"offsets": offsets}
    given_rewards = rewards if form == "padded" else rewards[mask]
    before = given_rewards.copy()
    found = discounted_returns(given_rewards, 1.0, bootstrap=bootstrap, **options)
    expected = discounted_returns(given_rewards, np.ones_like(given_rewards), bootstrap=bootstrap, **options)
    np.testing.assert_allclose(found, expected, atol=1e-11)
    np.testing.assert_array_equal(given_rewards, before)
