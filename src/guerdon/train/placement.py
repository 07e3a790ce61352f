"""Where the parts that a dense reward speaks of lie in the tokens of a completion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from guerdon.core.decoding import Decode
from guerdon.core.samples import Chat, Unit
from guerdon.core.segments import Segments, assistant_turns
from guerdon.core.signal import Signal, Status

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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
    if unit == "turn":
        places = [i for i, m in enumerate(sample.completion_messages) if m["role"] == "assistant"]
        return _turn_spans(spans, count, assistant_turns(sample, mask), np.asarray(places))
    assert spans is not None
    if spans.max(initial=0) > len(sample.text):
        raise ValueError(f"a span ends at character {int(spans.max())}, the text has {len(sample.text)}")
    return Segments.from_chat(sample, ids, mask, decode).tokens(spans)


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
