"""Semantic reward modeling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guerdon.models import cosine_similarity, masked_mean

from .registry import adapter


@adapter("cosine_similarity_masked_mean_pooled_token")
def similarity(inputs: Mapping[str, Any]) -> float:
    left, right = (masked_mean(inputs[f"hidden_{side}"], inputs[f"mask_{side}"]) for side in "ab")
    return float(cosine_similarity(left, right))
