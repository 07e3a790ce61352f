"""Perplexity: how surprised a language model is by a text."""

from __future__ import annotations

from typing import Any

import array_api_compat

from guerdon.models.checks import check_shapes, widened
from guerdon.models.margin import Array

_compat: Any = array_api_compat
_ROUNDING = 1e-6


def log_perplexity(log_probs: Array, mask: Array | None = None) -> Array:
    """Logarithm of the perplexity, in nats a token: at least 0.

        log ppl = −Σ_t mask_t · log p_t / Σ_t mask_t        ppl = exp(log ppl)

    The logarithm is what to compute with: the perplexity of a degenerate text leaves the range of a float.

    Args:
        log_probs: (…, T) log-probabilities of the tokens.
        mask: like `log_probs`, tokens that count; 0 is out, and what stands there, NaN too, has no influence.

    Returns:
        (…) in the namespace of the inputs, differentiable in torch; float32 for half precision.

    Raises:
        ValueError: where shapes differ, a row has no token that counts, or one that counts is NaN, infinite, or above 0
            by more than rounding.
    """
    xp = _compat.array_namespace(log_probs)
    if log_probs.ndim < 1:
        raise ValueError("log_probs: expected at least one axis, the tokens; got a number")
    keep = xp.ones_like(log_probs, dtype=xp.bool)
    if mask is not None:
        check_shapes(tuple(log_probs.shape), mask=mask)
        keep = xp.asarray(mask, device=_compat.device(log_probs)) != 0
    if not bool(xp.all(xp.any(keep, axis=-1))):
        raise ValueError("log_probs: expected at least one token that counts in every row")
    kept = xp.where(keep, widened(log_probs), 0.0)
    counts = xp.sum(xp.astype(keep, kept.dtype), axis=-1)
    if not bool(xp.all(xp.isfinite(kept) & (kept <= _ROUNDING))):
        raise ValueError("log_probs: expected finite numbers of at most 0, got another")
    return xp.clip(-xp.sum(kept, axis=-1) / counts, min=0.0)
