"""ROUGE-N and ROUGE-L."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from functools import lru_cache

from guerdon.verify.ngrams import EmptyReference, ReferenceNgrams, as_references
from guerdon.verify.tokenize import Tokenizer, find_tokenizer

# Beyond this many pairs of tokens the longest common subsequence takes minutes, or the memory of the machine.
_LCS_LIMIT = 10**10
_VARIANT = re.compile(r"rouge([1-9]|L)")


def sentence_rouge(
    candidate: str,
    references: Sequence[str],
    *,
    variant: str = "rougeL",
    tokenizer: str | Tokenizer = "alphanumeric",
) -> float:
    """ROUGE F1 of one candidate text against its best reference, in [0, 1].

        P = m / |candidate|     R = m / |reference|     F = 2 P R / (P + R), 0 where m is 0

    `variant`: `rouge1` … `rouge9`: sizes are numbers of n-grams and m is the number of clipped matches; `rougeL`:
    sizes are numbers of tokens and m is the length of the longest common subsequence. The result is the largest
    F over references. Equal to the package rouge-score without a stemmer. Its tokens are runs of `a-z0-9` in
    the lower-cased text, so a text in another script has none: choose another `tokenizer` there.

    Raises `EmptyReference`, a `ValueError`, where no reference has a token; `ValueError` for an unknown variant
    or tokeniser, and for ROUGE-L of two texts with more than 1e10 pairs of tokens; `TypeError` where `references`
    is a single text.

    Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", ACL workshop 2004.
    """
    if not _VARIANT.fullmatch(variant):
        raise ValueError(f"variant: expected rougeL or rouge1 to rouge9, got {variant!r}")
    cut = find_tokenizer(tokenizer)
    texts = as_references(references)
    tokens = cut(candidate)
    best, found = 0.0, False
    for text in texts:
        if variant == "rougeL":
            reference = _reference_tokens(text, cut)
            sizes = len(tokens) + len(reference)
            matches = longest_common_subsequence(tokens, reference)
            found |= bool(reference)
        else:
            n = int(variant[-1])
            counts = _reference_ngrams(text, cut, n)
            sizes = max(len(tokens) - n + 1, 0) + max(counts.lengths[0] - n + 1, 0)
            matches = counts.matches(tokens)[-1]
            found |= bool(counts.lengths[0])
        if matches:
            best = max(best, 2 * matches / sizes)
    if not found:
        raise EmptyReference(f"references: none of {len(texts)} has a token")
    return best


def longest_common_subsequence(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    """Length of the longest common subsequence of two sequences of tokens.

    Bit-parallel: a row of the dynamic program is one integer with a bit for each token of the shorter sequence,
    so it takes O(|a| · |b| / 64) word operations. Tokens that only one side has are dropped first. Raises
    `ValueError` where more than 1e10 pairs of tokens are left.

    Hyyrö, "Bit-Parallel LCS-length Computation Revisited", AWOCA 2004.
    """
    shared = set(a) & set(b)
    short, long = sorted(([t for t in a if t in shared], [t for t in b if t in shared]), key=len)
    if len(short) * len(long) > _LCS_LIMIT:
        raise ValueError(
            f"longest common subsequence: sequences of {len(short)} and {len(long)} shared tokens are too long"
        )
    where = dict[Hashable, int]()
    for i, token in enumerate(short):
        where[token] = where.get(token, 0) | 1 << i
    full = (1 << len(short)) - 1
    row = full
    for token in long:
        hits = row & where[token]
        row = ((row + hits) | (row - hits)) & full
    return len(short) - row.bit_count()


@lru_cache(maxsize=128)
def _reference_tokens(reference: str, tokenizer: Tokenizer) -> list[str]:
    return tokenizer(reference)


@lru_cache(maxsize=128)
def _reference_ngrams(reference: str, tokenizer: Tokenizer, max_order: int) -> ReferenceNgrams:
    return ReferenceNgrams([tokenizer(reference)], max_order)
