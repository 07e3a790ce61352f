"""SmartSearch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guerdon.verify.search_quality import novel_rounds, repeated_documents

from .registry import adapter


@adapter("per_search_round_number_retrieved_documents")
def rounds(inputs: Mapping[str, Any]) -> list[list[int]]:
    found = inputs["retrieved_ids_per_round"]
    novel = novel_rounds(found, inputs["K"])
    return [[number, int(new)] for number, new in zip(repeated_documents(found), novel, strict=True)]
