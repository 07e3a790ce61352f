"""The token ids that a policy emitted, beside the text that they decode to."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.core.samples import Chat
from guerdon.core.segments import Segments


def emitted_ids(sample: Chat) -> list[int] | None:
    """`extra["completion_ids"]`, where the sample has them.

    Raises `ValueError` where they aren't integers of at least 0.
    """
    ids = sample.extra.get("completion_ids")
    if ids is None:
        return None
    array = np.asarray(ids)
    if array.ndim != 1 or (array.size and (array.dtype.kind not in "iu" or array.min() < 0)):
        raise ValueError(
            f"extra['completion_ids']: expected a flat list of integers of at least 0, got {ids!r:.80}"
        )
    return array.astype(int).tolist()


def emitted_spans(
    sample: Chat, emitted: Sequence[int], own: Sequence[int], tokenizer: Any
) -> NDArray[np.int64] | None:
    """The characters of `Chat.text` (T, 2) in each token that was emitted for a single turn of the assistant.

    None where the tokens aren't those of the turn under this tokenizer. They are where the text is a part of what they
    decode to, with special tokens or without: a trainer may take reasoning out of it, and leave in what a policy wrote in
    special tokens. Those of a blank text, such as a call, decode to what the text's `own` tokens decode to.
    """
    if max(emitted) >= len(tokenizer):
        return None
    decodings = [partial(_decoded, tokenizer, skip_special_tokens=skip) for skip in (True, False)]
    if sample.final.strip():
        decodings = [decode for decode in decodings if sample.final in decode(emitted)]
    elif decodings[0](emitted).strip() != decodings[0](own).strip():
        return None
    if not decodings:
        return None
    try:
        return Segments.from_chat(sample, emitted, np.ones(len(emitted), dtype=bool), decodings[0]).characters
    except ValueError:  # their characters can't be told apart
        return None


def _decoded(tokenizer: Any, ids: Sequence[int], **options: Any) -> str:
    return str(tokenizer.decode(list(ids), **options))
