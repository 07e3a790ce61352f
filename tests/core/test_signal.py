"""Signal: its invariants, what a reward may return, and moving rows about."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import guerdon
from guerdon import Abstain, Chat, Dense, Reward, Score, Signal, Status
from tests.core.strategies import assert_same, signals

CHAT = [Chat("p", "c")]


def scored(returned):
    @guerdon.reward
    def fixed(sample):
        if isinstance(returned, BaseException):
            raise returned
        return returned

    return fixed(CHAT)


@pytest.mark.parametrize(
    ("returned", "outcome"),
    [(1, 1.0), (0.5, 0.5), (True, 1.0), (np.float32(0.5), 0.5), (np.array(2), 2.0), (np.bool_(True), 1.0)],
)
def test_numbers_are_outcomes(returned, outcome):
    assert scored(returned).outcome.tolist() == [outcome]


@pytest.mark.parametrize(
    "returned",
    [
        float("nan"),
        float("inf"),
        -float("inf"),
        "1",
        b"1",
        [1.0],
        {"a": 1},
        np.array([1.0]),
        1j,
        object(),
        10**400,
        Fraction(10**400, 3),
    ],
)
def test_what_is_no_number_fails_and_never_becomes_zero(returned):
    signal = scored(returned)
    assert signal.status.tolist() == [Status.FAILED]
    assert np.isnan(signal.outcome[0])
    assert signal.reasons[0]


@pytest.mark.parametrize("returned", [None, Abstain(), Abstain("why"), Score(None)])
def test_abstaining(returned):
    signal = scored(returned)
    assert signal.status.tolist() == [Status.ABSTAINED]
    assert signal.reasons.get(0) == (str(returned) or None if isinstance(returned, Abstain) else None)


def test_an_exception_fails_with_its_text():
    signal = scored(KeyError("answer"))
    assert signal.status.tolist() == [Status.FAILED]
    assert signal.reasons[0] == "KeyError: 'answer'"


@pytest.mark.parametrize(
    ("score", "reason"),
    [
        (Score(float("nan")), "Score.outcome"),
        (Score(1.0, std=-1.0), "Score.std"),
        (Score(1.0, dense=[1.0, float("inf")]), "Score.dense"),
        (Score(1.0, dense=[[1.0]]), "Score.dense"),
        (Score(1.0, dense=["x"]), "Score.dense"),
        (Score(1.0, dense=[1.0], spans=[]), "Score.spans"),
    ],
)
def test_a_malformed_score_fails(score, reason):
    signal = scored(score)
    assert signal.status.tolist() == [Status.FAILED]
    assert reason in signal.reasons[0]


def test_a_score_fills_every_column():
    signal = scored(
        Score(1.0, dense=[0.5, 0.5], spans=[(0, 2), (2, 5)], std=0.1, parts={"a": 1.0, "b": None}, note="n")
    )
    assert signal.dense.row_spans(0).tolist() == [[0, 2], [2, 5]]
    assert signal.std.tolist() == [0.1]
    assert signal.parts["a"].outcome.tolist() == [1.0]
    assert signal.parts["b"].status.tolist() == [Status.ABSTAINED]
    assert signal.notes == {0: "n"}
    assert signal.total.tolist() == [2.0]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"outcome": [[1.0]]}, "shape"),
        ({"outcome": [np.nan]}, "status is OK"),
        ({"outcome": [np.inf]}, "status is OK"),
        ({"outcome": [1.0], "status": [9]}, "codes 0 to 3"),
        ({"outcome": [1.0], "status": [0, 0]}, "status"),
        ({"outcome": [1.0], "dense": Dense.from_rows([[1.0], [2.0]], "step")}, "dense"),
        ({"outcome": [1.0], "std": [-1.0]}, "std"),
        ({"outcome": [1.0], "parts": {"a": Signal([1.0, 2.0])}}, "parts"),
    ],
)
def test_columns_must_fit(columns, message):
    with pytest.raises(ValueError, match=message):
        Signal(**columns)


@settings(max_examples=60, deadline=None)
@given(signals(5, dense=True), st.lists(st.integers(0, 4), max_size=8))
def test_take_and_concat_move_rows_whole(signal, indices):
    taken = signal.take(np.array(indices, dtype=np.int64))
    for new, old in enumerate(indices):
        assert_same(taken.take([new]), signal.take([old]))
        assert taken.reasons.get(new) == signal.reasons.get(old)
    pieces = [signal.take([i]) for i in range(5)]
    assert_same(Signal.concat(pieces), signal)
    assert Signal.concat(pieces).reasons == signal.reasons


@settings(max_examples=60, deadline=None)
@given(signals(5, dense=True))
def test_rows_and_columns_are_inverse(signal):
    again = Signal.from_values([signal.value(i) for i in range(5)])
    np.testing.assert_array_equal(again.status, signal.status)
    np.testing.assert_array_equal(again.outcome, signal.outcome)
    if again.dense is not None:
        np.testing.assert_array_equal(again.dense.values, signal.dense.values)


def test_a_missing_row_abstains():
    signal = Signal([1.0, 2.0]).take([-1, 1])
    assert signal.status.tolist() == [Status.ABSTAINED, Status.OK]
    with pytest.raises(IndexError):
        signal.take([5])


def test_empty_signals():
    empty = Signal([])
    assert len(empty) == 0
    assert len(Signal.concat([empty, empty])) == 0
    assert len(empty.take([])) == 0
    assert guerdon.reward(lambda sample: 1.0)([]).counts()[Status.OK] == 0


def test_one_row_with_another_unit_fails_alone():
    @guerdon.reward
    def mixed(sample):
        return Score(0.0, dense=[1.0], unit="turn" if sample.completion == "t" else "step")

    signal = mixed([Chat("p", "s"), Chat("p", "t"), Chat("p", "s")])
    assert signal.status.tolist() == [Status.OK, Status.FAILED, Status.OK]
    assert "unit turn" in signal.reasons[1]


def test_a_function_may_take_the_context_in_any_way():
    def second(sample, context):
        return context.step

    def by_another_name(sample, ctx):
        return ctx.step

    def keyword_only(sample, *, context):
        return context.step

    def after_an_option(sample, scale=2, context=None):
        return scale * context.step

    def without(sample, scale=3):
        return scale

    context = guerdon.Context(step=7)
    functions = (second, by_another_name, keyword_only, after_an_option, without)
    assert [guerdon.reward(f)(CHAT, context).outcome[0] for f in functions] == [7, 7, 7, 14, 3]
    for wrong in (lambda: 1.0, lambda a, b, c: 1.0):
        with pytest.raises(TypeError, match="expected a function"):
            guerdon.reward(wrong)


def test_a_number_that_no_float_holds_fails_its_sample_and_not_the_batch():
    class Huge(Reward):
        def score(self, sample, context):
            return 10**5000 if sample.text == "huge" else 1

    signal = Huge()([Chat("p", "huge"), Chat("p", "fine")])
    assert signal.status.tolist() == [Status.FAILED, Status.OK]
    assert "no float can hold" in signal.reasons[0]
