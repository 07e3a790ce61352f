"""Characters of tokens from `decode` alone, held against the offsets that real tokenizers give."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from itertools import accumulate, pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guerdon.core.decoding import decoded_offsets
from tests.core.tokenizers_for_tests import byte_fallback, byte_level, word_piece

# Any character but lone surrogates, which no tokenizer takes, with the awkward ones often.
AWKWARD = "ab .\n\r\t日本é🦊👩\u200d🚀\u0301\u200b\ufeff\ufffd\U000e0001\x00\u2028"
CHARACTERS = st.sampled_from(AWKWARD) | st.characters(exclude_categories=["Cs"])
TEXTS = st.text(CHARACTERS, max_size=40)
# How byte-level tokenizers write a byte: printable Latin-1 as itself, the others in order from U+0100.
PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTES = {chr(b): b for b in PRINTABLE} | {
    chr(256 + k): b for k, b in enumerate(sorted(set(range(256)) - set(PRINTABLE)))
}


@given(TEXTS)
@example("\ufffd\ufffda")
@example("日\ufffd🦊")
@settings(max_examples=200, deadline=None)
def test_byte_level_offsets_are_those_of_the_tokenizer(text: str) -> None:
    encoding = byte_level().encode(text)
    found, offsets = decoded_offsets(encoding.ids, byte_level().decode)
    assert found == text
    assert [tuple(pair) for pair in offsets.tolist()] == encoding.offsets


@given(st.text(st.sampled_from("a b.\nth日🦊é\u0301"), max_size=30))
@settings(max_examples=150, deadline=None)
def test_byte_fallback_keeps_every_character_in_its_tokens(text: str) -> None:
    ids = byte_fallback().encode(text).ids
    found, offsets = decoded_offsets(ids, byte_fallback().decode)
    assert found == text
    covered = {k for start, end in offsets.tolist() for k in range(start, end)}
    assert covered == set(range(len(text)))
    for token, (start, end) in zip(ids, offsets.tolist(), strict=True):
        name = byte_fallback().id_to_token(token)
        if not name.startswith("<0x"):
            assert name.replace("▁", " ").endswith(text[start:end])
        else:
            assert end - start == 1


def characters_of_bytes(pieces: list[bytes]) -> list[tuple[int, int]]:
    """Which characters of the joined text each piece gives a byte of, from the UTF-8 decoder itself."""
    broken = dict[int, int]()

    def record(error: UnicodeError) -> tuple[str, int]:
        assert isinstance(error, UnicodeDecodeError)
        broken[error.start] = error.end
        return "\0", error.end

    codecs.register_error("record", record)
    data = b"".join(pieces)
    owner, at, index = list[int](), 0, 0
    for character in data.decode("utf-8", "record"):
        end = broken.get(at, at + len(character.encode()))
        owner += [index] * (end - at)
        at, index = end, index + 1
    ends = [0, *accumulate(len(piece) for piece in pieces)]
    return [(owner[a], owner[b - 1] + 1) for a, b in pairwise(ends)]


@given(st.lists(st.integers(1, 319), max_size=25))
@settings(max_examples=300, deadline=None)
def test_any_ids_have_the_characters_of_their_bytes(ids: list[int]) -> None:
    pieces = [bytes(BYTES[c] for c in byte_level().id_to_token(i)) for i in ids]
    text, offsets = decoded_offsets(ids, byte_level().decode)
    assert text == b"".join(pieces).decode("utf-8", "replace")
    assert [tuple(pair) for pair in offsets.tolist()] == characters_of_bytes(pieces)


# Bytes that open characters of every length, go on in them, or stand alone.
AWKWARD_BYTES = st.sampled_from(
    [b"a", b"\xe6", b"\x97", b"\xa5", b"\xf0", b"\x9f", b"\xc3", b"\xff", b"\xf0\x9f"]
)


@given(st.lists(st.lists(AWKWARD_BYTES, min_size=1, max_size=4).map(b"".join), max_size=12))
@settings(max_examples=400, deadline=None)
def test_any_vocabulary_of_bytes_has_the_characters_of_its_bytes(pieces: list[bytes]) -> None:
    def decode(ids: Sequence[int]) -> str:
        return b"".join(pieces[i] for i in ids).decode("utf-8", "replace")

    text, offsets = decoded_offsets(range(len(pieces)), decode)
    assert text == decode(range(len(pieces)))
    assert [tuple(pair) for pair in offsets.tolist()] == characters_of_bytes(pieces)


@given(st.text(st.sampled_from("do n't.,A é日-"), max_size=30))
@settings(max_examples=100, deadline=None)
def test_word_piece_pieces_are_found_in_what_they_decode_to(text: str) -> None:
    ids = word_piece().encode(text, add_special_tokens=False).ids
    found, offsets = decoded_offsets(ids, word_piece().decode)
    assert found == word_piece().decode(ids)
    for token, (start, end) in zip(ids, offsets.tolist(), strict=True):
        assert found[start:end].strip() == word_piece().id_to_token(token).removeprefix("##")


def test_bytes_that_make_no_character_belong_to_their_own_token() -> None:
    broken = byte_level().encode("語").ids[:1]
    ids = [*broken, *byte_level().encode("7").ids, *broken, *broken]
    text, offsets = decoded_offsets(ids, byte_level().decode)
    assert text == "\ufffd7\ufffd\ufffd"
    assert offsets.tolist() == [[0, 1], [1, 2], [2, 3], [3, 4]]


def test_a_skipped_special_token_holds_nothing_even_within_a_character() -> None:
    special = byte_level().token_to_id("<|end|>")
    first, *others = byte_level().encode("漢").ids
    text, offsets = decoded_offsets([special, first, special, *others, special], byte_level().decode)
    assert text == "漢"
    assert offsets.tolist() == [[0, 0], [0, 1], [0, 0], *[[0, 1]] * len(others), [1, 1]]


def test_a_space_that_is_dropped_at_the_start_is_found_after_a_special_token() -> None:
    special = byte_fallback().token_to_id("<|end|>")
    piece = byte_fallback().encode("ab").ids
    text, offsets = decoded_offsets([*piece, special, special, special, *piece], byte_fallback().decode)
    assert text == "ab ab"
    assert offsets[-len(piece) :].tolist() == [[2, 4], [4, 5]]
    space = byte_fallback().token_to_id("▁")
    text, offsets = decoded_offsets([*piece, special, special, space], byte_fallback().decode)
    assert text == "ab "
    assert offsets[-1].tolist() == [2, 3]


def test_a_decode_that_is_not_made_of_its_tokens_is_refused() -> None:
    def backwards(ids):
        return "".join(chr(97 + i) for i in reversed(ids))

    with pytest.raises(ValueError, match="the first 1 tokens"):
        decoded_offsets([0, 1, 2], backwards)


def test_no_tokens_have_no_characters() -> None:
    text, offsets = decoded_offsets([], byte_level().decode)
    assert (text, offsets.shape) == ("", (0, 2))
