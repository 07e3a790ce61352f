"""Overlap of two sets, and the n-grams that such sets are made of."""

from __future__ import annotations

from collections.abc import Sequence, Set


def ngram_set(tokens: Sequence[str], n: int = 2) -> frozenset[str]:
    """Different n-grams of the tokens, each joined by a space; empty where there are fewer than n tokens.

    Raises `ValueError` for n below 1.
    """
    if n < 1:
        raise ValueError(f"n: expected at least 1, got {n}")
    return frozenset(" ".join(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def jaccard(a: Set[str], b: Set[str]) -> float:
    """`|a ∩ b| / |a ∪ b|`, in [0, 1]; 0 where both are empty. Symmetric."""
    union = len(a | b)
    return len(a & b) / union if union else 0.0


def recall(found: Set[str], wanted: Set[str]) -> float:
    """`|found ∩ wanted| / |wanted|`, in [0, 1]; 0 where nothing is wanted. What is found beyond costs nothing."""
    return len(found & wanted) / len(wanted) if wanted else 0.0
