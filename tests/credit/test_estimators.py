"""Estimators: what a trainer gets from a Signal."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.core.dense import Dense
from guerdon.core.registry import create, entries
from guerdon.core.signal import Signal, Status
from guerdon.credit import Estimator, StepGroupRelative, batch_std, group_relative

NAMES = (
    *("grpo", "dr_grpo", "rloo", "batch_std", "step_group_relative"),
    *("turn_group", "min_form", "rloo_dense", "episode_step"),
)
MASK = np.array([[1, 1, 1, 1, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 1, 1, 1]], dtype=bool)
GROUPS = np.array([5, 5, 9, 9])


def stepwise(status=(0, 0, 0, 0)) -> tuple[Signal, np.ndarray]:
    """Four samples with 2, 1, 3 and 0 steps, and where the steps lie."""
    dense = Dense.from_rows([[1.0, 0.0], [2.0], [0.5, -1.0, 0.0], []], "step")
    spans = np.array([[0, 2], [2, 4], [1, 3], [0, 1], [1, 3], [4, 5]])
    outcome = np.array([1.0, 0.0, 2.0, 4.0])
    signal = Signal(np.where(np.array(status) == 0, outcome, np.nan), np.array(status), dense=dense)
    kept = np.repeat(np.array(status) == 0, dense.lengths)
    return signal, spans[kept]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_makes_an_estimator_that_a_recipe_can_write_down(name):
    assert name in {entry.name for entry in entries("credit")}
    estimator = create(name, "credit", {"dtype": "float64"})
    assert isinstance(estimator, Estimator)
    assert estimator.spec.name == name
    signal, spans = stepwise()
    found = estimator(signal, GROUPS, MASK, spans)
    assert found.dtype == np.float64
    assert found.shape == MASK.shape
    np.testing.assert_array_equal(found[~MASK], 0.0)
    assert np.abs(found).max() > 0


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("grpo", {}),
        ("dr_grpo", {"scale": "none"}),
        ("rloo", {"baseline": "leave_one_out", "scale": "none"}),
        ("batch_std", {"scale": "batch_std"}),
    ],
)
def test_outcome_estimators_give_the_advantage_of_the_total_to_every_token(name, options):
    signal, _ = stepwise()
    expected = group_relative(signal.total, GROUPS, **options)
    found = create(name, "credit", {"dtype": "float64"})(signal, GROUPS, MASK)
    np.testing.assert_allclose(found, np.where(MASK, expected[:, None], 0.0))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("status", [Status.ABSTAINED, Status.FAILED, Status.TIMED_OUT])
def test_a_sample_without_a_reward_gets_zero_and_stays_out_of_baselines(name, status):
    estimator = create(name, "credit", {"dtype": "float64"})
    signal, spans = stepwise((0, 0, 0, int(status)))
    found = estimator(signal, GROUPS, MASK, spans)
    np.testing.assert_array_equal(found[3], 0.0)
    alone = estimator(signal.take([0, 1, 2]), GROUPS[:3], MASK[:3], spans)
    np.testing.assert_allclose(found[:3], alone, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_without_any_reward_is_all_zero(name):
    found = create(name, "credit")(Signal.failed(4, "judge is down"), GROUPS, MASK)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.zeros(MASK.shape))


@pytest.mark.parametrize("discount", [1.0, 0.5])
def test_step_rewards_are_normalised_over_the_group_and_summed_to_the_end(discount):
    signal, spans = stepwise()
    steps = {5: np.array([1.0, 0.0, 2.0]), 9: np.array([0.5, -1.0, 0.0])}
    z = {g: (x - x.mean()) / (x.std(ddof=1) + 1e-4) for g, x in steps.items()}
    outcome = group_relative(signal.outcome, GROUPS)
    rewards = [list(z[5][:2]), list(z[5][2:]), list(z[9]), []]
    ends = [[2, 4], [3], [1, 3, 5], []]
    expected = np.zeros(MASK.shape)
    for i in range(4):
        for t in np.flatnonzero(MASK[i]):
            coming = [r for r, end in zip(rewards[i], ends[i], strict=True) if end > t]
            expected[i, t] = outcome[i] + sum(discount**k * r for k, r in enumerate(coming))
    found = StepGroupRelative(discount=discount, dtype="float64")(signal, GROUPS, MASK, spans)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_order_of_steps_within_a_row_does_not_matter():
    signal = Signal(np.zeros(2), dense=Dense.from_rows([[1.0, 2.0], [3.0]], "step"))
    turned = Signal(np.zeros(2), dense=Dense.from_rows([[2.0, 1.0], [3.0]], "step"))
    groups, mask, estimator = np.zeros(2, int), np.ones((2, 4), bool), StepGroupRelative()
    np.testing.assert_array_equal(
        estimator(signal, groups, mask, np.array([[0, 2], [2, 4], [0, 4]])),
        estimator(turned, groups, mask, np.array([[2, 4], [0, 2], [0, 4]])),
    )


@pytest.mark.parametrize("spans", [None, [[(0, 1), (1, 2)], [(0, 1)]]])
def test_a_token_channel_needs_no_spans(spans):
    signal = Signal(np.zeros(2), dense=Dense.from_rows([[1.0, 2.0], [4.0]], "token", spans))
    found = StepGroupRelative(dtype="float64")(signal, np.zeros(2, int), np.ones((2, 2), bool))
    z = (np.array([1.0, 2.0, 4.0]) - 7 / 3) / (np.std([1.0, 2.0, 4.0], ddof=1) + 1e-4)
    np.testing.assert_allclose(found, [[z[0] + z[1], z[1]], [z[2], 0.0]], atol=1e-12)


def test_step_weight_scales_the_step_part_only():
    signal, spans = stepwise()
    none, one, two = (StepGroupRelative(step_weight=w)(signal, GROUPS, MASK, spans) for w in (0.0, 1.0, 2.0))
    np.testing.assert_allclose(two - none, 2 * (one - none), atol=1e-5)
    outcome = group_relative(signal.outcome, GROUPS)
    np.testing.assert_allclose(none, np.where(MASK, outcome[:, None], 0.0), rtol=1e-6)


def test_equal_step_rewards_carry_no_signal():
    signal = Signal(np.ones(2), dense=Dense.from_rows([[0.1, 0.1], [0.1]], "token"))
    found = StepGroupRelative(epsilon=0.0)(signal, np.zeros(2, int), np.ones((2, 3), bool))
    np.testing.assert_array_equal(found, 0.0)


def test_errors_say_what_is_missing():
    signal, spans = stepwise()
    estimator = StepGroupRelative()
    with pytest.raises(ValueError, match="token_spans"):
        estimator(signal, GROUPS, MASK)
    with pytest.raises(ValueError, match="one a dense value"):
        estimator(signal, GROUPS, MASK, spans[:-1])
    with pytest.raises(ValueError, match="no dense channel"):
        estimator(Signal(np.zeros(4)), GROUPS, MASK)
    with pytest.raises(ValueError, match="groups"):
        estimator(signal, GROUPS[:3], MASK, spans)
    with pytest.raises(ValueError, match="mask"):
        estimator(signal, GROUPS, MASK[:3], spans)
    with pytest.raises(ValueError, match=r"batch_std\.of"):
        batch_std(of="std")
    with pytest.raises(ValueError, match="dtype"):
        create("grpo", "credit", {"dtype": "int32"})
    with pytest.raises(ValueError, match="discount"):
        StepGroupRelative(discount=2.0)
