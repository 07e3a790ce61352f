"""Transforms: what each does to the values, and what all of them leave alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.core.context import Context
from guerdon.core.dense import Dense
from guerdon.core.function import reward
from guerdon.core.registry import create, entries
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal, Status
from guerdon.shape import (
    Affine,
    BatchNormalize,
    Center,
    Clip,
    GroupNormalize,
    RunningNormalize,
    Schedule,
    Threshold,
    Total,
)

CONTEXT = Context(step=5)
ARGUMENTS = {
    "threshold": {"at": 0.5},
    "clip": {"low": -1, "high": 1},
    "schedule": {"points": [[0, 0.0], [10, 2.0]]},
}
NAMES = sorted(
    (
        "affine",
        "batch_normalize",
        "center",
        "clip",
        "group_normalize",
        "running_normalize",
        "schedule",
        "threshold",
        "total",
    )
)


def apply(transform, outcome, groups=None, status=None, context=CONTEXT, **columns):
    """The transformed Signal; all rows are one group by default."""
    groups = np.zeros(len(outcome), dtype=np.int64) if groups is None else np.asarray(groups)
    return transform.apply(Signal(outcome, status, **columns), groups, context)


def test_every_transform_is_registered_and_rebuilt_from_its_arguments():
    assert {entry.name for entry in entries("transform")} >= set(NAMES)
    for name in NAMES:
        first, second = (create(name, "transform", ARGUMENTS.get(name, {})) for _ in range(2))
        assert first.name == name
        assert first.fingerprint() == second.fingerprint()


@pytest.mark.parametrize("name", NAMES)
def test_rows_without_a_value_stay_and_count_for_nothing(name):
    transform = create(name, "transform", ARGUMENTS.get(name, {}))
    again = create(name, "transform", ARGUMENTS.get(name, {}))
    status = [0, Status.FAILED, 0, Status.ABSTAINED, 0, Status.TIMED_OUT]
    outcome = np.array([1.0, np.nan, 3.0, np.nan, -5.0, np.nan])
    groups = np.array([0, 0, 0, 1, 1, 2])
    note, reason = {0: "good"}, {1: "broke"}
    found = transform.apply(Signal(outcome, status, reasons=reason, notes=note), groups, CONTEXT)
    np.testing.assert_array_equal(found.status, status)
    assert found.reasons == reason
    assert found.notes == note
    alone = again.apply(Signal(outcome[[0, 2, 4]]), groups[[0, 2, 4]], CONTEXT)
    np.testing.assert_array_equal(found.outcome[[0, 2, 4]], alone.outcome)


@pytest.mark.parametrize("name", NAMES)
def test_empty_and_valueless_batches_pass(name):
    transform = create(name, "transform", ARGUMENTS.get(name, {}))
    assert len(apply(transform, np.empty(0))) == 0
    assert apply(transform, np.full(3, np.nan), status=[2, 2, 1]).counts()[Status.FAILED] == 2


def test_affine():
    found = apply(Affine(-2.0, 1.0), [0.0, 3.0], std=[1.0, 0.5])
    np.testing.assert_array_equal(found.outcome, [1.0, -5.0])
    np.testing.assert_array_equal(found.std, [2.0, 1.0])


def test_a_value_that_overflows_fails_with_a_reason():
    found = apply(Affine(1e300), [1e300, 1.0])
    assert found.status.tolist() == [Status.FAILED, Status.OK]
    assert "inf" in found.reasons[0]
    dense = Dense.from_rows([[1.0, 1e300], [2.0]], "step")
    found = apply(Affine(1e300, channel="dense"), [0.0, 7.0], dense=dense)
    assert found.status.tolist() == [Status.FAILED, Status.OK]
    assert [row.tolist() for row in found.dense] == [[], [2e300]]


def test_clip_and_threshold():
    np.testing.assert_array_equal(apply(Clip(-1, 2), [-5.0, 0.5, 9.0]).outcome, [-1, 0.5, 2])
    np.testing.assert_array_equal(apply(Clip(high=2), [-5.0, 9.0]).outcome, [-5, 2])
    np.testing.assert_array_equal(apply(Threshold(0.5), [0.4, 0.5, 0.6]).outcome, [0, 1, 1])
    np.testing.assert_array_equal(apply(Threshold(0.5, inclusive=False), [0.4, 0.5, 0.6]).outcome, [0, 0, 1])
    assert apply(Clip(low=0), [1.0], std=[0.3]).std is None


def test_the_dense_channel_can_be_mapped_instead():
    dense = Dense.from_rows([[1.0, 5.0], [], [-2.0]], "step", [[(0, 2), (2, 3)], [], [(0, 9)]])
    clipped = apply(Clip(-1, 2, channel="dense"), [9.0, 9.0, 9.0], dense=dense)
    np.testing.assert_array_equal(clipped.outcome, [9.0, 9.0, 9.0])
    np.testing.assert_array_equal(clipped.dense.values, [1.0, 2.0, -1.0])
    np.testing.assert_array_equal(clipped.dense.spans, dense.spans)
    centred = apply(Center(channel="dense"), [0.0, 0.0, 0.0], [0, 0, 1], dense=dense)
    np.testing.assert_array_equal(centred.dense.values, [-2.0, 2.0, 0.0])
    assert apply(Clip(-1, 2, channel="dense"), [9.0]).dense is None


def test_center():
    np.testing.assert_array_equal(apply(Center(), [1.0, 3.0, 7.0], [4, 4, 2]).outcome, [-1, 1, 0])
    np.testing.assert_array_equal(apply(Center("batch"), [1.0, 3.0, 5.0], [4, 4, 2]).outcome, [-2, 0, 2])


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_normalised_groups_have_mean_zero_and_std_one(seed):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 3, 20)
    outcome = rng.normal(50, 9, 20)
    found = apply(GroupNormalize(epsilon=0.0), outcome, groups).outcome
    for code in set(groups.tolist()):
        rows = found[groups == code]
        assert rows.mean() == pytest.approx(0, abs=1e-9)
        assert rows.size == 1 or rows.std(ddof=1) == pytest.approx(1)
    batch = apply(BatchNormalize(epsilon=0.0, ddof=0), outcome, groups).outcome
    assert batch.mean() == pytest.approx(0, abs=1e-9)
    assert batch.std() == pytest.approx(1)


def test_degenerate_groups_are_zero():
    found = apply(GroupNormalize(epsilon=0.0), [0.1, 0.1, 0.1, 5.0, 0.1 + 0.2, 0.3], [0, 0, 0, 1, 2, 2])
    np.testing.assert_array_equal(found.outcome, 0.0)
    np.testing.assert_array_equal(apply(BatchNormalize(epsilon=0.0), [2.0]).outcome, [0.0])


def test_normalising_divides_the_uncertainty():
    found = apply(GroupNormalize(epsilon=0.0, ddof=0), [0.0, 4.0, 1.0], [0, 0, 1], std=[1.0, 2.0, 3.0])
    np.testing.assert_allclose(found.std, [0.5, 1.0, 0.0])


@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, 40), max_size=4))
@settings(max_examples=30, deadline=None)
def test_running_statistics_are_those_of_all_values_seen(seed, cuts):
    values = np.random.default_rng(seed).normal(1e3, 2.0, 40)
    running = RunningNormalize(epsilon=0.0)
    for chunk in np.split(values, sorted(cuts)):
        last = apply(running, chunk).outcome
        if chunk.size:
            final = chunk
    state = running.state_dict()
    assert state["count"] == 40
    assert state["mean"] == pytest.approx(values.mean())
    assert state["m2"] / 39 == pytest.approx(values.var(ddof=1))
    if last.size:
        np.testing.assert_allclose(last, (final - values.mean()) / values.std(ddof=1), atol=1e-9)


def test_running_state_survives_json_and_can_be_frozen():
    running = RunningNormalize(epsilon=0.0)
    np.testing.assert_array_equal(apply(running, [4.0]).outcome, [0.0])
    apply(running, [0.0, 8.0])
    frozen = RunningNormalize(epsilon=0.0, frozen=True)
    np.testing.assert_array_equal(apply(frozen, [1.0, 2.0]).outcome, [0.0, 0.0])
    frozen.load_state_dict(json.loads(json.dumps(running.state_dict())))
    np.testing.assert_allclose(apply(frozen, [8.0, 100.0]).outcome, [1.0, 24.0])
    assert frozen.state_dict() == running.state_dict()


def test_each_part_of_a_sum_keeps_its_own_running_state():
    @reward
    def length(sample):
        return float(len(sample.text))

    @reward
    def vowels(sample):
        return float(sum(letter in "aeiou" for letter in sample.text))

    samples = [Chat("q", text) for text in ("a", "bcd", "eeeee")]
    total = (length | RunningNormalize()) + (vowels | RunningNormalize())
    total(samples)
    states = list(total.state_dict().values())
    assert [state["mean"] for state in states] == pytest.approx([3.0, 2.0])
    twin = (length | RunningNormalize(frozen=True)) + (vowels | RunningNormalize(frozen=True))
    twin.load_state_dict(total.state_dict())
    np.testing.assert_allclose(twin(samples).outcome, total(samples).outcome, rtol=0.2)


@pytest.mark.parametrize(
    ("reduce", "expected"),
    [("sum", [13.0, 3.0]), ("mean", [11.5, 3.0]), ("min", [11.0, 3.0]), ("last", [11.0, 3.0])],
)
def test_total_reduces_dense_values_onto_the_outcome(reduce, expected):
    dense = Dense.from_rows([[2.0, 1.0], [3.0], []], "step")
    found = apply(Total(reduce), [10.0, 0.0, 4.0], dense=dense)
    assert found.dense is None
    np.testing.assert_array_equal(found.outcome[:2], expected)
    if reduce == "sum":
        assert found.outcome[2] == 4.0
    else:
        assert found.status[2] == Status.ABSTAINED
        assert "no parts" in found.reasons[2]


def test_total_without_a_dense_channel():
    np.testing.assert_array_equal(apply(Total(), [1.0, 2.0]).outcome, [1.0, 2.0])
    assert apply(Total("min"), [1.0]).status.tolist() == [Status.ABSTAINED]


def test_schedule():
    linear = Schedule([(0, 1.0), (10, 0.0), (20, 4.0)])
    assert [linear.factor(step) for step in (-3, 0, 5, 10, 15, 20, 99)] == [1, 1, 0.5, 0, 2, 4, 4]
    cosine = Schedule([(0, 0.0), (10, 2.0)], "cosine")
    expected = [2 * (1 - np.cos(np.pi * step / 10)) / 2 for step in range(11)]
    np.testing.assert_allclose([cosine.factor(step) for step in range(11)], expected, atol=1e-12)
    dense = Dense.from_rows([[4.0], [6.0]], "step")
    found = apply(linear, [2.0, -2.0], dense=dense, std=[1.0, 1.0])
    np.testing.assert_array_equal(found.outcome, [1.0, -1.0])
    np.testing.assert_array_equal(found.dense.values, [2.0, 3.0])
    np.testing.assert_array_equal(found.std, [0.5, 0.5])
    with pytest.raises(ValueError, match=r"context\.step"):
        apply(linear, [1.0], context=Context())


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Affine(np.inf), "affine.scale"),
        (lambda: Clip(), "clip"),
        (lambda: Clip(2, 1), "low <= high"),
        (lambda: Clip(np.nan, 1), "low <= high"),
        (lambda: Clip(0, 1, channel="steps"), "clip.channel"),
        (lambda: Threshold(np.nan), "threshold.at"),
        (lambda: Center("everyone"), "center.over"),
        (lambda: GroupNormalize(epsilon=-1.0), "epsilon"),
        (lambda: BatchNormalize(ddof=-1), "ddof"),
        (lambda: RunningNormalize(std_floor=-1.0), "std_floor"),
        (lambda: Total("median"), "total.reduce"),
        (lambda: Schedule([]), "points"),
        (lambda: Schedule([(0, 1, 2)]), "points"),
        (lambda: Schedule([(1, 0.0), (1, 1.0)]), "rising"),
        (lambda: Schedule([(0, np.nan)]), "factor"),
        (lambda: Schedule([(0, 1.0)], "cubic"), "interpolation"),
    ],
)
def test_bad_arguments_are_named_at_the_door(make, word):
    with pytest.raises(ValueError, match=word):
        make()
