"""Sentence BLEU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, TypeAlias, get_args

from guerdon.core.checks import check_choice, check_number
from guerdon.verify.ngrams import EmptyReference, ReferenceNgrams, as_references, totals
from guerdon.verify.tokenize import Tokenizer, find_tokenizer

Smoothing: TypeAlias = Literal["add_one", "add_k", "exp", "floor", "none"]
ReferenceLength: TypeAlias = Literal["shortest", "closest"]
SMOOTHINGS: tuple[Smoothing, ...] = get_args(Smoothing)

SACREBLEU: dict[str, Any] = {
    "smoothing": "exp",
    "effective_order": True,
    "reference_length": "closest",
    "tokenizer": "sacrebleu_13a",
}
"""Options with which `sentence_bleu` equals the default of `sacrebleu.sentence_bleu`, divided by 100."""

_DEFAULT_VALUE = {"add_k": 1.0, "floor": 0.1}
_CACHED_REFERENCES = 128


def sentence_bleu(
    candidate: str,
    references: Sequence[str],
    *,
    max_order: int = 4,
    smoothing: Smoothing = "add_one",
    smooth_value: float | None = None,
    effective_order: bool = False,
    reference_length: ReferenceLength = "shortest",
    tokenizer: str | Tokenizer = "13a",
    lowercase: bool = False,
) -> float:
    """BLEU of one candidate text against one or several references, in [0, 1].

        BLEU = BP · exp(1/N Σ_{n=1..N} ln p_n)          BP = 1 if c ≥ r else exp(1 - r/c)

    c: number of candidate tokens · r: `reference_length` · N: `max_order` · p_n: smoothed precision of order n,
    from m_n clipped matches (see `ReferenceNgrams`) among t_n = max(c - n + 1, 0) candidate n-grams.

    `smoothing`:
    - `add_one`: p_n = (m_n + 1) / (t_n + 1) for every n. A candidate without any match is above 0 then.
    - `add_k`: p_n = (m_n + k) / (t_n + k) for n > 1 and k = `smooth_value` (default 1).
    - `floor`: m_n = 0 counts as `smooth_value` (default 0.1).
    - `exp`: the j-th order with m_n = 0 counts as 2^-j.
    - `none`: p_n = m_n / t_n.
    All but `add_one` give 0 where nothing matches. A candidate of fewer than N tokens lacks the higher orders
    (`add_one` and `add_k` have them all): BLEU is 0 then, or with `effective_order` N is the largest order it has.

    `reference_length`: `shortest` reference that has a token, or the `closest` to c, the shorter one on a tie.
    `tokenizer`: a name in `guerdon.verify.tokenize.TOKENIZERS`, or a function from text to tokens.

    The defaults are those of the BLEUBERI reward; `sentence_bleu(y, refs, **SACREBLEU)` is sacrebleu's value
    (which sacrebleu reports in percent). A candidate without tokens scores 0. Counts of the last 128 reference
    sets are kept, so a group that shares its references pays for them once.

    Raises `EmptyReference`, a `ValueError`, where no reference has a token; `ValueError` or `TypeError` for an
    unknown option or where `references` is a single text.

    Papineni, Roukos, Ward, Zhu, "BLEU: a Method for Automatic Evaluation of Machine Translation", ACL 2002.
    Chen, Cherry, "A Systematic Comparison of Smoothing Techniques for Sentence-Level BLEU", WMT 2014.
    Post, "A Call for Clarity in Reporting BLEU Scores", arXiv 1804.08771, repository mjpost/sacrebleu.
    """
    check_choice(smoothing, "smoothing", SMOOTHINGS)
    check_choice(reference_length, "reference_length", get_args(ReferenceLength))
    if smooth_value is not None and smoothing not in _DEFAULT_VALUE:
        raise ValueError(f"smooth_value: smoothing {smoothing!r} takes none, got {smooth_value}")
    value = _DEFAULT_VALUE.get(smoothing, 0.0) if smooth_value is None else smooth_value
    check_number(value, "smooth_value", low=0.0)
    if max_order < 1:
        raise ValueError(f"max_order: expected at least 1, got {max_order}")
    cut = find_tokenizer(tokenizer)
    counts = _reference_counts(as_references(references), cut, lowercase, max_order)
    tokens = cut(candidate.lower() if lowercase else candidate)
    c = len(tokens)
    if not c:
        return 0.0
    if reference_length == "shortest":
        r = min(filter(None, counts.lengths))
    else:
        r = min(counts.lengths, key=lambda length: (abs(length - c), length))
    brevity = 1.0 if c >= r else math.exp(1 - r / c)
    precisions = _precisions(counts.matches(tokens), totals(c, max_order), smoothing, value)
    if not all(precisions) or (len(precisions) < max_order and not effective_order):
        return 0.0
    return brevity * math.exp(math.fsum(map(math.log, precisions)) / len(precisions))


@lru_cache(maxsize=_CACHED_REFERENCES)
def _reference_counts(
    references: tuple[str, ...], tokenizer: Tokenizer, lowercase: bool, max_order: int
) -> ReferenceNgrams:
    counts = ReferenceNgrams([tokenizer(r.lower() if lowercase else r) for r in references], max_order)
    if not any(counts.lengths):
        raise EmptyReference(f"references: none of {len(references)} has a token")
    return counts


def _precisions(matches: list[int], counts: list[int], smoothing: Smoothing, value: float) -> list[float]:
    """Smoothed precisions of the orders that have an n-gram."""
    if smoothing == "add_one":
        return [(m + 1) / (t + 1) for m, t in zip(matches, counts, strict=True)]
    if not any(matches):
        return [0.0]
    precisions = list[float]()
    unmatched = 1.0
    for n, (m, t) in enumerate(zip(matches, counts, strict=True)):
        found, total = float(m), float(t)
        if smoothing == "add_k" and n:
            found, total = found + value, total + value
        if not total:
            break
        if not found and smoothing == "exp":
            unmatched /= 2
            found = unmatched
        elif not found and smoothing == "floor":
            found = value
        precisions.append(found / total)
    return precisions
