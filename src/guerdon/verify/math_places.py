"""Where an answer stands in a text: in a box, after a marker, or as the whole of it."""

from __future__ import annotations

import re
from typing import NamedTuple

from guerdon.verify.math_numbers import PLAIN


class Found(NamedTuple):
    """What was found: the answer itself (`exact`), or a text in which math-verify has to search."""

    text: str
    exact: bool


_LONGEST = 500  # A longer line is no answer; to parse one as a formula can take minutes.
_BOX = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]*\})+)\}")
# What makes math-verify read a percentage, or prefer a formula after the box.
_AFTER_BOX = re.compile(r"[$)\]]\s*\\?(?:%|[Pp]ercent|[Pp]ct)|I hope")
# Between two boxes: what makes math-verify read both as one answer.
_JOINT = re.compile(r"\b(?:and|or)\b|[,;]")
_CHAIN = re.compile(r"(?:and|or|,)\s*(?:\$|\\?\[|\\\()")
_ANCHOR = re.compile("answer", re.IGNORECASE)
_DELIMITER = re.compile(r"\$|\\[\[(]|\s\[|\\frac\{")
_FORMULA = re.compile(r"\$\$|\$[^$]+\$|\\\(|\\\[")
_MARKER = re.compile(
    r"^[ \t>*_-]*A[ \t*_]*:"
    r"|\#\#\#\#(?!\#)"
    r"|(?i:\banswer(?:[ \t]+is\b|[ \t*_]*:)[ \t*_:]*)"
    r"|<answer>"
    r"|```output\n",
    re.MULTILINE,
)
_CURRENCY = re.compile(r"(-?)\\?[$€£¥]\s*(?=[\d.])")
# Words that change the number before them, so that they can't be dropped like "dollars".
_SCALES = "percent(?:age)?|pct|dozens?|hundreds?|thousands?|millions?|billions?|trillions?"
_OPERATORS = "and|or|over|times|plus|minus|squared|cubed|factorial"
_COUNTED = re.compile(
    rf"({PLAIN})\s+(?!(?:{_SCALES}|{_OPERATORS})\b)[a-z]{{3,}}(?:[\s,'’-]+[a-z]+)*", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"[.!?]\s+(?=[A-Z])")
_PROSE = re.compile(r"(?<![\\A-Za-z])(?!and\b|or\b)[A-Za-z]{2,}\s+(?!and\b|or\b)[A-Za-z]{2,}")


def last_box(text: str) -> str | None:
    r"""Content of the last `\boxed{…}` of a text; None where there is none, or where math-verify might read another."""
    start = text.rfind("\\boxed")
    if start < 0 or "\\fbox" in text:
        return None
    box = _BOX.match(text, start)
    if box is None or _AFTER_BOX.search(text, box.end()):
        return None
    other_start = text.rfind("\\boxed", 0, start)
    if other_start >= 0:
        other = _BOX.match(text, other_start)
        if other is None or not _apart(text[other.end() : start], text[box.end() :]):
            return None
    return box[1]


def _apart(between: str, after: str) -> bool:
    """Whether math-verify takes the last of two boxes alone: no formula spans both, and no list joins them."""
    spanned = any(mark in after and mark not in between for mark in ("$$", "\\]"))
    joint = len(between) < 10 or (len(between) < 70 and _JOINT.search(between))
    return "\n" in between and not spanned and not joint and not _CHAIN.search(between)


def latex_answer(text: str) -> Found | None:
    """Where TRL's `accuracy_reward` looks in a completion: a box, or a formula after the word "answer"."""
    box = last_box(text)
    if box is not None:
        return Found(box, exact=True)
    if "\\boxed{" in text or (_ANCHOR.search(text) and _DELIMITER.search(text)):
        return Found(text, exact=False)
    return None


def any_answer(text: str) -> Found | None:
    """A box, else what the last marker marks, else a text of one line that isn't prose, else a formula after "answer"."""
    if "\\boxed{" in text:
        return latex_answer(text)
    marked = _after_marker(text)
    if marked is not None:
        line = _first_line(marked)
        if _FORMULA.search(line):
            return Found("answer: " + marked.lstrip(), exact=False)
        return Found(line, exact=True) if line else None
    line = _own_line(text)
    return Found(line, exact=True) if line and not _PROSE.search(line) else latex_answer(text)


def any_reference(text: str) -> Found:
    """Like `any_answer` for a reference, which may also be a bare formula, a whole solution or a sentence."""
    if "\\boxed" not in text:
        marked = _after_marker(text)
        line = _own_line(text) if marked is None else _first_line(marked)
        sentence = marked is None and _PROSE.search(line) and any(c.isdigit() for c in line)
        if line and not sentence:
            return Found(line, exact=not _FORMULA.search(line))
    return Found(text, exact=False)


def without_percent(text: str) -> str | None:
    """The text before a percent sign that ends it; None where none does."""
    stripped = text.rstrip()
    return stripped[:-1].removesuffix("\\") if stripped.endswith("%") else None


def _after_marker(text: str) -> str | None:
    last = None
    for last in _MARKER.finditer(text):  # noqa: B007
        pass
    return None if last is None else text[last.end() :].partition("</answer>")[0]


def _own_line(text: str) -> str:
    stripped = text.strip()
    return "" if "\n" in stripped else _first_line(stripped)


def _first_line(text: str) -> str:
    """First sentence of the first line that isn't blank, without emphasis, full stop, currency and words after a number.

    Empty where that is too long for an answer.
    """
    line = _SENTENCE_END.split(text.strip(" \t\r\n*`").partition("\n")[0], maxsplit=1)[0].rstrip(" \t\r*`.")
    line = _CURRENCY.sub(r"\1", line) if line.count("$") < 2 else line
    counted = _COUNTED.fullmatch(line)
    line = counted[1] if counted else line
    return line if len(line) <= _LONGEST else ""
