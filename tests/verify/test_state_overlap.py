"""The state that a trajectory left behind against the expected one: overlap, exactness, changes and crashes."""

from __future__ import annotations

import operator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon import Chat
from guerdon.core.registry import create
from guerdon.core.signal import Status
from guerdon.verify import StateOverlap, state_overlap

states = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2), max_size=4)


def test_overlap_of_facts():
    assert state_overlap({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 3}) == StateOverlap(1 / 3, 1 / 2, 2 / 5, 0)
    assert state_overlap({}, {"a": 1}).f1 == state_overlap({"a": 1}, {}).f1 == 0
    assert state_overlap({}, {}).exact


def test_equality_of_values():
    assert state_overlap({"a": 2, "b": [1, {"c": 1}]}, {"a": 2.0, "b": [1, {"c": 1}]}).exact
    assert not state_overlap({"a": "2"}, {"a": 2}).exact
    assert not state_overlap({"a": True}, {"a": 1}).exact
    assert state_overlap({"a": True}, {"a": 1}, same=operator.eq).exact


def test_only_changes_count_where_the_state_before_is_known():
    before = {"kept": 0, "default": 1, "gone": 2}
    expected = {"kept": 0, "default": 1, "new": 3}
    assert state_overlap(expected, expected, before).exact
    assert state_overlap(before, expected, before) == StateOverlap(0, 0, 0, 0)
    assert state_overlap(before, expected).f1 > 0.6
    careless = {"kept": 9, "default": 1, "new": 3}
    assert state_overlap(careless, expected, before) == StateOverlap(2 / 3, 1, 4 / 5, 1)
    assert state_overlap(before, before, before).exact
    assert state_overlap(expected, before, before) == StateOverlap(0, 0, 0, 2)


@settings(max_examples=80, deadline=None)
@given(states, states, states)
def test_exact_means_equal_and_never_collateral(final, expected, before):
    for initial in (None, before):
        found = state_overlap(final, expected, initial)
        assert found.exact == (final == expected)
        assert found == state_overlap(dict(reversed(final.items())), expected, initial)
        assert not (found.exact and found.collateral)
        assert min(found.precision, found.recall) <= found.f1 <= max(found.precision, found.recall)


# -- the reward ---------------------------------------------------------------------------------------------------


def scored(extra, reference, **options):
    return create("state_overlap", arguments=options)([Chat("q", "done", reference=reference, extra=extra)])


def test_the_best_of_several_references():
    signal = scored({"state": {"a": 1, "b": 2}}, [{"c": 3}, {"a": 1}, {"a": 1, "b": 2, "c": 3}])
    assert signal.outcome[0] == pytest.approx(4 / 5)
    assert signal.parts["recall"].outcome[0] == pytest.approx(2 / 3)
    assert signal.parts["exact"].outcome[0] == 0


@pytest.mark.parametrize(("metric", "value"), [("f1", 2 / 3), ("exact", 0), ("intact", 0)])
def test_metrics(metric, value):
    extra = {"was": {"a": 0}, "is": {"a": 1, "b": 1}}
    signal = scored(extra, {"a": 0, "b": 1}, metric=metric, state="is", initial="was")
    assert signal.outcome[0] == pytest.approx(value)
    assert signal.parts["collateral"].outcome[0] == 1


def test_intact_says_nothing_of_what_was_to_be_done():
    assert (
        scored(
            {"state": {"a": 0}, "was": {"a": 0}}, {"a": 0, "b": 1}, metric="intact", initial="was"
        ).outcome[0]
        == 1
    )


def test_a_crash_is_worth_nothing_and_is_told_apart():
    signal = scored({"crashed": True}, {"a": 1})
    assert (signal.outcome[0], signal.parts["crashed"].outcome[0]) == (0, 1)
    assert scored({"crashed": False, "state": {"b": 1}}, {"a": 1}).parts["crashed"].outcome[0] == 0


@pytest.mark.parametrize(
    ("extra", "reference", "options"),
    [
        ({}, {"a": 1}, {}),
        ({"state": {"a": 1}}, None, {}),
        ({"state": {"a": 1}}, [], {}),
        ({"state": {"a": 1}}, "a", {}),
        ({"state": {"a": 1}}, [{"a": 1}, 7], {}),
        ({"state": {"a": 1}}, {}, {}),
        ({"state": {"a": 1}}, {"a": 1}, {"initial": "was"}),
        ({"crashed": True}, None, {}),
    ],
)
def test_what_is_missing_abstains(extra, reference, options):
    assert scored(extra, reference, **options).status[0] == Status.ABSTAINED


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ({"state": [1]}, "mapping of facts, got list"),
        ({"state": {}, "crashed": "no"}, "true or false, got 'no'"),
    ],
)
def test_what_is_of_another_type_fails(extra, reason):
    signal = scored(extra, {"a": 1})
    assert signal.status[0] == Status.FAILED
    assert reason in signal.reasons[0]


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match="metric: expected one of f1, exact, intact"):
        create("state_overlap", arguments={"metric": "overlap"})
    with pytest.raises(ValueError, match="initial: expected the column"):
        create("state_overlap", arguments={"metric": "intact"})
