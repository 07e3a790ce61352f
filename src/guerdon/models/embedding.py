"""Embeddings of texts from the states of their tokens, and how alike two of them are."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from guerdon.core.checks import check_number


def masked_mean(hidden: ArrayLike, mask: ArrayLike) -> NDArray[np.float64]:
    """Mean of the states of the tokens that count.

        e = Σ_t mask_t · h_t / Σ_t mask_t        the zero vector where no token counts

    `hidden` (…, T, d): states; what masked positions hold is never looked at · `mask` (…, T): booleans, or
    integers of which 0 means padding. The result is (…, d) float64.

    Raises `ValueError` where the shapes don't fit or a state that counts isn't finite.
    """
    states = np.asarray(hidden, dtype=np.float64)
    counts = np.asarray(mask) != 0
    if states.ndim < 2 or counts.shape != states.shape[:-1]:
        raise ValueError(
            f"hidden, mask: expected shapes (…, T, d) and (…, T), got {states.shape} and {counts.shape}"
        )
    kept = np.where(counts[..., None], states, 0.0)
    if not np.isfinite(kept).all():
        raise ValueError("hidden: expected finite states where the mask is set, got NaN or infinity")
    return kept.sum(axis=-2) / np.maximum(counts.sum(axis=-1), 1)[..., None]


def cosine_similarity(a: ArrayLike, b: ArrayLike, floor: float = 1e-12) -> NDArray[np.float64]:
    """Cosine of the angle between vectors, in [−1, 1].

        cos = a · b / max(‖a‖ ‖b‖, floor)        0 where a or b is the zero vector

    `a`, `b` (…, d): broadcast against each other; computed in float64. The result has the shape (…). `floor`
    > 0 bounds the denominator from below, so vectors that short come out nearer to 0.

    Raises `ValueError` where the last axes differ, a number isn't finite or `floor` isn't above 0.
    """
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if left.ndim < 1 or right.ndim < 1 or left.shape[-1] != right.shape[-1]:
        raise ValueError(f"a, b: expected vectors of one length, got shapes {left.shape} and {right.shape}")
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        raise ValueError("a, b: expected finite numbers, got NaN or infinity")
    check_number(floor, "floor", above=0.0)
    norms = np.linalg.norm(left, axis=-1) * np.linalg.norm(right, axis=-1)
    return np.clip((left * right).sum(axis=-1) / np.maximum(norms, floor), -1.0, 1.0)
