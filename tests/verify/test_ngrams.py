"""Clipped n-gram counts against a count by hand, also where keys outgrow 64 bits."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.verify import ngrams
from guerdon.verify.ngrams import ReferenceNgrams, as_references, totals

tokens = st.lists(st.sampled_from("abcdx"), max_size=12)


def count_by_hand(candidate, references, max_order):
    found = []
    for n in range(1, max_order + 1):
        of = [Counter(tuple(t[i : i + n]) for i in range(len(t) - n + 1)) for t in (candidate, *references)]
        found.append(sum(min(count, max(r[g] for r in of[1:])) for g, count in of[0].items()))
    return found


@settings(deadline=None)
@given(tokens, st.lists(tokens, min_size=1, max_size=4), st.integers(1, 6))
def test_matches_equal_a_count_by_hand(candidate, references, max_order):
    assert ReferenceNgrams(references, max_order).matches(candidate) == count_by_hand(
        candidate, references, max_order
    )


@settings(max_examples=60, deadline=None)
@given(tokens, st.lists(tokens, min_size=1, max_size=4), st.integers(1, 12), st.integers(6, 14))
def test_matches_are_exact_where_keys_are_ranked(candidate, references, max_order, bits):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ngrams, "_KEY_LIMIT", 2**bits)
        counts = ReferenceNgrams(references, max_order)
        assert counts.matches(candidate) == count_by_hand(candidate, references, max_order)


@settings(max_examples=40, deadline=None)
@given(tokens, st.lists(tokens, min_size=1, max_size=3))
def test_long_candidates_take_the_orders_one_by_one(candidate, references):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ngrams, "_LONG", 0)
        assert ReferenceNgrams(references, 4).matches(candidate) == count_by_hand(candidate, references, 4)


def test_a_vocabulary_that_needs_ranking():
    reference = [f"w{i}" for i in range(70_000)] + ["w0", "w1", "w2", "w3", "w4", "w5"]
    counts = ReferenceNgrams([reference], 6)
    assert counts.matches(reference) == totals(len(reference), 6)
    assert counts.matches(["w0", "w1", "w2", "w9", "new", "w5"]) == [5, 2, 1, 0, 0, 0]


def test_one_token_and_an_order_far_beyond_the_reference():
    assert ReferenceNgrams([["a"]], 100).matches(["a"] * 200) == [1] + [0] * 99
    assert ReferenceNgrams([["a"] * 90], 100).matches(["a"] * 200) == [90 - n for n in range(90)] + [0] * 10


def test_nothing_to_match():
    assert ReferenceNgrams([], 3).matches(["a"]) == [0, 0, 0]
    assert ReferenceNgrams([[], []], 3).matches(["a"]) == [0, 0, 0]
    assert ReferenceNgrams([["a"]], 3).matches([]) == [0, 0, 0]


@pytest.mark.parametrize("references", ["one text", ["a", 3], [None]])
def test_references_have_to_be_a_list_of_texts(references):
    with pytest.raises(TypeError, match="references"):
        as_references(references)
