"""Long texts, shortened to what a model should have to read."""

from __future__ import annotations

from typing import Literal


def clip(text: str, limit: int, keep: Literal["start", "end"] = "start") -> str:
    """`limit` characters of a longer text, from its start or up to its end, and how many were left out."""
    left_out = len(text) - limit
    if left_out <= 0:
        return text
    note = f"[{left_out} more characters left out]"
    return f"{text[:limit]}\n{note}" if keep == "start" else f"{note}\n{text[left_out:]}"
