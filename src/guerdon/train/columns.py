"""From the columns that a trainer hands to a reward function to samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from guerdon.core.messages import Message
from guerdon.core.samples import Chat, Group

REFERENCE_COLUMNS = ("reference", "solution", "answer")


def as_chats(
    prompts: Sequence[str | Sequence[Message]],
    completions: Sequence[str | Sequence[Message]],
    columns: Mapping[str, Sequence[Any]],
    groups: Sequence[Group] | None = None,
) -> list[Chat]:
    """One `Chat` a completion.

    The first of `reference`, `solution` and `answer` among `columns` is the reference; the others are
    `extra`. Without `groups`, samples with the same prompt form a group. Raises `ValueError` where a column
    has another length than `completions`.
    """
    n = len(completions)
    for name, values in {"prompts": prompts, "groups": groups or [None] * n, **columns}.items():
        if len(values) != n:
            raise ValueError(f"{name}: expected {n} entries as there are completions, got {len(values)}")
    reference = next((name for name in REFERENCE_COLUMNS if name in columns), None)
    return [
        Chat(
            prompts[i],
            completions[i],
            reference=None if reference is None else columns[reference][i],
            group=None if groups is None else groups[i],
            extra={name: values[i] for name, values in columns.items() if name != reference},
        )
        for i in range(n)
    ]
