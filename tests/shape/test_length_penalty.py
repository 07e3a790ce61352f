"""The price of being longer than the group needed: hand-worked groups, the forms, and rows without a value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon import Chat
from guerdon.core.registry import create
from guerdon.core.signal import Status
from guerdon.shape import excess_length

FORMS = ["linear", "cosine", "range"]


def penalty(lengths, correct, groups=None, form="linear"):
    groups = [0] * len(lengths) if groups is None else groups
    return excess_length(np.array(lengths, float), np.array(correct, bool), np.array(groups), form)


def test_the_reference_is_the_mean_of_the_correct_members():
    assert penalty([10, 30, 25, 50, 5], [1, 1, 0, 0, 0]).tolist() == [0, -0.5, -0.25, -1, 0]


def test_without_a_correct_member_the_shortest_is_the_reference():
    assert penalty([10, 15, 40], [0, 0, 0]).tolist() == [0, -0.5, -1]


def test_groups_are_apart():
    lengths, correct, groups = [10, 20, 15, 30], [1, 0, 0, 1], [7, 7, 3, 3]
    assert penalty(lengths, correct, groups).tolist() == [0, -1, 0, 0]


def test_forms():
    assert penalty([10, 15, 20], [1, 0, 0], form="cosine") == pytest.approx([0, -0.5, -1])
    assert penalty([10, 15, 30], [0, 0, 1], form="range").tolist() == [0, -0.25, -1]


@pytest.mark.parametrize("form", FORMS)
def test_no_spread_costs_nothing_and_empty_answers_divide_by_nothing(form):
    assert not penalty([7, 7, 7], [0, 1, 0], form=form).any()
    assert not penalty([0, 0], [1, 1], form=form).any()
    assert penalty([0, 5], [1, 0], form=form).tolist() == [0, -1]
    assert penalty([], [], form=form).size == 0


@given(
    st.lists(st.tuples(st.integers(0, 40), st.booleans(), st.integers(0, 2)), min_size=1, max_size=12),
    st.sampled_from(FORMS),
)
def test_in_range_monotone_and_free_of_the_unit(rows, form):
    lengths, correct, groups = map(list, zip(*rows, strict=True))
    found = penalty(lengths, correct, groups, form)
    assert ((found >= -1) & (found <= 0)).all()
    assert penalty([7 * length for length in lengths], correct, groups, form) == pytest.approx(found)
    for group in set(groups):
        members = [i for i in range(len(rows)) if groups[i] == group]
        ordered = sorted(members, key=lambda i: lengths[i])
        assert (np.diff(found[ordered]) <= 1e-12).all()


def chat(words, answer="7", reference="7", group=0):
    return Chat(
        "q", " ".join(["so"] * (words - 1) + [f"\\boxed{{{answer}}}"]), reference=reference, group=group
    )


def scored(samples, **options):
    return create("group_length_penalty", arguments={"correct": "math", "unit": "words", **options})(samples)


def test_the_reward_counts_the_words_of_correct_answers():
    signal = scored([chat(10), chat(30), chat(30, "8"), chat(40, group=1)])
    assert signal.outcome.tolist() == [0, -0.5, -0.5, 0]
    assert signal.parts["math"].outcome.tolist() == [1, 1, 0, 1]
    assert signal.parts["unit_count"].outcome.tolist() == [10, 30, 30, 40]


def test_what_has_no_value_does_not_enter_its_group():
    signal = scored([chat(10), chat(2, reference=None), chat(20)])
    assert signal.status.tolist() == [Status.OK, Status.ABSTAINED, Status.OK]
    assert signal.outcome[[0, 2]] == pytest.approx([0, -1 / 3])
    assert signal.reasons[1].startswith("math: reference")
    assert (scored([chat(10)], unit="tokens").status == Status.ABSTAINED).all()


def test_a_sample_is_correct_above_the_threshold():
    assert scored([chat(10), chat(20)], threshold=1.0).outcome.tolist() == [0, -1]


def test_wrong_options_are_named():
    for options, message in (
        ({"form": "square"}, "form: expected one of linear, cosine, range"),
        ({"threshold": np.nan}, "threshold: expected a finite number"),
        ({"unit": "bytes"}, "unit: expected one of"),
    ):
        with pytest.raises(ValueError, match=message):
            scored([], **options)
