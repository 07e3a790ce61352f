"""Word tokenisers that text-overlap metrics are defined with."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

Tokenizer: TypeAlias = Callable[[str], list[str]]

_PADDED_MARKS = [(mark, f" {mark} ") for mark in '!"#$%&()*+/:;<=>?@[\\]^_`{|}~']
_POINT_AND_HYPHEN_RULES = [
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
]
_DIGITS = frozenset("0123456789")
_UNDECIDED = frozenset(("", " ", ".", ","))
_ALPHANUMERIC = bytes(
    byte if chr(byte) in "abcdefghijklmnopqrstuvwxyz0123456789" else 32 for byte in range(256)
)


def tokenize_13a(text: str) -> list[str]:
    """Tokens of the mteval-v13a rules, case kept.

    `<skipped>` and hyphen + line break go; a line break becomes a space; `&quot; &amp; &lt; &gt;` are unescaped;
    every ASCII punctuation mark except `' - . ,` stands alone; `.` and `,` stand alone unless both neighbours are
    digits; a hyphen after a digit stands alone; then the text is cut at white space.

    The rules for `.` and `,` rewrite from left to right without overlap, so of two points before a digit, as in
    `a..5`, the second can stay with the digit.
    """
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    if "&" in text:
        text = text.replace("&quot;", '"').replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
    for mark, padded in _PADDED_MARKS:
        if mark in text:
            text = text.replace(mark, padded)
    if not any(digit in text for digit in _DIGITS):
        return text.replace(".", " . ").replace(",", " , ").split()
    separated = _separate_points(_separate_points(text, "."), ",")
    if separated is None:
        return _apply_rules(text)
    return _separate_hyphens(separated).split()


def _separate_points(text: str | None, point: str) -> str | None:
    """Spaces around each `point` that isn't between digits; None where only the full rules can tell.

    Cutting at the point looks at its neighbours alone, which is several times faster than a pattern that looks at
    every character. What stands before a point and a digit may be another point: then the full rules decide.
    """
    if text is None or point not in text:
        return text
    left, *others = text.split(point)
    parts = [left]
    for right in others:
        digit_follows = right[:1] in _DIGITS
        if digit_follows and left[-1:] in _UNDECIDED:
            return None
        parts += (point if digit_follows and left[-1:] in _DIGITS else f" {point} "), right
        left = right
    return "".join(parts)


def _separate_hyphens(text: str) -> str:
    left, *others = text.split("-")
    parts = [left]
    for right in others:
        parts += (" - " if left[-1:] in _DIGITS else "-"), right
        left = right
    return "".join(parts)


def _apply_rules(text: str) -> list[str]:
    text = f" {text} "
    for pattern, replacement in _POINT_AND_HYPHEN_RULES:
        text = pattern.sub(replacement, text)
    return text.split()


def tokenize_sacrebleu_13a(text: str) -> list[str]:
    """`tokenize_13a` as sacrebleu calls it: white space at the end goes first.

    It differs for a text that ends in a hyphen and a line break: here the hyphen stays.
    """
    return tokenize_13a(text.rstrip())


def tokenize_whitespace(text: str) -> list[str]:
    """The text cut at white space, for text that is tokenised already; `none` in sacrebleu."""
    return text.split()


def tokenize_characters(text: str) -> list[str]:
    """Every character that isn't white space, for languages written without spaces; `char` in sacrebleu."""
    return list("".join(text.split()))


def tokenize_alphanumeric(text: str) -> list[str]:
    """Runs of `a-z0-9` in the lower-cased text: the words of ROUGE. Other scripts have no tokens."""
    return text.lower().encode("ascii", "replace").translate(_ALPHANUMERIC).decode("ascii").split()


TOKENIZERS: dict[str, Tokenizer] = {
    "13a": tokenize_13a,
    "sacrebleu_13a": tokenize_sacrebleu_13a,
    "whitespace": tokenize_whitespace,
    "characters": tokenize_characters,
    "alphanumeric": tokenize_alphanumeric,
}


def find_tokenizer(tokenizer: str | Tokenizer) -> Tokenizer:
    """The tokeniser of that name; a function from text to tokens stays as it is. `ValueError` for an unknown name."""
    if callable(tokenizer):
        return tokenizer
    if tokenizer not in TOKENIZERS:
        raise ValueError(
            f"tokenizer: expected one of {', '.join(TOKENIZERS)} or a function, got {tokenizer!r}"
        )
    return TOKENIZERS[tokenizer]
