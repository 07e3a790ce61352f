"""Ratings and verdicts in what a judge wrote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.audit import parse_rating, parse_verdict


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Rating: [[3]] on reflection Rating: [[8]]", 8),
        ("Rating: [[7.5]]", 7),
        ("Rating: 10/10", 10),
        ("[RESULT] 2 and Rating: [[9]] [RESULT] 3", 9),
        ("[RESULT] 2, no, [RESULT] 4", 4),
        ("Rating: none [RESULT] 4", 4),
        ("[RESULT] 4 Rating: none", None),
        ("rating: 5", None),
        ("9 of 10", None),
        ("Rating: ٣", None),
        ("", None),
        ("Rating:" + "9" * 10_000, None),
        ("Rating: \udc80 6", 6),
    ],
)
def test_rating(text, expected):
    assert parse_rating(text, default=None) == expected
    assert parse_rating(text) == (1 if expected is None else expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Judgement: [[A]] wait. Judgement: [[B]]", "B"),
        ("Judgement: Both", "B"),
        ("Judgement: a", None),
        ("[RESULT] A", "A"),
        ("[RESULT] A Judgement: neither", None),
        ("Judgement: [RESULT] B", "B"),
        ("A", None),
        ("", None),
    ],
)
def test_verdict(text, expected):
    assert parse_verdict(text) == expected


@given(st.text(), st.integers(0, 10**17))
def test_what_stands_before_the_marker_does_not_count(before, rating):
    assert parse_rating(f"{before}Rating: [[{rating}]]") == rating
    assert parse_verdict(f"{before}Judgement: [[A]]") == "A"


def test_a_long_reply_takes_one_pass():
    long = "Rating: B Judgement: 7 " * 400_000
    assert parse_rating(long) == 7
    assert parse_verdict(long) is None


@pytest.mark.parametrize("bad", [None, b"Rating: 3", 3])
def test_a_reply_is_text(bad):
    with pytest.raises(TypeError, match="text: expected text"):
        parse_rating(bad)
    with pytest.raises(TypeError, match="text: expected text"):
        parse_verdict(bad)
