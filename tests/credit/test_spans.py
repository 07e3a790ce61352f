"""Character spans to token spans, with real tokenizers for the offsets."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from guerdon.credit import token_spans


@pytest.fixture(scope="module")
def byte_level() -> Tokenizer:
    """A byte-level BPE with few merges: characters of several bytes become several tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(["step one is easy", "step two is easy too"] * 4, trainer)
    return tokenizer


def by_hand(spans, tokens):
    """The rule, token by token."""
    found = []
    for start, end in spans:
        inside = [k for k, (a, b) in enumerate(tokens) if b > a and start <= a < end]
        found.append((inside[0], inside[-1] + 1) if inside else None)
    return found


texts = st.text(alphabet=st.sampled_from("ab stepon\n🦊é漢\U0001f468\u200d"), min_size=1, max_size=24)


@given(data=st.data(), rows=st.lists(texts, min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_follows_the_rule_on_multi_byte_text(byte_level, data, rows):
    tokens = [byte_level.encode(text).offsets for text in rows]
    spans = [
        [tuple(sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))) for _ in range(3)]
        for text in rows
    ]
    offsets = np.arange(len(rows) + 1) * 3
    token_offsets = np.concatenate(([0], np.cumsum([len(row) for row in tokens])))
    flat = np.array([pair for row in tokens for pair in row]).reshape(-1, 2)
    found = token_spans(np.array(spans).reshape(-1, 2), offsets, flat, token_offsets)
    expected = [
        pair for row, row_tokens in zip(spans, tokens, strict=True) for pair in by_hand(row, row_tokens)
    ]
    for (start, end), wanted in zip(found.tolist(), expected, strict=True):
        assert (start, end) == wanted if wanted else start == end

    width = max(len(row) for row in tokens)
    padded = np.array([row + [(0, 0)] * (width - len(row)) for row in tokens])
    np.testing.assert_array_equal(token_spans(np.array(spans).reshape(-1, 2), offsets, padded), found)
    in_torch = token_spans(
        torch.from_numpy(np.array(spans).reshape(-1, 2)), torch.from_numpy(offsets), torch.from_numpy(padded)
    )
    np.testing.assert_array_equal(in_torch.numpy(), found)


@given(text=texts, data=st.data())
@settings(max_examples=30, deadline=None)
def test_spans_that_cover_the_text_cover_every_token_once(byte_level, text, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    edges = [0, *cuts, len(text)]
    spans = np.array(list(pairwise(edges)))
    tokens = byte_level.encode(text).offsets
    found = token_spans(spans, np.array([0, len(spans)]), np.array([tokens]))
    covered = [k for start, end in found.tolist() for k in range(start, end)]
    assert covered == list(range(len(tokens)))


def test_special_tokens_belong_to_no_step():
    tokens = np.array([[[0, 0], [0, 3], [3, 6], [6, 9], [0, 0], [0, 0]]])
    found = token_spans(np.array([[0, 3], [3, 9]]), np.array([0, 2]), tokens)
    np.testing.assert_array_equal(found, [[1, 2], [2, 4]])


def test_a_token_across_a_border_goes_to_the_span_of_its_first_character():
    tokens = np.array([[[0, 2], [2, 5], [5, 6]]])
    found = token_spans(np.array([[0, 3], [3, 6]]), np.array([0, 2]), tokens)
    np.testing.assert_array_equal(found, [[0, 2], [2, 3]])


def test_a_span_inside_a_token_is_empty_where_it_lies():
    tokens = np.array([[[0, 2], [2, 8], [8, 9]]])
    found = token_spans(np.array([[3, 5], [0, 0], [9, 12]]), np.array([0, 3]), tokens)
    np.testing.assert_array_equal(found, [[2, 2], [0, 0], [3, 3]])


def test_rows_do_not_see_each_other():
    tokens = np.array([[[0, 4], [4, 8]], [[0, 0], [0, 0]], [[0, 4], [4, 8]]])
    found = token_spans(np.array([[4, 99], [0, 8], [0, 4], [1, 3]]), np.array([0, 1, 2, 4]), tokens)
    np.testing.assert_array_equal(found, [[1, 2], [0, 0], [0, 1], [1, 1]])


def test_nothing_to_map():
    none = np.empty((0, 2), dtype=np.int64)
    assert token_spans(none, np.array([0]), np.empty((0, 3, 2), dtype=np.int64)).shape == (0, 2)
    assert token_spans(none, np.array([0, 0]), none, np.array([0, 0])).shape == (0, 2)


SPANS = np.array([[0, 2]])
ROW = np.array([0, 1])


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((np.array([[2, 1]]), ROW, np.zeros((1, 1, 2), int)), "spans"),
        ((np.array([0, 2]), ROW, np.zeros((1, 1, 2), int)), "spans"),
        ((SPANS, np.array([0, 2]), np.zeros((1, 1, 2), int)), "offsets"),
        ((SPANS, ROW, np.zeros((2, 1, 2), int)), "tokens"),
        ((SPANS, ROW, np.zeros((1, 2), int)), "tokens"),
        ((SPANS, ROW, np.zeros((1, 2), int), np.array([0, 0, 1])), "token_offsets"),
        ((SPANS, ROW, np.array([[[4, 6], [0, 4]]])), "tokens"),
    ],
)
def test_bad_input_is_named_at_the_door(arguments, word):
    with pytest.raises(ValueError, match=word):
        token_spans(*arguments)
