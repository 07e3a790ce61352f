"""Where a text falls into steps. Each segmenter maps a text to half-open spans of its characters.

`lines`, `paragraphs`, `sentences` and `separated` tile the text: the first span starts at 0, the last ends with
the text, and what separates two steps belongs to the one that it ends. So every token of the text is in exactly one
step, and the texts of the steps, joined, are the text. A stretch that is blank is no step of its own: it
belongs to the step before it, or to the first one. A text without any step, such as a blank one, gives none.

Give one to `Chat.steps` or to `Segments.steps`; any function from text to spans will do as well.
"""

from __future__ import annotations

import re
from functools import partial

from guerdon.core.samples import Segmenter
from guerdon.core.tagged import Rule, blocks

Spans = list[tuple[int, int]]

_LINE = re.compile(r"\n")
_BLANK_LINES = re.compile(r"\n(?:[ \t\r]*\n)+")
# A group is what separates: the stop before it belongs to the sentence. A run of stops is looked at once, from its
# start, so that the time stays linear.
_SENTENCE = re.compile(r"(?<![.!?…])[.!?…]+[\"'”’)\]]*(\s+)|[。！？]+[”’」』）]*(\s*)|\n(?:[ \t\r]*\n)+")


def lines(text: str) -> Spans:
    """Spans of the lines that aren't blank, each with its line break and the blank lines that follow."""
    return _tiles(_LINE, text)


def paragraphs(text: str) -> Spans:
    """Spans of the paragraphs, which blank lines part."""
    return _tiles(_BLANK_LINES, text)


def sentences(text: str) -> Spans:
    """Spans of the sentences: up to `.`, `!`, `?` or `…` before white space, a full-width stop, or a blank line.

    Closing quotes and brackets go with the stop. Decimals and dotted names hold no white space and stay whole; an
    abbreviation such as "e.g. this" is taken for an end.
    """
    return _tiles(_SENTENCE, text)


def separated(separator: str) -> Segmenter:
    """Segmenter into what a separator parts, such as a step token, each span with the separator that ends it.

    Raises `ValueError` for an empty separator.
    """
    if not separator:
        raise ValueError("separator: expected some text, got an empty one")
    return partial(_tiles, re.compile(re.escape(separator)))


def tagged(*tags: str, rule: Rule = "first_close", unclosed: bool = False) -> Segmenter:
    """Segmenter into the outermost blocks of these tags, tags included. Text between the blocks is in no step.

    `rule` and `unclosed` as in `guerdon.core.tagged.blocks`, which raises the errors too.
    """
    blocks("", *tags, rule=rule)
    return partial(_blocks, tags=tags, rule=rule, unclosed=unclosed)


def _blocks(text: str, *, tags: tuple[str, ...], rule: Rule, unclosed: bool) -> Spans:
    return [(block.start, block.end) for block in blocks(text, *tags, rule=rule, unclosed=unclosed)]


def _tiles(separator: re.Pattern[str], text: str) -> Spans:
    """Spans that end behind a separator, in one pass; a blank one goes to the span before it."""
    ends = list[int]()
    read = 0
    found = ((match.start(match.lastindex or 0), match.end()) for match in separator.finditer(text))
    for end, after in (*found, (len(text), len(text))):
        if text[read:end].strip():
            ends.append(after)
        elif ends:
            ends[-1] = after
        read = after
    return list(zip([0, *ends[:-1]], ends, strict=True)) if ends else []
