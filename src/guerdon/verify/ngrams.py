"""Clipped n-gram matches between a candidate and its references: the count behind BLEU, chrF and ROUGE-N."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

# Keys stay below 2**63; half of that is left free for the orders that follow a ranking.
_KEY_LIMIT = 2**62
# All orders in one pass are faster; a candidate of this many tokens takes them one by one, in less memory.
_LONG = 100_000


class EmptyReference(ValueError):
    """No reference has anything to compare with."""


class ReferenceNgrams:
    """Counts of the n-grams of some references, to be matched with many candidates.

    For a candidate `y` and references `r_1..r_K`, with `count(g, x)` how often the n-gram g occurs in x:

        matches(y)[n-1] = Σ_g min(count(g, y), max_k count(g, r_k))        over n-grams g of order n

    Every n-gram has an integer key of its own, so counts are exact: its tokens are the digits of a number. Known
    tokens are 1..V and any other token is V + 1, so no digit is 0 and a longer n-gram is a larger number. Where
    numbers would outgrow 64 bits, leading tokens are replaced by their rank among the n-grams of the references.

    `references`: tokens of each reference (a text is a sequence of its characters) · `max_order`: largest n.
    Time and memory are O(max_order · length) apart from sorting.
    """

    def __init__(self, references: Sequence[Sequence[Hashable]], max_order: int) -> None:
        self.max_order = max_order
        self.lengths = tuple(map(len, references))
        self._orders = min(max_order, max(self.lengths, default=0))
        self._digits = digits = dict[Hashable, int]()
        rows = [
            np.array([digits.setdefault(t, len(digits) + 1) for t in r], dtype=np.int64) for r in references
        ]
        self._base = len(digits) + 2
        self._bounds = [0]
        self._rankings: dict[int, tuple[NDArray[np.int64], int]] = {}
        if not self._orders:
            return
        self._plan(rows)
        self._table, self._limits = _merge([_count(self._keys(row, self._orders)) for row in rows])
        self._starts = self._table.searchsorted(self._bounds)

    def _plan(self, rows: list[NDArray[np.int64]]) -> None:
        """Bounds between the keys of one order and the next, and the orders that rank before they grow."""
        bound = self._base
        for n in range(1, self._orders):
            self._bounds.append(bound)
            if bound * self._base >= _KEY_LIMIT:
                longest = [list(self._keys(row, n))[-1] for row in rows if row.size >= n]
                ranking = np.unique(np.concatenate(longest))
                first = bound // self._base + 1
                self._rankings[n] = ranking, first
                bound = first + ranking.size + 1
            bound *= self._base

    def _keys(self, digits: NDArray[np.int64], orders: int) -> Iterator[NDArray[np.int64]]:
        """Keys of the n-grams of each order up to `orders`, in the order of the text."""
        level = digits
        yield level
        for n in range(1, min(orders, digits.size)):
            if n in self._rankings:
                level = _rank(level, *self._rankings[n])
            level = level[:-1] * self._base
            level += digits[n:]
            yield level

    def _occurrences(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """How often each n-gram of the references is among the keys."""
        keys = np.sort(keys)  # the search is several times faster when its keys are in order
        rows = self._table.searchsorted(keys)
        found = rows[self._table.take(rows, mode="clip") == keys]
        return np.bincount(found, minlength=self._limits.size)

    def matches(self, tokens: Sequence[Hashable]) -> list[int]:
        """Clipped matches of a candidate, one number for each order 1..max_order."""
        if not self._orders:
            return [0] * self.max_order
        found_digits = map(self._digits.get, tokens, repeat(self._base - 1))
        by_order = self._keys(np.fromiter(found_digits, np.int64, len(tokens)), self._orders)
        if len(tokens) < _LONG:
            counts = self._occurrences(np.concatenate(list(by_order)))
        else:
            counts = np.sum([self._occurrences(keys) for keys in by_order], axis=0)
        clipped = np.add.reduceat(np.minimum(counts, self._limits), self._starts)
        return [*clipped.tolist(), *[0] * (self.max_order - self._orders)]


def as_references(references: Sequence[str]) -> tuple[str, ...]:
    """References as a tuple. Raises `TypeError` where they are a single text or not texts at all."""
    if isinstance(references, str):
        raise TypeError("references: expected a list of texts, got one text")
    texts = tuple(references)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"references[{i}]: expected text, got {type(text).__name__}")
    return texts


def totals(length: int, max_order: int) -> list[int]:
    """How many n-grams of each order 1..max_order a sequence of that length has."""
    return [max(length - n, 0) for n in range(max_order)]


def _count(by_order: Iterable[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Different keys in ascending order, and how often each occurs."""
    keys = np.concatenate(list(by_order))
    keys.sort()
    edges = _run_edges(keys)
    return keys[edges[:-1]], edges[1:] - edges[:-1]


def _merge(
    counted: list[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The keys of several counts, each with its largest count."""
    if len(counted) == 1:
        return counted[0]
    keys = np.concatenate([k for k, _ in counted])
    counts = np.concatenate([c for _, c in counted])
    order = keys.argsort(kind="stable")
    keys = keys[order]
    starts = _run_edges(keys)[:-1]
    return keys[starts], np.maximum.reduceat(counts[order], starts)


def _run_edges(ordered: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each run of equal numbers starts, and the size at the end."""
    edge = np.ones(ordered.size + 1, dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=edge[1:-1])
    return edge.nonzero()[0]


def _rank(keys: NDArray[np.int64], ranking: NDArray[np.int64], first: int) -> NDArray[np.int64]:
    """`first` plus the position of each key in `ranking`, or plus its size for a key that isn't there."""
    ranks = ranking.searchsorted(keys)
    ranks[ranking.take(ranks, mode="clip") != keys] = ranking.size
    return ranks + first
