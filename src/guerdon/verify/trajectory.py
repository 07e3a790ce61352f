"""A whole rollout as one text, for rules that look at more than what the policy itself wrote."""

from __future__ import annotations

from guerdon.core.messages import message_text
from guerdon.core.samples import Chat


def trajectory(sample: Chat) -> str:
    """Text of all completion messages in order, tool results included, joined by a newline."""
    completion = sample.completion
    if isinstance(completion, str):
        return completion
    return "\n".join(message_text(message) for message in completion)
