"""Facts and their wordings: what is said can be told apart, however it is said."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.lab.paraphrases import (
    CONTENTS,
    OPTIONS,
    ORDERS,
    SLOTS,
    WORDINGS,
    change,
    draw_fact,
    paraphrase,
    say,
)

SEEDS = st.integers(0, 10_000)


def heard(text: str) -> tuple[int, ...]:
    """The fact again, from the longest phrase of each slot that occurs."""
    words = f" {text.lower().replace(',', '').rstrip('.')} "
    found = list[int]()
    for contents in CONTENTS:
        named = [
            (len(phrase), content)
            for content, phrases in enumerate(contents)
            for phrase in phrases
            if f" {phrase} " in words
        ]
        found.append(max(named)[1])
    return tuple(found)


def test_every_content_has_wordings_of_its_own() -> None:
    assert all(len(contents) == OPTIONS for contents in CONTENTS)
    assert all(len(phrases) == WORDINGS for contents in CONTENTS for phrases in contents)
    phrases = [phrase for contents in CONTENTS for wordings in contents for phrase in wordings]
    assert len(set(phrases)) == len(phrases)


def test_the_plain_sentence() -> None:
    assert say((0, 0, 0, 0, 0)) == "The doctor bought the car in the city at dawn."
    assert say((0, 2, 0, 0, 0), (1, 3, 1, 2, 1), 4) == (
        "At daybreak, the automobile was left behind downtown by the physician."
    )


@settings(max_examples=50)
@given(SEEDS)
def test_a_paraphrase_says_the_fact_in_full(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fact = draw_fact(rng)
    assert heard(paraphrase(fact, rng)) == fact


def test_every_order_says_the_fact_in_full() -> None:
    fact = (1, 2, 3, 4, 5)
    assert {heard(say(fact, order=order)) for order in range(len(ORDERS))} == {fact}


@settings(max_examples=50)
@given(SEEDS, st.integers(0, SLOTS))
def test_a_change_is_in_as_many_slots_as_asked(seed: int, slots: int) -> None:
    rng = np.random.default_rng(seed)
    fact = draw_fact(rng)
    changed = change(fact, slots, rng)
    assert sum(a != b for a, b in zip(fact, changed, strict=True)) == slots
    assert all(0 <= content < OPTIONS for content in changed)
