"""Text, tokens, steps and turns as one, with real tokenizers and any Unicode."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon import Chat
from guerdon.core.segmenters import lines, sentences, tagged
from guerdon.core.segments import Segments, Source
from guerdon.credit import token_spans
from guerdon.lab import Arithmetic
from guerdon.lab.policy import make_tokenizer
from tests.core.test_decoding import CHARACTERS, TEXTS
from tests.core.tokenizers_for_tests import byte_level, word_piece


@pytest.fixture(scope="module")
def policy() -> Any:
    """The tokenizer of the tiny policies, fitted to a few questions without answers."""
    pytest.importorskip("transformers")
    world = Arithmetic()
    return make_tokenizer([task.prompt for task in world.tasks(50, 0)], world.tools)


def segments_of(text: str, **fields: Any) -> Segments:
    return Segments.from_ids(byte_level().encode(text).ids, byte_level().decode, **fields)


def cuts_of(data: st.DataObject, text: str) -> list[tuple[int, int]]:
    inner = data.draw(st.sets(st.integers(0, len(text)), max_size=4))
    return list(pairwise(sorted(inner | {0, len(text)})))


@given(text=TEXTS, data=st.data())
@settings(max_examples=150, deadline=None)
def test_steps_that_tile_the_text_share_out_every_token(policy: Any, text: str, data: st.DataObject) -> None:
    ids = policy(text)["input_ids"]
    segments = Segments.from_ids(ids, lambda part: policy.decode(part, skip_special_tokens=True))
    assert segments.text == text
    assert segments.text_of(0, len(ids)) == text
    steps = cuts_of(data, text)
    spans = segments.tokens(steps)
    assert [k for start, end in spans.tolist() for k in range(start, end)] == list(range(len(ids)))
    for (start, end), (first, last) in zip(steps, spans.tolist(), strict=True):
        at_edges = policy.decode(ids[:first]) == text[:start] and policy.decode(ids[:last]) == text[:end]
        if at_edges and first < last:
            assert segments.text_of(first, last) == text[start:end] == policy.decode(ids[first:last])


@given(TEXTS)
@settings(max_examples=100, deadline=None)
def test_tokens_and_characters_go_there_and_back(text: str) -> None:
    segments = segments_of(text)
    starts = sorted({0, *segments.characters[:, 0].tolist(), len(text)})
    for start, end in pairwise(starts):
        (first, last) = segments.tokens([(start, end)])[0]
        assert segments.text_of(first, last).startswith(text[start:end])
        assert set(segments.characters[first:last, 0].tolist()) == {start}


@given(text=TEXTS, data=st.data())
@settings(max_examples=100, deadline=None)
def test_credit_places_spans_by_the_same_rule(text: str, data: st.DataObject) -> None:
    segments = segments_of(text)
    position = st.integers(0, len(text))
    spans = np.array(data.draw(st.lists(st.tuples(position, position).map(sorted), min_size=1, max_size=5)))
    rows = token_spans(spans, np.array([0, len(spans)]), segments.characters[None])
    np.testing.assert_array_equal(segments.tokens(spans), rows)


@given(text=st.text(CHARACTERS | st.sampled_from("ABÉ don't"), max_size=40), data=st.data())
@settings(max_examples=100, deadline=None)
def test_word_piece_offsets_point_into_the_text_before_its_loss(text: str, data: st.DataObject) -> None:
    encoding = word_piece().encode(text)
    segments = Segments.from_offsets(encoding.ids, text, encoding.offsets)
    assert segments.text == text
    held = [k for k, (start, end) in enumerate(encoding.offsets) if end > start]
    spans = segments.tokens(cuts_of(data, text)).tolist()
    shared = [k for start, end in spans for k in range(start, end)]
    assert [k for k in shared if k in held] == held
    assert shared == sorted(set(shared))


def test_steps_and_tags_of_a_text() -> None:
    segments = segments_of("<think>one is easy. two</think>\nstep two")
    for segmenter in (lines, sentences, tagged("think")):
        for (start, end), (first, last) in zip(
            segmenter(segments.text), segments.steps(segmenter).tolist(), strict=True
        ):
            assert segments.characters[first, 0] >= start > segments.characters[first - 1, 0] or start == 0
            assert segments.characters[last - 1, 0] < end
    assert segments.steps(tagged("answer")).shape == (0, 2)


@given(text=TEXTS, fix=TEXTS, data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_splice_keeps_the_prefix_token_by_token(text: str, fix: str, data: st.DataObject) -> None:
    ids = byte_level().encode(text).ids
    own = segments_of(text, log_probs=-np.arange(len(ids), dtype=np.float64))
    suffix = segments_of(fix)
    at = data.draw(st.integers(0, len(ids)))
    if any(start < own.characters[:at, 1].max(initial=0) for start in own.characters[at:, 0]):
        with pytest.raises(ValueError, match="inside a character"):
            own.splice(at, suffix)
        return
    joined = own.splice(at, suffix)
    assert joined.text == byte_level().decode(joined.ids.tolist())
    assert joined.ids.tolist() == ids[:at] + byte_level().encode(fix).ids
    again = Segments.from_ids(joined.ids.tolist(), byte_level().decode)
    np.testing.assert_array_equal(joined.characters, again.characters)
    assert joined.mask.tolist() == [True] * at + [False] * len(suffix)
    assert (joined.sources[at:] == Source.OFF_POLICY).all()
    np.testing.assert_array_equal(joined.log_probs[:at], own.log_probs[:at])
    assert np.isnan(joined.log_probs[at:]).all()
    np.testing.assert_array_equal(joined.turns, again.turns)


def test_a_repaired_rollout_goes_on_in_its_turn_and_can_end_on_policy() -> None:
    own = Segments.from_offsets(
        [1, 2, 3, 4], "abXX", [(0, 1), (1, 2), (2, 3), (3, 4)], turns=[(0, 2), (3, 4)]
    )
    guide = Segments.from_offsets([5, 6], "cr", [(0, 1), (1, 2)], sources=[0, 1], log_probs=[-0.5, np.nan])
    tail = Segments.from_offsets([7], "d", [(0, 1)], log_probs=[-0.25])
    joined = own.splice(2, guide)
    joined = joined.splice(len(joined), tail, Source.POLICY)
    assert joined.text == "abcrd"
    assert joined.sources.tolist() == [0, 0, Source.OFF_POLICY, Source.TOOL, 0]
    assert joined.mask.tolist() == [True, True, False, False, True]
    assert joined.turns.tolist() == [[0, 3], [4, 5]]
    np.testing.assert_array_equal(joined.log_probs, [np.nan, np.nan, -0.5, np.nan, -0.25])
    assert own.splice(1, guide).turns.tolist() == [[0, 2]]
    assert own.splice(3, guide).turns.tolist() == [[0, 2], [3, 4]]


def test_turns_are_runs_that_no_tool_wrote() -> None:
    segments = Segments.from_offsets(range(5), "", [(0, 0)] * 5, sources=[0, 2, 1, 1, 0])
    assert segments.turns.tolist() == [[0, 2], [4, 5]]
    assert segments.mask.tolist() == [True, False, False, False, True]


def test_a_chat_has_the_characters_of_its_messages_only(policy: Any) -> None:
    pieces = [
        "So 日<|im_end|>",
        "\n<|im_start|>tool\n3<|im_end|>\n<|im_start|>assistant\n",
        "It is 3.<|im_end|>",
    ]
    encoded = [policy(piece)["input_ids"] for piece in pieces]
    ids = [token for piece in encoded for token in piece]
    mask = np.repeat([True, False, True], [len(piece) for piece in encoded])
    chat = Chat(
        "p",
        [
            {"role": "assistant", "content": "So 日"},
            {"role": "tool", "content": "3"},
            {"role": "assistant", "content": "It is 3."},
        ],
    )

    def decode(part: Any) -> str:
        return policy.decode(list(part), skip_special_tokens=True)

    segments = Segments.from_chat(chat, ids, mask, decode)
    assert segments.text == chat.text == "So 日\nIt is 3."
    assert [segments.text_of(*turn) for turn in segments.turns] == ["So 日", "It is 3."]
    assert segments.mask.tolist() == mask.tolist()
    first, last = segments.tokens([(3, 4)])[0].tolist()
    assert decode(ids[first:last]) == "日"
    assert last - first == 3
    with pytest.raises(ValueError, match="not what its tokens decode to"):
        Segments.from_chat(Chat("p", "other"), ids, mask, decode)
    with pytest.raises(ValueError, match="2 assistant turns, but 1 stretches"):
        Segments.from_chat(chat, ids, np.ones_like(mask), decode)
    with pytest.raises(ValueError, match="0 stretches"):
        Segments.from_chat(Chat("p", "So"), ids, np.zeros_like(mask), decode)


def test_nothing_written_has_no_parts() -> None:
    segments = segments_of("")
    assert len(segments) == 0
    assert segments.turns.shape == segments.steps(lines).shape == (0, 2)
    assert segments.tokens([(0, 0)]).tolist() == [[0, 0]]
    assert segments.splice(0, segments_of("a")).text == "a"


OFFSETS = [(0, 1), (1, 2)]


@pytest.mark.parametrize(
    ("arguments", "fields", "word"),
    [
        (([1.5, 2], "ab", OFFSETS), {}, "ids: expected integers"),
        (([[1, 2]], "ab", OFFSETS), {}, "ids: expected shape"),
        (([1, 2], "ab", [(0, 1)]), {}, "characters: expected shape"),
        (([1, 2], "ab", [(0, 1), (1, 3)]), {}, "characters: expected 0 <="),
        (([1, 2], "ab", [(1, 2), (0, 1)]), {}, "characters: expected offsets"),
        (([1, 2], "ab", OFFSETS), {"sources": [True, False]}, "sources: expected integers"),
        (([1, 2], "ab", OFFSETS), {"sources": [0, 3]}, "sources: expected values"),
        (([1, 2], "ab", OFFSETS), {"sources": [0]}, "sources: expected shape"),
        (([1, 2], "ab", OFFSETS), {"log_probs": [0.5, -1]}, "log_probs: expected at most 0"),
        (([1, 2], "ab", OFFSETS), {"log_probs": [-1]}, "log_probs: expected shape"),
        (([1, 2], "ab", OFFSETS), {"turns": [(0, 3)]}, "turns: expected 0 <="),
        (([1, 2], "ab", OFFSETS), {"turns": [(0, 2), (1, 2)]}, "turns: expected spans in order"),
    ],
)
def test_what_does_not_fit_is_named_at_the_door(arguments: Any, fields: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Segments.from_offsets(*arguments, **fields)


def test_spans_and_cuts_beyond_the_text_are_refused() -> None:
    segments = Segments.from_offsets([1, 2], "ab", OFFSETS)
    for spans in ([(0, 3)], [(-1, 1)], [(2, 1)], [0, 1]):
        with pytest.raises(ValueError, match="spans"):
            segments.tokens(spans)  # pyright: ignore[reportArgumentType]
    for at in (-1, 3):
        with pytest.raises(ValueError, match="at: expected a token position"):
            segments.splice(at, segments)
