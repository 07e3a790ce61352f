"""The algebra of rewards: laws, the status rule, sharing and scope."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import guerdon
from guerdon import Chat, Dense, Score, Signal, Status, Transform, gate, maximum, minimum
from guerdon.core.algebra import Product, Sum
from tests.core.strategies import Prepared, assert_same, chats, signals

N = 6
three = st.tuples(signals(N), signals(N), signals(N))


def prepared(found):
    return [Prepared(signal, name) for signal, name in zip(found, "abcdef", strict=False)]


@settings(max_examples=60, deadline=None)
@given(three)
def test_sums_products_and_extrema_are_associative_and_commutative(found):
    a, b, c = prepared(found)
    samples = chats(N)
    assert_same(((a + b) + c)(samples), (a + (b + c))(samples))
    assert_same((a + b)(samples), (b + a)(samples))
    assert_same(((a * b) * c)(samples), (a * (b * c))(samples))
    assert_same((a * b)(samples), (b * a)(samples))
    assert_same(minimum(minimum(a, b), c)(samples), minimum(a, minimum(b, c))(samples))
    assert_same(maximum(a, b)(samples), (-minimum(-a, -b))(samples))


@settings(max_examples=60, deadline=None)
@given(three, st.floats(-5, 5), st.floats(-5, 5))
def test_scaling_distributes(found, x, y):
    a, b, _ = prepared(found)
    samples = chats(N)
    assert_same((x * (a + b))(samples), (x * a + x * b)(samples))
    assert_same((x * a + y * a)(samples), ((x + y) * a)(samples), 1e-6)
    assert_same((a - b)(samples), (a + -1 * b)(samples))


@settings(max_examples=60, deadline=None)
@given(st.tuples(signals(N, dense=True), signals(N, dense=True), signals(N, dense=True)))
def test_dense_channels_add_like_measures(found):
    a, b, c = prepared(found)
    samples = chats(N)
    left, right = ((a + b) + c)(samples), (a + (b + c))(samples)
    assert_same(left, right)
    ok = left.ok
    expected = sum(
        np.where(signal.ok, signal.outcome, 0.0) + signal.dense.sums() * signal.ok for signal in found
    )
    np.testing.assert_allclose(left.total[ok], expected[ok], atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(three)
def test_the_status_rule(found):
    """A failure spreads, an abstention is left out, and all abstaining abstains."""
    samples = chats(N)
    statuses = np.stack([signal.status for signal in found])
    for combined in (
        Sum([(1.0, p) for p in prepared(found)]),
        Product(prepared(found)),
        minimum(*prepared(found)),
    ):
        signal = combined(samples)
        for i in range(N):
            column = statuses[:, i]
            if (column >= Status.FAILED).any():
                assert signal.status[i] == column.max()
                assert signal.reasons[i]
            elif (column == Status.ABSTAINED).all():
                assert signal.status[i] == Status.ABSTAINED
            else:
                assert signal.status[i] == Status.OK
            assert np.isnan(signal.outcome[i]) == (signal.status[i] != Status.OK)


def values(*numbers, name="a"):
    """A reward with these outcomes; None abstains and an exception fails."""

    @guerdon.reward(name=name)
    def fixed(sample):
        value = numbers[sample.extra["row"]]
        if isinstance(value, Exception):
            raise value
        return value

    return fixed


def test_parts_show_what_a_sum_was_made_of():
    signal = (0.5 * values(1.0, None) + values(2.0, 3.0, name="b"))(chats(2))
    assert signal.outcome.tolist() == [2.5, 3.0]
    assert signal.parts["a"].outcome[0] == 1.0
    assert signal.parts["a"].status.tolist() == [Status.OK, Status.ABSTAINED]
    assert signal.parts["b"].outcome.tolist() == [2.0, 3.0]


def test_a_constant_does_not_bring_an_abstaining_sample_back():
    signal = (values(1.0, None) + 1.0)(chats(2))
    assert signal.outcome[0] == 2.0
    assert signal.status[1] == Status.ABSTAINED


def test_two_parts_of_one_name_are_both_shown():
    signal = (values(1.0) + values(2.0))(chats(1))
    assert {name: part.outcome[0] for name, part in signal.parts.items()} == {"a": 1.0, "a#2": 2.0}


def test_a_leaf_that_appears_twice_is_scored_once():
    leaf = Prepared(Signal(np.arange(4.0)))
    even = leaf.when(lambda sample: sample.extra["row"] % 2 == 0)
    signal = (leaf * leaf + even + gate(leaf, by=leaf))(chats(4))
    assert leaf.scored.tolist() == [1, 1, 1, 1]
    assert signal.outcome.tolist() == [0.0, 2.0, 8.0, 12.0]


def test_branches_that_need_different_rows_share_one_scoring():
    leaf = Prepared(Signal(np.arange(6.0)))
    high = leaf.when(lambda sample: sample.extra["row"] > 3)
    even = leaf.when(lambda sample: sample.extra["row"] % 2 == 0)
    signal = (high + 10 * even)(chats(6))
    assert leaf.scored.tolist() == [1, 0, 1, 0, 1, 1]
    assert signal.status.tolist() == [0, 1, 0, 1, 0, 0]
    assert signal.outcome[signal.ok].tolist() == [0.0, 20.0, 44.0, 5.0]


def test_when_scores_only_where_it_applies():
    leaf = Prepared(Signal(np.arange(4.0)))
    signal = leaf.when(lambda sample: sample.extra["row"] > 1)(chats(4))
    assert leaf.scored.tolist() == [0, 0, 1, 1]
    assert signal.status.tolist() == [1, 1, 0, 0]
    assert signal.outcome[2:].tolist() == [2.0, 3.0]


def test_a_predicate_that_raises_fails_its_sample():
    signal = values(1.0, 2.0).when(lambda sample: 1 / sample.extra["row"] > 0)(chats(2))
    assert signal.status.tolist() == [Status.FAILED, Status.OK]
    assert "ZeroDivisionError" in signal.reasons[0]


def test_a_closed_gate_does_not_look_at_what_is_behind_it():
    by = values(1.0, 0.0, 0.0, None, ValueError("b"), name="by")
    part = values(5.0, 5.0, ValueError("a"), 5.0, 5.0)
    signal = gate(part, by=by, otherwise=-1.0)(chats(5))
    assert signal.status.tolist() == [Status.OK, Status.OK, Status.OK, Status.ABSTAINED, Status.FAILED]
    assert signal.outcome[:3].tolist() == [5.0, -1.0, -1.0]
    assert "by" in signal.reasons[4]


def test_a_product_scales_the_dense_channel_of_its_one_dense_factor():
    @guerdon.reward
    def steps(sample):
        return Score(1.0, dense=[1.0, 2.0])

    signal = (steps * values(0.5, name="factor"))(chats(1))
    assert signal.outcome.tolist() == [0.5]
    assert signal.dense.values.tolist() == [0.5, 1.0]
    with pytest.raises(ValueError, match="at most one factor"):
        Product([steps, steps.named("more")])(chats(1))


def test_units_do_not_mix():
    @guerdon.reward
    def steps(sample):
        return Score(0.0, dense=[1.0], unit="step")

    @guerdon.reward
    def turns(sample):
        return Score(0.0, dense=[1.0], unit="turn")

    with pytest.raises(ValueError, match="different units"):
        (steps + turns)(chats(1))


def test_a_result_that_overflows_fails():
    signal = (values(1e308) * values(1e308, name="b"))(chats(1))
    assert signal.status.tolist() == [Status.FAILED]
    assert "inf" in signal.reasons[0]


@guerdon.reward(scope="group")
def spread(samples):
    return [float(len(samples))] * len(samples)


@guerdon.reward(scope="batch")
def share(samples):
    return [1 / len(samples)] * len(samples)


def test_scope_is_the_widest_of_the_parts():
    a = values(1.0)
    assert (a + a).scope == "sample"
    assert (a + spread).scope == "group"
    assert gate(spread, by=share).scope == "batch"


def test_group_and_batch_rewards_see_what_they_must_see_together():
    samples = [Chat("p", "c", group=g) for g in ("x", "y", "x", "x")]
    assert spread(samples).outcome.tolist() == [3.0, 1.0, 3.0, 3.0]
    assert share(samples).outcome.tolist() == [0.25] * 4
    only_x = spread.when(lambda s: s.group == "x")
    assert (only_x + spread)(samples).outcome.tolist() == [6.0, 1.0, 6.0, 6.0]


def test_without_group_ids_one_prompt_is_one_group():
    samples = [Chat("p", "a"), Chat("q", "b"), Chat("p", "c"), Chat([{"role": "user", "content": "p"}], "d")]
    assert spread(samples).outcome.tolist() == [2.0, 1.0, 2.0, 1.0]


class Counter(Transform):
    """Counts rows; for the state of a graph."""

    name = "counter"

    def __init__(self):
        self.seen = 0

    def apply(self, signal, groups, context):
        self.seen += len(signal)
        return signal

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state):
        self.seen = state["seen"]


def test_state_is_collected_from_the_graph_and_goes_back():
    a = values(1.0, 2.0)
    reward = (a | Counter()) + a
    reward(chats(2))
    other = (a | Counter()) + a
    other.load_state_dict(reward.state_dict())
    assert other.parts[0].transform.seen == 2
    with pytest.raises(KeyError, match="no such part"):
        a.load_state_dict(reward.state_dict())


def test_errors_at_the_door():
    a = values(1.0)
    with pytest.raises(TypeError, match="expected a number or a Reward, got str"):
        a + "b"
    with pytest.raises(ValueError, match="finite"):
        a * float("nan")
    with pytest.raises(TypeError, match="expected a Transform"):
        a | 3
    with pytest.raises(TypeError, match="function of a sample"):
        a.when(3)
    with pytest.raises(ValueError, match="at least one"):
        minimum()
    with pytest.raises(TypeError, match="expected rewards, got float"):
        minimum(a, 2.0)
    with pytest.raises(TypeError, match="expected rewards, got float"):
        gate(a, by=2.0)


def test_dense_rows_of_failed_samples_are_empty():
    signal = Signal(
        [1.0, 2.0], [Status.OK, Status.FAILED], dense=Dense.from_rows([[1.0], [2.0, 3.0]], "step")
    )
    assert signal.dense.lengths.tolist() == [1, 0]
