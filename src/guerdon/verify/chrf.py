"""Sentence chrF and chrF++."""

from __future__ import annotations

import string
from collections.abc import Sequence
from functools import lru_cache

from guerdon.core.checks import check_number
from guerdon.verify.ngrams import EmptyReference, ReferenceNgrams, as_references, totals

_MARKS = frozenset(string.punctuation)
_EPSILON = 1e-16


def sentence_chrf(
    candidate: str,
    references: Sequence[str],
    *,
    char_order: int = 6,
    word_order: int = 0,
    beta: float = 2.0,
    lowercase: bool = False,
    whitespace: bool = False,
    eps_smoothing: bool = False,
) -> float:
    """F-score over character n-grams (and word n-grams) against the best reference, in [0, 1].

    With P_i and R_i the clipped precision and recall of the i-th order, over character orders 1..`char_order` and
    word orders 1..`word_order`:

        chrF = (1 + β²) P R / (β² P + R)      P, R: means of P_i, R_i over orders that both texts have

    `word_order=2` is chrF++ · `beta`: weight of recall · `whitespace`: keep white space in character n-grams ·
    `eps_smoothing`: the mean over all orders of the F-scores of P_i and R_i instead, an order that a text lacks
    counting as 1e-16. Equal to `sacrebleu.sentence_chrf` (which reports percent) with the same options.

    Raises `EmptyReference`, a `ValueError`, where no reference has a character to compare; `ValueError` for an
    order below 0 or no order at all, or a `beta` that isn't positive; `TypeError` where `references` is a
    single text.

    Popović, "chrF: character n-gram F-score for automatic MT evaluation", WMT 2015; "chrF++: words helping
    character n-grams", WMT 2017; repository mjpost/sacrebleu.
    """
    if min(char_order, word_order) < 0 or not char_order + word_order:
        raise ValueError(
            f"char_order, word_order: expected orders of at least 0, got {char_order}, {word_order}"
        )
    check_number(beta, "beta", above=0.0)
    texts = as_references(references)
    characters, words = _split(candidate.lower() if lowercase else candidate, whitespace, word_order)
    sizes = totals(len(characters), char_order) + totals(len(words), word_order)
    best, found = 0.0, False
    for text in texts:
        by_character, by_word = _reference_ngrams(
            text.lower() if lowercase else text, whitespace, char_order, word_order
        )
        reference_sizes = totals(by_character.lengths[0], char_order) + totals(by_word.lengths[0], word_order)
        found |= any(reference_sizes)
        matches = by_character.matches(characters) + by_word.matches(words)
        best = max(best, _f_score(matches, sizes, reference_sizes, beta, eps_smoothing))
    if not found:
        raise EmptyReference(f"references: none of {len(texts)} has a character to compare")
    return best


def _f_score(
    matches: list[int], sizes: list[int], reference_sizes: list[int], beta: float, eps_smoothing: bool
) -> float:
    factor = beta * beta
    if eps_smoothing:
        total = 0.0
        for m, size, reference_size in zip(matches, sizes, reference_sizes, strict=True):
            # An order that the reference lacks counts as absent in the candidate too.
            precision = m / size if size and reference_size else _EPSILON
            recall = m / reference_size if reference_size else _EPSILON
            weight = factor * precision + recall
            total += (1 + factor) * precision * recall / weight if weight else _EPSILON
        return total / len(matches)
    both = [row for row in zip(matches, sizes, reference_sizes, strict=True) if row[1] and row[2]]
    if not any(m for m, _, _ in both):
        return 0.0
    precision = sum(m / size for m, size, _ in both) / len(both)
    recall = sum(m / size for m, _, size in both) / len(both)
    return (1 + factor) * precision * recall / (factor * precision + recall)


def _split(text: str, whitespace: bool, word_order: int) -> tuple[str, list[str]]:
    """Characters and words of a text; a mark at the end of a word, or else at its start, is a word of its own."""
    parts = text.split()
    words = list[str]()
    for word in parts if word_order else ():
        if len(word) > 1 and word[-1] in _MARKS:
            words += word[:-1], word[-1]
        elif len(word) > 1 and word[0] in _MARKS:
            words += word[0], word[1:]
        else:
            words.append(word)
    return text if whitespace else "".join(parts), words


@lru_cache(maxsize=128)
def _reference_ngrams(
    reference: str, whitespace: bool, char_order: int, word_order: int
) -> tuple[ReferenceNgrams, ReferenceNgrams]:
    characters, words = _split(reference, whitespace, word_order)
    return ReferenceNgrams([characters], char_order), ReferenceNgrams([words], word_order)
