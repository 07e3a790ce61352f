from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon import Chat
from guerdon.core.samples import Segmenter
from guerdon.core.segmenters import lines, paragraphs, sentences, separated, tagged

TILING: list[Segmenter] = [lines, paragraphs, sentences, separated("<step>"), separated("\n\n")]


def parts(segmenter: Segmenter, text: str) -> list[str]:
    return [text[start:end] for start, end in segmenter(text)]


@pytest.mark.parametrize("segmenter", TILING)
@given(
    text=st.lists(st.sampled_from([*"ab.!? \n\t\r\u200b。”)日🦊\u2028", "<step>"]), max_size=40).map("".join)
)
@settings(max_examples=100, deadline=None)
def test_steps_tile_the_text_and_none_is_blank(segmenter: Segmenter, text: str) -> None:
    found = parts(segmenter, text)
    assert all(part.strip() for part in found)
    assert "".join(found) == text or (not found and not text.replace("<step>", "").strip())


@pytest.mark.parametrize(
    ("segmenter", "text", "wanted"),
    [
        (lines, "\na\n\n b\r\nc", ["\na\n\n", " b\r\n", "c"]),
        (lines, "a\n", ["a\n"]),
        (paragraphs, "a\nb\n \t\n\n  c\n", ["a\nb\n \t\n\n", "  c\n"]),
        (paragraphs, "a\r\n\r\nb", ["a\r\n\r\n", "b"]),
        (
            sentences,
            "It is 3.14. Is it? “Yes!” Well… ok",
            ["It is 3.14. ", "Is it? ", "“Yes!” ", "Well… ", "ok"],
        ),
        (sentences, "是。不是！“好。”", ["是。", "不是！", "“好。”"]),
        (sentences, "Title\n\nText.", ["Title\n\n", "Text."]),
        (separated("<step>"), "<step>a<step><step>b.*<step>", ["<step>a<step><step>", "b.*<step>"]),
        (separated(".*"), "a.*b", ["a.*", "b"]),
    ],
)
def test_where_steps_end(segmenter: Segmenter, text: str, wanted: list[str]) -> None:
    assert parts(segmenter, text) == wanted


def test_tagged_blocks_are_steps_with_their_tags() -> None:
    text = "x <think>a <b>q</b></think> y <b>c</b> <think>d"
    assert parts(tagged("think", "b"), text) == ["<think>a <b>q</b></think>", "<b>c</b>"]
    assert parts(tagged("think", unclosed=True), text)[-1] == "<think>d"
    with pytest.raises(ValueError, match="rule"):
        tagged("a", rule="nearest")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="tags"):
        tagged()


@pytest.mark.parametrize("segmenter", [*TILING, tagged("think")])
@pytest.mark.parametrize("blank", ["", " \n\n\t", "\n" * 100_000])
def test_blank_text_has_no_steps(segmenter: Segmenter, blank: str) -> None:
    assert list(segmenter(blank)) == []


@pytest.mark.parametrize("segmenter", [*TILING, tagged("think")])
@pytest.mark.parametrize("piece", [".", "?)", "\n ", "。", "\n", "<think>", "a. "])
def test_long_runs_are_read_in_one_pass(segmenter: Segmenter, piece: str) -> None:
    spans = list(segmenter("a" + piece * 300_000))
    assert len(spans) <= 300_001


def test_they_travel_to_workers_and_serve_a_chat() -> None:
    segmenter = pickle.loads(pickle.dumps(separated("<step>")))
    assert [step.text for step in Chat("p", "a<step>b").steps(segmenter)] == ["a<step>", "b"]
    assert pickle.loads(pickle.dumps(tagged("t")))("<t></t>") == [(0, 7)]


def test_an_empty_separator_is_refused() -> None:
    with pytest.raises(ValueError, match="separator"):
        separated("")
