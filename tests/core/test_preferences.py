"""Preferences: which pairs can be, and which ones a Signal makes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.core.preferences import Preference, outcome_pairs
from guerdon.core.samples import Chat, Episode, Media
from guerdon.core.signal import Signal, Status

EPISODE = Episode(np.zeros((2, 1)), np.zeros((1, 1)), np.ones(1))


def test_a_text_prompt_is_one_user_message():
    pair = Preference(Chat("p", "good"), Chat([{"role": "user", "content": "p"}], "bad"))
    assert pair.chosen.text == "good"


def test_other_kinds_of_samples_can_be_preferred():
    Preference(EPISODE, EPISODE)
    Preference(Media("a cat", image=1), Media("a cat", image=2))


@pytest.mark.parametrize(
    ("chosen", "rejected"),
    [
        (Chat("p", "a"), Chat("q", "b")),
        (Media("p", image=1), Media("q", image=1)),
        (Chat("p", "a"), Chat([{"role": "system", "content": "p"}], "b")),
    ],
)
def test_different_prompts_are_refused(chosen, rejected):
    with pytest.raises(ValueError, match="different prompts"):
        Preference(chosen, rejected)


def test_two_kinds_are_refused():
    with pytest.raises(TypeError, match="one kind, got Chat and Episode"):
        Preference(Chat("p", "a"), EPISODE)


def test_each_success_of_a_group_comes_before_each_of_its_failures():
    samples = [Chat("p", "a"), Chat("q", "b"), Chat("p", "c"), Chat("p", "d"), Chat("q", "e")]
    pairs = outcome_pairs(samples, Signal([1.0, 1.0, 0.0, 0.5, 1.0]))
    assert [(p.chosen.text, p.rejected.text) for p in pairs] == [("a", "c"), ("a", "d")]
    pairs = outcome_pairs(samples, Signal([1.0, 1.0, 0.0, 0.5, 1.0]), passed=0.5)
    assert [(p.chosen.text, p.rejected.text) for p in pairs] == [("a", "c"), ("d", "c")]


def test_what_could_not_be_scored_is_in_no_pair():
    samples = [Chat("p", "a"), Chat("p", "b"), Chat("p", "c"), Chat("p", "d")]
    status = [Status.OK, Status.FAILED, Status.ABSTAINED, Status.TIMED_OUT]
    assert outcome_pairs(samples, Signal([1.0, np.nan, np.nan, np.nan], status)) == []
    assert outcome_pairs(samples, Signal([0.0, np.nan, np.nan, np.nan], status)) == []
    assert outcome_pairs([], Signal([])) == []


def test_a_signal_of_other_samples_is_refused():
    with pytest.raises(ValueError, match="expected 1 rows, one a sample, got 2"):
        outcome_pairs([Chat("p", "a")], Signal([1.0, 0.0]))


def test_a_group_of_two_prompts_is_refused():
    samples = [Chat("p", "a", group=1), Chat("q", "b", group=1)]
    with pytest.raises(ValueError, match="different prompts"):
        outcome_pairs(samples, Signal([1.0, 0.0]))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=20))
def test_a_group_gives_as_many_pairs_as_successes_times_failures(rows):
    samples = [Chat(f"p{prompt}", str(i)) for i, (prompt, _) in enumerate(rows)]
    pairs = outcome_pairs(samples, Signal([float(passed) for _, passed in rows]))
    for prompt in range(3):
        outcomes = [passed for p, passed in rows if p == prompt]
        found = [pair for pair in pairs if pair.chosen.prompt == f"p{prompt}"]
        assert len(found) == sum(outcomes) * (len(outcomes) - sum(outcomes))
    assert all(rows[int(p.chosen.text)][1] and not rows[int(p.rejected.text)][1] for p in pairs)
