"""Which characters of a decoded text each token holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Decode: TypeAlias = Callable[[Sequence[int]], str]
UNFINISHED = "\ufffd"  # what the first bytes of a character decode to


def decoded_offsets(ids: Sequence[int], decode: Decode) -> tuple[str, NDArray[np.int64]]:
    """The text of `ids` and the characters of it that each token holds (T, 2), half-open.

    A token holds every character that it gives a byte of: the tokens of a character of several tokens all have it,
    and a token across the border of two characters has both. Each character of the text is held by some token.
    Bytes that make no character are one U+FFFD of their own tokens. A token that `decode` leaves out, such as a
    skipped special token, has width 0.

    This asks for nothing but `decode`, so it works for ids that were generated rather than encoded, where a
    tokenizer has no offsets to give. It takes two short calls a token; only where a piece decodes in another
    way on its own than within the text (a space that is dropped at the start) does it decode from the start again. A
    U+FFFD that was encoded as one is found under byte-level tokenizers; under byte fallback, where bytes before it
    decode together with it, it may share tokens with its neighbours.

    Raises `ValueError` where tokens change the text of those before them (spaces that are cleaned up), so that
    a place would be a guess.
    """
    text = decode(ids)
    offsets = np.zeros((len(ids), 2), dtype=np.int64)
    before = ""  # what ids[context:read] decode to; ids[:read] hold text[:known]
    context = read = known = 0
    whole, unfinished = 0, False  # how many characters are finished, and whether there are bytes of one more
    for i, token in enumerate(ids):
        after = decode(ids[context : i + 1])
        piece, at = after[len(before) :], known
        agreed = _agreement(piece, text, at)
        if piece[agreed:].strip(UNFINISHED) or i + 1 == len(ids):
            piece, at = decode(ids[: i + 1]), 0
            agreed = _agreement(piece, text, at)
            if piece[agreed:].strip(UNFINISHED) and text[agreed : agreed + 1] != UNFINISHED:
                raise ValueError(
                    f"decode: the first {i + 1} tokens give {piece[-20:]!r} at their end, but not within the whole text"
                )
        start, whole, goes_on = whole, max(whole, at + agreed), unfinished
        unfinished = len(piece) > agreed
        end = min(whole + unfinished, len(text))
        if start == whole and not decode([token]):
            end = start
        elif not goes_on and text[start - 1 : start] == UNFINISHED and len(decode([token])) > end - start:
            start -= 1  # its first bytes belong to the U+FFFD before it
        offsets[i] = start, end
        if not after.endswith(UNFINISHED):
            context, read, known = read, i + 1, whole
            before = decode(ids[context:read])
    return text, offsets


def _agreement(piece: str, text: str, at: int) -> int:
    """How many characters of `piece` stand in `text` at `at`."""
    if text.startswith(piece, at):
        return len(piece)
    pairs = zip(piece, text[at : at + len(piece)], strict=False)
    return next((k for k, (a, b) in enumerate(pairs) if a != b), len(text) - at)
