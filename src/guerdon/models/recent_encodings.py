"""The last samples that were encoded, for sources of log-probabilities, which are asked for tokens and then for values."""

from __future__ import annotations

from typing import Any

from guerdon.core.checks import check_count
from guerdon.core.samples import Chat
from guerdon.models.emitted_tokens import emitted_ids
from guerdon.models.encoding import ChatEncoder, Encoded


class RecentEncodings:
    """`encode` that remembers: a sample with all that it reads of a recent one isn't encoded again.

    `tokens`: how many it remembers in all; those of the samples that were asked for longest ago go first. Raises what
    `encode` raises, and `ValueError` for `tokens` below 1.
    """

    def __init__(self, encode: ChatEncoder, tokens: int = 1 << 21) -> None:
        check_count(tokens, "tokens")
        self._encode, self._limit = encode, tokens
        self._recent = dict[str, Encoded]()
        self._tokens = 0

    def __call__(self, sample: Any) -> Encoded:
        """Raises `ValueError` where the sample can't be encoded."""
        if not isinstance(sample, Chat):
            return self._encode(sample)
        # By content, since the messages of a sample can be edited.
        told = [sample.extra.get(name) for name in ("tools", "chat_template_kwargs")]
        key = repr((sample.prompt, sample.completion, emitted_ids(sample), told))
        encoded = self._recent.pop(key, None)
        if encoded is None:
            encoded = self._encode(sample)
            self._tokens += len(encoded.ids)
        self._recent[key] = encoded
        while self._tokens > self._limit:
            self._tokens -= len(self._recent.pop(next(iter(self._recent))).ids)
        return encoded
