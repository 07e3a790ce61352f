"""The tokens of a chat, and at which of them each of its steps is judged."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from guerdon.core.samples import Chat
from guerdon.core.segmenters import separated
from guerdon.core.segments import Segments, SpanList
from guerdon.models.encoding import ChatEncoder


class StepTokens(NamedTuple):
    """A sample of k steps as a model reads it.

    `ids` of prompt and completion · `ends` (k,): the position in `ids` at which each step is judged · `spans` (k, 2):
    its characters in `Chat.text`, half-open.
    """

    ids: list[int]
    ends: NDArray[np.int64]
    spans: NDArray[np.int64]


class StepEncoder:
    """Encodes samples with `encode` and finds the last token of each step.

    A step ends with `separator`, as `core.segmenters.separated` has it, and the last one with the text. It is judged at
    the last token that begins in it and before the white space at its end: what stands behind a step doesn't change where
    it is judged. A completion that was cut off has what is there of its last step as a step.

    Called with a sample, and with spans (k, 2) where the steps are known, gives its `StepTokens`; a blank completion has no
    step. It raises `ValueError` where `ChatEncoder` does, and for a step that is blank or whose characters all belong to
    a token of the step before it.

    Raises `ValueError` for an empty separator.
    """

    def __init__(self, encode: ChatEncoder, separator: str) -> None:
        self._encode = encode
        self._segment = separated(separator)

    def __call__(self, sample: Chat, spans: SpanList | None = None) -> StepTokens:
        """Raises `ValueError` where the sample can't be encoded or a step has no token of its own, see above."""
        ids, first, tokens = self._encode(sample)
        steps = np.asarray(list(self._segment(sample.text) if spans is None else spans), dtype=np.int64)
        steps = steps.reshape(-1, 2)
        held = Segments.from_offsets(ids[first:], sample.text, tokens.spans).tokens(
            [_without_trailing_space(sample.text, start, end) for start, end in steps.tolist()]
        )
        empty = np.flatnonzero(held[:, 1] == held[:, 0])
        if empty.size:
            start, end = steps[empty[0]].tolist()
            raise ValueError(f"step {empty[0]}: no token of its own in {sample.text[start:end]!r:.40}")
        return StepTokens(ids, first + held[:, 1] - 1, steps)


def _without_trailing_space(text: str, start: int, end: int) -> tuple[int, int]:
    return start, start + len(text[start:end].rstrip())
