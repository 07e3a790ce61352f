"""ReSeek."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guerdon.core.samples import Chat
from guerdon.verify.judged_search import JudgedSearch

from .registry import adapter


@adapter("reseek_substring_variant_reward_em_outcome")
def substring(inputs: Mapping[str, Any]) -> float:
    sample = Chat("", inputs["trajectory"], reference=inputs["gold"])
    return JudgedSearch("substring")([sample]).outcome[0]


@adapter("reseek_reranker_variant_reward_em_outcome")
def similarity(inputs: Mapping[str, Any]) -> float:
    extra = {"similarities": inputs["similarities"]}
    sample = Chat("", inputs["trajectory"], reference=inputs["gold"], extra=extra)
    return JudgedSearch("similarity")([sample]).outcome[0]
