"""Tokenisers against sacrebleu's."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from sacrebleu.tokenizers.tokenizer_char import TokenizerChar

from guerdon.verify.tokenize import find_tokenizer, tokenize_13a, tokenize_characters, tokenize_sacrebleu_13a

tricky = st.text(st.sampled_from("ab05.,-'\"(&;< \n\t\x00\x01\u3000\u0663中"), max_size=30)


@settings(max_examples=500, deadline=None)
@given(st.one_of(tricky, st.text(max_size=40)))
@example("a..5")
@example("a...5 5..6")
@example("5,.5")
@example("5.,5")
@example(".5")
@example("1.2.3 1,000.50 2-3 2--3 a-2 5.-")
@example("&quot;&amp;lt;&amp;&gt; <skip<skipped>ped> well-\nknown end-\n")
def test_13a_equals_sacrebleu(text):
    assert tokenize_13a(text) == Tokenizer13a()(text).split()
    assert tokenize_sacrebleu_13a(text) == Tokenizer13a()(text.rstrip()).split()


@settings(deadline=None)
@given(st.text(max_size=30))
def test_characters_equal_sacrebleu(text):
    assert tokenize_characters(text) == TokenizerChar()(text).split()


def test_a_hyphen_before_the_last_line_break():
    assert tokenize_13a("well-\n") == ["well"]
    assert tokenize_sacrebleu_13a("well-\n") == ["well-"]


def test_names():
    assert find_tokenizer("alphanumeric")("It's 3.5, ÉTÉ 中") == ["it", "s", "3", "5", "t"]
    assert find_tokenizer(str.split) is str.split
    with pytest.raises(ValueError, match="tokenizer"):
        find_tokenizer("13b")


@pytest.mark.parametrize("unit", [".", "1.", "!", "word ", "-", "\ud800", "中"])
def test_ten_megabytes(unit):
    text = unit * (10_000_000 // len(unit))
    assert sum(map(len, tokenize_13a(text))) == len(text.replace(" ", ""))
