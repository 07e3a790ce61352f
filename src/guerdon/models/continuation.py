"""Log-probabilities of texts that could follow what the assistant wrote so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from guerdon.core.guarded import explain
from guerdon.core.samples import Chat
from guerdon.core.signal import Failure
from guerdon.models.log_probs import LogProbs


class Continuation(NamedTuple):
    """`text` behind the prompt of `sample` and the first words `prefix` of the assistant's turn."""

    sample: Chat
    prefix: str
    text: str


def continuation_log_probs(
    source: LogProbs, continuations: Sequence[Continuation]
) -> list[NDArray[np.float64] | Failure]:
    """Log-probability of each token of each text, `log π(text_k | prompt, prefix, text_<k)`, at least one a row.

    Tokens count that lie in the text from their first character on; one that also holds the prefix's end doesn't, nor
    does the end of the turn. A row is a `Failure` with its reason where the source can't score it, no token is left, or
    one of them isn't finite.
    """
    rows: list[NDArray[np.float64] | Failure] = [Failure("not scored")] * len(continuations)
    chats, kept = dict[int, Chat](), dict[int, NDArray[np.bool_]]()
    for i, (sample, prefix, text) in enumerate(continuations):
        chat = replace(sample, completion=prefix + text)
        try:
            spans = source.completion_tokens(chat).spans
        except Exception as error:  # a text that can't be encoded fails alone, not with its batch
            rows[i] = Failure(explain(error))
            continue
        chats[i], kept[i] = chat, (spans[:, 0] >= len(prefix)) & (spans[:, 1] > spans[:, 0])
    found = source.log_probs(list(chats.values())) if chats else []
    for i, values in zip(chats, found, strict=True):
        tokens = values[kept[i]]
        if not tokens.size:
            rows[i] = Failure("the continuation has no token of its own")
        elif not np.isfinite(tokens).all():
            rows[i] = Failure("the log-probability of a token is not finite")
        else:
            rows[i] = tokens
    return rows
