"""Where the parts that a dense reward speaks of lie in the tokens of a completion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from guerdon.core.messages import message_text
from guerdon.core.samples import Chat, Unit
from guerdon.core.signal import Signal, Status
from guerdon.credit import token_spans

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Decode = Callable[[Sequence[int]], str]
UNFINISHED = "\ufffd"  # what the first bytes of a character decode to


def place(
    signal: Signal,
    samples: Sequence[Chat],
    masks: Sequence[NDArray[np.bool_]],
    tokenizer: PreTrainedTokenizerBase,
) -> tuple[Signal, NDArray[np.int64] | None]:
    """Token spans (m, 2) of the m dense values of `signal`, half-open; None without a dense channel.

    `samples` hold their token ids in `extra["completion_ids"]`; `masks` (T_i,) say which of them the policy
    wrote.

    - `token`: the spans themselves, or value j is token j.
    - `turn`: from the first to the last token of the assistant turns in the span; without spans, value j is
      turn j.
    - `step`: the tokens whose first character lies in the span of `Chat.text`.

    A row whose parts can't be placed (a span beyond the completion, a text that isn't in the tokens) fails
    with its reason in the Signal that is returned, so that no value is lost unseen or lands elsewhere. A row
    without any masked token is left alone: nothing of it is trained on.

    Raises `ValueError` for a unit that a completion doesn't have, and for steps without spans.
    """
    dense = signal.dense
    if dense is None:
        return signal, None
    if dense.unit == "time_step" or (dense.unit == "step" and dense.spans is None):
        raise ValueError(
            f"dense unit {dense.unit!r} can't be placed in tokens; give 'step' values with their spans"
        )

    def decode(ids: Sequence[int]) -> str:
        return str(tokenizer.decode(list(ids), skip_special_tokens=True))

    placed, reasons = list[NDArray[np.int64]](), dict[int, str]()
    for i, (sample, mask) in enumerate(zip(samples, masks, strict=True)):
        count, spans = int(dense.lengths[i]), dense.row_spans(i)
        row = np.zeros((count, 2), dtype=np.int64)
        if count and mask.any():
            try:
                row = _place_row(dense.unit, spans, count, sample, mask, decode)
            except ValueError as error:
                reasons[i] = f"dense values can't be placed: {error}"
                row = row[:0]
        placed.append(row)
    if reasons:
        status = signal.status.copy()
        status[list(reasons)] = Status.FAILED
        signal = signal.replace(status=status, reasons={**signal.reasons, **reasons})
    return signal, np.concatenate(placed)


def _place_row(
    unit: Unit,
    spans: NDArray[np.int64] | None,
    count: int,
    sample: Chat,
    mask: NDArray[np.bool_],
    decode: Decode,
) -> NDArray[np.int64]:
    ids: Sequence[int] = sample.extra["completion_ids"]
    if unit == "token":
        if spans is None:
            spans = np.stack([np.arange(count), np.arange(count) + 1], axis=1)
        if spans.max(initial=0) > len(ids):
            raise ValueError(f"a span ends at token {int(spans.max())}, the completion has {len(ids)}")
        return spans
    turns = turn_bounds(sample, mask)
    if unit == "turn":
        places = [i for i, m in enumerate(sample.completion_messages) if m["role"] == "assistant"]
        return _turn_spans(spans, count, turns, np.asarray(places))
    assert spans is not None
    if spans.max(initial=0) > len(sample.text):
        raise ValueError(f"a span ends at character {int(spans.max())}, the text has {len(sample.text)}")
    characters = character_offsets(sample, ids, turns, decode)
    return np.asarray(token_spans(spans, np.array([0, count]), characters[None]))


def _turn_spans(
    spans: NDArray[np.int64] | None, count: int, turns: NDArray[np.int64], places: NDArray[np.int64]
) -> NDArray[np.int64]:
    if spans is None:
        if count > len(turns):
            raise ValueError(f"{count} values for {len(turns)} turns")
        return turns[:count]
    first, after = np.searchsorted(places, spans[:, 0]), np.searchsorted(places, spans[:, 1])
    if np.any(after <= first):
        raise ValueError("a span holds no assistant turn")
    return np.stack([turns[first, 0], turns[after - 1, 1]], axis=1)


def turn_bounds(sample: Chat, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """First token and end (k, 2) of each assistant turn: the runs of the mask. A single turn has them all.

    Raises `ValueError` where there are several turns, but not as many as runs.
    """
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False))
    runs = edges.reshape(-1, 2).astype(np.int64)
    turns = sum(message["role"] == "assistant" for message in sample.completion_messages)
    if turns == 1:
        return np.array([[runs[0, 0], runs[-1, 1]]])
    if len(runs) != turns:
        raise ValueError(f"{turns} assistant turns, but {len(runs)} stretches of generated tokens")
    return runs


def character_offsets(
    sample: Chat, ids: Sequence[int], turns: NDArray[np.int64], decode: Decode
) -> NDArray[np.int64]:
    """Characters of `Chat.text` that each token holds (T, 2); none for special tokens, tool calls and results.

    Raises `ValueError` where the text of a turn isn't part of what its tokens decode to.
    """
    offsets = np.zeros((len(ids), 2), dtype=np.int64)
    at = 0
    contents = [message_text(m) for m in sample.completion_messages if m["role"] == "assistant"]
    for content, (start, end) in zip(contents, turns.tolist(), strict=True):
        text, ends = decoded_ends(ids[start:end], decode)
        before = text.find(content)
        if before < 0:
            raise ValueError("the text of a turn is not what its tokens decode to")
        inside = np.clip(ends - before, 0, len(content)) + at
        offsets[start:end] = np.stack([np.concatenate(([at], inside[:-1])), inside], axis=1)
        at += len(content) + 1
    return offsets


def decoded_ends(ids: Sequence[int], decode: Decode) -> tuple[str, NDArray[np.int64]]:
    """The decoded text and, for each token, how many of its characters are there once the token is (T,).

    A character of several tokens belongs to the last of them; bytes that make no character belong to their
    own token.
    """
    ends = list[int]()
    context = read = known = 0
    unfinished = ""
    for i in range(len(ids)):
        # Some tokenizers drop a space at the start of what they decode, so the tokens before go along.
        before, after = decode(ids[context:read]), decode(ids[context : i + 1])
        if unfinished and len(after) > len(unfinished) and after.startswith(unfinished):
            ends[-1] = known + len(unfinished) - len(before)
        ends.append(known + len(after.rstrip(UNFINISHED)) - len(before))
        if after.endswith(UNFINISHED):
            unfinished = after
        else:
            context, read, known, unfinished = read, i + 1, ends[-1], ""
    text = decode(ids)
    bounded = np.clip(np.asarray(ends, dtype=np.int64), 0, len(text))
    bounded[-1:] = len(text)
    return text, np.maximum.accumulate(bounded)
