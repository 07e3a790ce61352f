"""Rewards for being shorter than one's group: hand-worked groups, bounds, and rows that don't count."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon import Chat
from guerdon.core.registry import create
from guerdon.core.signal import Status
from guerdon.shape.relative_length import SavingOverMean, saving_among_correct, saving_over_mean
from guerdon.verify.length import UnitCount

GROUPS = st.lists(st.tuples(st.integers(0, 10**9), st.booleans(), st.integers(0, 2)), min_size=1, max_size=12)


def over_mean(lengths, groups=None):
    return saving_over_mean(np.array(lengths, float), np.array(groups or [0] * len(lengths)))


def among(lengths, correct, groups=None, **options):
    codes = np.array(groups or [0] * len(lengths))
    return saving_among_correct(np.array(lengths, float), np.array(correct, bool), codes, **options)


def test_saving_over_the_mean_is_a_share_of_the_own_length():
    assert over_mean([100, 200, 600]) == pytest.approx([1, 0.5, -0.5])
    assert over_mean([100, 200, 5, 5], [0, 0, 1, 1]) == pytest.approx([0.5, -0.25, 0, 0])


def test_empty_answers_divide_by_nothing():
    assert over_mean([0, 4]).tolist() == [1, -0.5]
    assert over_mean([0, 0]).tolist() == [0, 0]
    assert over_mean([5e-324, 1e308]).tolist() == [1, -0.5]


def test_saving_among_correct_leaves_the_wrong_alone():
    high = math.tanh(0.5)
    assert among([100, 200, 600], [1, 1, 0]) == pytest.approx([high, -high, 0])
    assert among([100, 200, 600], [1, 0, 0]).tolist() == [0, 0, 0]
    assert among([100, 200, 100, 200], [1, 1, 1, 0], [0, 0, 1, 1]) == pytest.approx([high, -high, 0, 0])
    assert among([7, 7], [1, 1], epsilon=0.0).tolist() == [0, 0]


@given(rows=GROUPS)
def test_bounds_order_and_sign(rows):
    lengths, correct, groups = map(list, zip(*rows, strict=True))
    for found in (over_mean(lengths, groups), among(lengths, correct, groups)):
        assert (np.abs(found) <= 1).all()
        for i in range(len(rows)):
            for j in range(len(rows)):
                if groups[i] == groups[j] and correct[i] and correct[j] and lengths[i] < lengths[j]:
                    assert found[i] >= found[j]
    assert not among(lengths, correct, groups)[~np.array(correct)].any()


def chat(words, answer="7", reference="7", group=0):
    return Chat(
        "q", " ".join(["so"] * (words - 1) + [f"\\boxed{{{answer}}}"]), reference=reference, group=group
    )


def test_the_rewards_count_words_and_skip_what_has_no_value():
    samples = [chat(10), chat(30), chat(90, "8"), chat(50, reference=None), chat(9, group=1)]
    reward = create("saving_among_correct", arguments={"correct": "math", "unit": "words"})
    signal = reward(samples)
    A, OK = Status.ABSTAINED, Status.OK
    assert signal.status.tolist() == [OK, OK, OK, A, OK]
    high = math.tanh(0.5)
    assert signal.outcome[[0, 1, 2, 4]] == pytest.approx([high, -high, 0, 0], abs=1e-6)
    assert reward.scope == "group"
    lengths = UnitCount("words") | SavingOverMean()
    assert lengths.scope == "group"
    assert lengths(samples[:3]).outcome == pytest.approx([1, 13.333 / 30, -46.667 / 90], abs=1e-4)


def test_settings_tell_rewards_apart():
    one, other = (
        create("saving_among_correct", arguments={"correct": "math", "epsilon": e}) for e in (1e-5, 1.0)
    )
    assert one.fingerprint() != other.fingerprint()


def test_wrong_arguments_are_named():
    for bad in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="lengths: expected finite"):
            over_mean([bad])
        with pytest.raises(ValueError, match="lengths: expected finite"):
            among([bad], [1])
    with pytest.raises(ValueError, match="groups: expected shape"):
        over_mean([1, 2], [0])
    with pytest.raises(ValueError, match="epsilon: expected"):
        create("saving_among_correct", arguments={"correct": "math", "epsilon": -1})
