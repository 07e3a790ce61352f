"""Tagged blocks under each pairing rule, and on text that was written to break a parser."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.core.tagged import RULES, blocks, count, counts, first, last, one_of_each, until_stop

PIECES = st.lists(
    st.sampled_from(["<a>", "</a>", "<b>", "</b>", "x", "\n", "<a", "a>", "\ud800"]), max_size=30
)


def inner(text: str, *tags: str, **options: object) -> list[str]:
    return [block.inner(text) for block in blocks(text, *tags, **options)]


def test_each_rule_pairs_tags_in_its_own_way() -> None:
    text = "<a>1<a>2</a>3</a>4"
    assert inner(text, "a", rule="first_close") == ["1<a>2"]
    assert inner(text, "a", rule="last_close") == ["1<a>2</a>3"]
    assert inner(text, "a", rule="innermost") == ["2"]
    assert inner(text, "a", rule="balanced") == ["1<a>2</a>3"]


def test_balanced_blocks_side_by_side_and_nested_lookup() -> None:
    text = "<a>1<a>2</a></a><a>3</a>"
    outer = blocks(text, "a", rule="balanced")
    assert [block.inner(text) for block in outer] == ["1<a>2</a>", "3"]
    nested = blocks(text, "a", start=outer[0].inner_start, stop=outer[0].inner_end)
    assert [block.inner(text) for block in nested] == ["2"]


def test_tags_quoted_inside_another_block_are_text() -> None:
    text = "<think>I could write <tool_call> here</think><tool_call>x</tool_call>"
    assert inner(text, "think", "tool_call") == ["I could write <tool_call> here", "x"]
    assert inner(text, "tool_call") == [" here</think><tool_call>x"]


def test_an_unclosed_tag_is_skipped_or_runs_to_the_end() -> None:
    text = "<a>1<b>2</b>"
    assert inner(text, "a", "b") == ["2"]
    assert inner(text, "a", "b", unclosed=True) == ["1<b>2</b>"]
    assert not blocks(text, "a", unclosed=True)[0].closed
    assert first(text, "a") is None
    assert inner("</a>1</a>", "a", unclosed=True) == []


def test_first_last_count_and_one_of_each() -> None:
    text = "<a>1</a><a>2</a>"
    assert first(text, "a") == ("a", 0, 3, 4, 8)
    assert last(text, "a").inner(text) == "2"
    assert count(text, "a") == (2, 2)
    assert not one_of_each(text, "a")
    assert one_of_each("<a>1</a>", "a")
    assert not one_of_each("</a>1<a>", "a")


def test_counts_of_several_tags_are_those_of_each() -> None:
    text = "<a><a></b></a><b><c>"
    assert counts(text, "a", "b", "d") == {tag: count(text, tag) for tag in ("a", "b", "d")}


@given(st.lists(st.sampled_from(["<a>", "</a>", "<b>", "</b>", "x"])), st.booleans())
def test_the_usual_rule_pairs_an_opening_tag_with_the_next_closing_one(
    pieces: list[str], unclosed: bool
) -> None:
    text = "".join(pieces)
    end = "|$" if unclosed else ""
    expected = [match[0] for match in re.finditer(rf"(?s)<([ab])>.*?(?:</\1>{end})", text)]
    assert [text[block.start : block.end] for block in blocks(text, "a", "b", unclosed=unclosed)] == expected


def test_case_is_kept_unless_told_otherwise() -> None:
    text = "<Answer>1</ANSWER>"
    assert blocks(text, "answer") == []
    assert inner(text, "answer", ignore_case=True) == ["1"]


def test_until_stop_ends_behind_the_first_closing_tag() -> None:
    assert until_stop("<s>q</s> made up <r>x</r>", "r", "s") == "<s>q</s>"
    assert until_stop("nothing <s>", "s") == "nothing <s>"


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="rule: expected one of first_close"):
        blocks("x", "a", rule="nearest")
    with pytest.raises(ValueError, match="tags: expected at least one name"):
        blocks("x")
    with pytest.raises(TypeError):
        blocks(None, "a")


def test_a_tag_name_is_no_pattern() -> None:
    assert blocks("<aab></aab>", "a+b") == []
    assert inner("<a+b>1</a+b>", "a+b") == ["1"]


@pytest.mark.parametrize("rule", RULES)
def test_ten_megabytes_of_opening_tags(rule: str) -> None:
    text = "<tool_call>" * 950_000
    assert blocks(text + "</response>", "tool_call", "response", rule=rule) == []


def test_deep_nesting_does_not_recurse() -> None:
    text = "<a>" * 100_000 + "</a>" * 100_000
    (block,) = blocks(text, "a", rule="balanced")
    assert (block.start, block.end) == (0, len(text))


@settings(max_examples=200)
@given(PIECES, st.sampled_from(RULES), st.booleans())
def test_blocks_lie_in_order_inside_the_text(pieces: list[str], rule: str, unclosed: bool) -> None:
    text = "".join(pieces)
    end = 0
    for block in blocks(text, "a", "b", rule=rule, unclosed=unclosed):
        assert end <= block.start
        assert text[block.start : block.inner_start] == f"<{block.tag}>"
        assert text[block.inner_end : block.end] == (f"</{block.tag}>" if block.closed else "")
        assert block.inner_start <= block.inner_end <= block.end <= len(text)
        end = block.end


@settings(max_examples=200)
@given(PIECES)
def test_balanced_blocks_hold_as_many_opening_as_closing_tags(pieces: list[str]) -> None:
    text = "".join(pieces)
    for block in blocks(text, "a", rule="balanced"):
        depths = [0]
        for tag in re.findall("</?a>", block.inner(text)):
            depths.append(depths[-1] + (1 if tag == "<a>" else -1))
        assert min(depths) == depths[-1] == 0
