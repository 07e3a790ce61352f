"""Input that would once have given a wrong number, an infinite one, or a gradient that is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from guerdon.core.dense import Dense
from guerdon.core.signal import Signal
from guerdon.credit import (
    DenseLeaveOneOut,
    EpisodeStep,
    MinForm,
    StepGroupRelative,
    TurnGroupRelative,
    discounted_returns,
    effective_rewards,
    gae,
    good_minus_bad,
    group_relative,
    influence_on_correct,
    lambda_returns,
    leave_one_out_steps,
    rloo,
    spread_steps,
    step_advantages,
    unit_returns,
    whiten,
)
from guerdon.credit.step_advantage import StepProgress

torch = pytest.importorskip("torch")

STEP_ESTIMATORS = [
    DenseLeaveOneOut(),
    EpisodeStep(),
    MinForm(),
    StepGroupRelative(),
    StepProgress(),
    TurnGroupRelative(),
]
SIGNAL = Signal([1.0, 0.0], dense=Dense(np.array([0.5, 0.2, 0.1]), np.array([0, 2, 3]), None, "step"))
SPANS = np.array([[0, 2], [2, 4], [0, 3]])
MASK, GROUPS = np.ones((2, 4), dtype=bool), np.array([0, 0])


@pytest.fixture
def cutting_asarray(monkeypatch: pytest.MonkeyPatch) -> None:
    """`torch.asarray` as it was up to torch 2.12: without `requires_grad`, the result has no graph."""
    import array_api_compat.torch

    plain = torch.asarray

    def asarray(x: Any, *args: Any, requires_grad: bool = False, **options: Any) -> Any:
        return plain(x, *args, requires_grad=requires_grad, **options)

    monkeypatch.setattr(torch, "asarray", asarray)
    monkeypatch.setattr(array_api_compat.torch, "asarray", asarray)


@pytest.mark.usefixtures("cutting_asarray")
def test_a_graph_survives_older_releases_of_torch() -> None:
    def leaf(*shape: int) -> Any:
        return torch.rand(*shape, dtype=torch.float64, requires_grad=True)

    rewards, row, offsets = torch.rand(2, 3, dtype=torch.float64), leaf(2), torch.tensor([0, 1, 3])
    flat, spans = torch.rand(3, dtype=torch.float64), torch.tensor([[0, 1], [0, 1], [1, 2]])
    hidden, correct = torch.rand(3, 2, dtype=torch.float64), torch.tensor([True, False])
    for result in (
        discounted_returns(leaf(2, 3), 0.9),
        discounted_returns(rewards, 0.9, bootstrap=row),
        gae(rewards, leaf(2, 3), 0.9, 0.5),
        lambda_returns(rewards, leaf(2, 3), 0.9, 0.5),
        step_advantages(rewards, row),
        effective_rewards(rewards, leaf(2, 3)),
        spread_steps(flat, spans, torch.ones(2, 2, dtype=torch.bool), offsets, base=row),
        influence_on_correct(hidden, leaf(3, 4), offsets, correct),
    ):
        assert result.requires_grad


@pytest.mark.parametrize("scale", ["std", "batch_std", "advantage_std", "none"])
def test_a_flat_group_has_a_gradient(scale: Any) -> None:
    rewards = torch.tensor([1.0, 1.0, 0.0, 1.0, 0.5, 0.5], requires_grad=True)
    (group_relative(rewards, 2, scale=scale) * torch.arange(6.0)).sum().backward()
    assert torch.isfinite(rewards.grad).all()


def test_whitened_integers_are_real() -> None:
    integers = np.array([[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(whiten(integers), whiten(integers.astype(float)))
    assert whiten(torch.tensor([[True, False]])).is_floating_point()
    with pytest.raises(ValueError, match="values: expected finite"):
        whiten(np.array([[np.nan, 1.0]]))


@pytest.mark.parametrize("tokens", [[np.nan, 2.0], [-1.0, 2.0], [np.inf, 2.0]])
def test_tokens_of_steps_are_counts(tokens: list[float]) -> None:
    rewards, offsets = np.array([1.0, 2.0]), np.array([0, 1, 2])
    with pytest.raises(ValueError, match="tokens: expected finite numbers of at least 0"):
        leave_one_out_steps(rewards, offsets, 2, tokens=np.array(tokens), lengths=np.array([1, 1]))


def test_an_advantage_that_its_dtype_cannot_hold_is_no_infinity() -> None:
    huge = Signal([1e200, 0.0])
    with pytest.raises(ValueError, match=r"advantage: expected numbers that float32 can hold"):
        rloo()(huge, GROUPS, MASK)
    assert np.isfinite(rloo(dtype="float64")(huge, GROUPS, MASK)).all()
    steps = Signal([1.0, 0.0], dense=Dense(np.array([1e200, 0, -1e200]), np.array([0, 2, 3]), None, "step"))
    with pytest.raises(ValueError, match=r"values: expected numbers that float32 can hold"):
        StepProgress()(steps, GROUPS, MASK, SPANS)


@pytest.mark.parametrize(
    "call",
    [
        lambda: whiten(np.array([[1e308, -1e308]])),
        lambda: group_relative(np.array([1e308, -1e308]), 2),
        lambda: unit_returns(torch.tensor([[3e38, 3e38], [1.0, 2.0]])),
    ],
)
def test_numbers_at_the_end_of_their_dtype_are_refused(call: Any) -> None:
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="the range of"):
        call()


@pytest.mark.parametrize("logits", [[np.inf, np.inf], [np.nan, 0.0]])
def test_logits_are_finite(logits: list[float]) -> None:
    with pytest.raises(ValueError, match="logits: expected finite"):
        good_minus_bad(np.array(logits))


@pytest.mark.parametrize("estimator", STEP_ESTIMATORS, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"mask": np.ones((3, 4), dtype=bool)}, r"mask: expected shape \(2, T\), got \(3, 4\)"),
        ({"mask": np.ones(4, dtype=bool)}, r"mask: expected shape \(2, T\), got \(4,\)"),
        ({"groups": np.array([0])}, r"groups: expected integer codes \(2,\)"),
        ({"groups": 2}, r"groups: expected integer codes \(2,\)"),
        ({"groups": np.array([0.0, 1.0])}, r"groups: expected integer codes \(2,\)"),
        ({"spans": SPANS + 0.5}, r"spans: expected integers \(m, 2\)"),
        ({"spans": SPANS[:, ::-1]}, "spans: expected 0 <= start <= end"),
        ({"spans": SPANS[:2]}, r"spans: expected shape \(3, 2\)"),
    ],
)
def test_what_does_not_fit_an_estimator_is_named(
    estimator: Any, change: dict[str, Any], expected: str
) -> None:
    given: dict[str, Any] = {"groups": GROUPS, "mask": MASK, "spans": SPANS, **change}
    assert np.isfinite(estimator(SIGNAL, GROUPS, MASK, SPANS)).all()
    with pytest.raises(ValueError, match=expected):
        estimator(SIGNAL, given["groups"], given["mask"], given["spans"])


@pytest.mark.parametrize("dtype", ["bfloat16", "int64", "no dtype"])
def test_a_dtype_that_is_none_is_refused(dtype: str) -> None:
    with pytest.raises(ValueError, match="dtype: expected a float type"):
        MinForm(dtype=dtype)
