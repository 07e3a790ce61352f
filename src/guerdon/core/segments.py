"""A completion as one object: its text, its tokens, and where turns and steps lie in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.core.decoding import Decode, decoded_offsets
from guerdon.core.messages import message_text
from guerdon.core.samples import Chat, Segmenter

SpanList = Sequence[tuple[int, int]] | NDArray[np.int64]


class Source(IntEnum):
    """Who wrote a token."""

    POLICY = 0
    TOOL = 1  # a tool, an interpreter or the chat template: no action
    OFF_POLICY = 2  # an action that the behaviour policy didn't sample, such as a guide's correction


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """The T tokens of a completion beside its text of C characters.

    `ids` (T,) integers · `text` · `characters` (T, 2) int64, the half-open characters that each token holds, width 0
    for a token that is no part of the text · `sources` (T,) integers, a `Source` each · `log_probs` (T,) float64, natural
    logarithms of the behaviour policy's probabilities, NaN where unknown · `turns` (k, 2) int64, the half-open
    tokens of each turn, in order and disjoint.

    What is exact. Built by `from_ids`, the text is what the ids decode to and every character of it is in a token, so
    spans of characters that end where tokens end come back as they were. Built by `from_offsets`, a token is
    whatever the tokenizer says; one that loses information, such as WordPiece with its lower case and dropped white
    space, then leaves characters that no token holds, and `text` stays the text before that loss.

    Raises `ValueError` where shapes don't fit, offsets fall or leave the text, a source isn't known, or a
    logarithm is above 0.
    """

    ids: NDArray[np.int64]
    text: str
    characters: NDArray[np.int64]
    sources: NDArray[np.int64]
    log_probs: NDArray[np.float64]
    turns: NDArray[np.int64]

    def __post_init__(self) -> None:
        count = len(self.ids)
        for name, array, shape in (
            ("ids", self.ids, (count,)),
            ("characters", self.characters, (count, 2)),
            ("sources", self.sources, (count,)),
            ("log_probs", self.log_probs, (count,)),
        ):
            if array.shape != shape:
                raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
            if name in ("ids", "sources") and array.dtype.kind not in "iu":
                raise ValueError(f"{name}: expected integers, got {array.dtype}")
        _check_spans(self.characters, "characters", len(self.text))
        held = self.characters[self.characters[:, 1] > self.characters[:, 0]]
        if np.any(np.diff(held[:, 0]) < 0) or np.any(np.diff(held[:, 1]) < 0):
            raise ValueError("characters: expected offsets that don't fall")
        if not np.isin(self.sources, list(Source)).all():
            raise ValueError(f"sources: expected values of {list(Source)}, got {np.unique(self.sources)}")
        if np.any(self.log_probs > 0):
            raise ValueError(f"log_probs: expected at most 0, or NaN, got {np.nanmax(self.log_probs)}")
        _check_spans(self.turns, "turns", count)
        if np.any(self.turns[1:, 0] < self.turns[:-1, 1]):
            raise ValueError("turns: expected spans in order that don't overlap")

    @classmethod
    def from_offsets(
        cls,
        ids: Sequence[int],
        text: str,
        offsets: SpanList,
        *,
        sources: Sequence[int] | NDArray[Any] | Source = Source.POLICY,
        log_probs: Sequence[float] | NDArray[Any] | None = None,
        turns: SpanList | None = None,
    ) -> Segments:
        """From the offsets (T, 2) that a fast tokenizer returns with `return_offsets_mapping=True`.

        `sources` may be one for all. Without `turns`, a turn is a run of tokens that no tool wrote.
        """
        count = len(ids)
        source = np.full(count, sources) if isinstance(sources, Source) else _integers(sources)
        return cls(
            _integers(ids),
            text,
            _pairs(offsets),
            source,
            np.full(count, np.nan) if log_probs is None else np.asarray(log_probs, dtype=np.float64),
            runs(source != Source.TOOL) if turns is None else _pairs(turns),
        )

    @classmethod
    def from_ids(cls, ids: Sequence[int], decode: Decode, **fields: Any) -> Segments:
        """From token ids alone: the text is `decode(ids)`. `fields` as in `from_offsets`.

        `decode` says what is text: with `skip_special_tokens=True`, special tokens have no characters. Raises
        `ValueError` where the tokens can't be told apart in the text, see `decoded_offsets`.
        """
        text, offsets = decoded_offsets(ids, decode)
        return cls.from_offsets(ids, text, offsets, **fields)

    @classmethod
    def from_chat(
        cls, sample: Chat, ids: Sequence[int], mask: NDArray[np.bool_], decode: Decode, **fields: Any
    ) -> Segments:
        """The tokens of a completion beside `Chat.text`, with a turn for each assistant message.

        `mask` (T,) is True where the policy wrote the token; a tool wrote the others. The text is that of the
        messages: special tokens, structured tool calls and tool results have no characters, and the line break by
        which `Chat.text` joins turns has no token.

        Raises `ValueError` where there are several turns but not as many runs of the mask, or where the text of
        a turn isn't part of what its tokens decode to.
        """
        turns = assistant_turns(sample, mask)
        offsets = np.zeros((len(ids), 2), dtype=np.int64)
        at = 0
        contents = [message_text(m) for m in sample.completion_messages if m["role"] == "assistant"]
        for content, (start, end) in zip(contents, turns.tolist(), strict=True):
            text, held = decoded_offsets(ids[start:end], decode)
            before = text.find(content)
            if before < 0:
                raise ValueError("the text of a turn is not what its tokens decode to")
            offsets[start:end] = np.clip(held - before, 0, len(content)) + at
            at += len(content) + 1
        sources = np.where(mask, Source.POLICY, Source.TOOL)
        return cls.from_offsets(ids, sample.text, offsets, sources=sources, turns=turns, **fields)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Whether the behaviour policy sampled the token (T,)."""
        return self.sources == Source.POLICY

    def tokens(self, spans: SpanList) -> NDArray[np.int64]:
        """Token spans (m, 2) of spans of characters (m, 2): a token belongs to the span of its first character.

        So disjoint spans have disjoint tokens, and spans that tile the text share out all tokens that hold
        characters. A span without the first character of a token is empty, behind the last token that begins before
        it. `guerdon.credit.token_spans` is the same rule for many rows, in NumPy or torch.

        Raises `ValueError` for reversed spans and spans beyond the text.
        """
        wanted = _pairs(spans)
        _check_spans(wanted, "spans", len(self.text))
        held = np.flatnonzero(self.characters[:, 1] > self.characters[:, 0])
        first = self.characters[held, 0]
        low, high = np.searchsorted(first, wanted[:, 0]), np.searchsorted(first, wanted[:, 1])
        ends = np.concatenate(([0], held + 1))[high]
        starts = np.where(high > low, np.append(held, 0)[low], ends)
        return np.stack([starts, ends], axis=1).astype(np.int64)

    def steps(self, segmenter: Segmenter) -> NDArray[np.int64]:
        """Token spans (m, 2) of the steps, or tagged blocks, that `segmenter` finds in the text."""
        return self.tokens(list(segmenter(self.text)))

    def text_of(self, start: int, end: int) -> str:
        """The characters that the tokens `[start, end)` hold."""
        held = self.characters[start:end]
        held = held[held[:, 1] > held[:, 0]]
        return self.text[held[0, 0] : held[-1, 1]] if len(held) else ""

    def splice(self, at: int, suffix: Segments, source: Source = Source.OFF_POLICY) -> Segments:
        """The tokens before `at`, then those of `suffix`: how a rollout is repaired behind its last good step.

            ids = ids[:at] + suffix.ids        text = (text of ids[:at]) + suffix.text

        The tokens of the suffix that a policy wrote are marked as `source`; those of a tool stay. The prefix keeps its
        tokens, sources and log-probabilities unchanged: it is not encoded again. A turn that is cut at `at` goes on
        in the first turn of the suffix if that starts at once. With a tokenizer whose decoded pieces depend on what
        stands before them (a dropped leading space), decode the new ids with `from_ids` to see the text that a model sees.

        Raises `ValueError` where `at` isn't in [0, T], or lies inside a character of several tokens.
        """
        if not 0 <= at <= len(self):
            raise ValueError(f"at: expected a token position in [0, {len(self)}], got {at}")
        end = int(self.characters[:at, 1].max(initial=0))
        later = self.characters[at:]
        if np.any(later[later[:, 1] > later[:, 0], 0] < end):
            raise ValueError(f"at: token {at} lies inside a character that began before it")
        kept = np.minimum(self.turns[self.turns[:, 0] < at], at)
        added = suffix.turns + at
        if len(kept) and len(added) and kept[-1, 1] == added[0, 0] == at:
            kept, added = kept[:-1], np.concatenate(([[kept[-1, 0], added[0, 1]]], added[1:]))
        marked = np.where(suffix.sources == Source.TOOL, Source.TOOL, source)
        return Segments(
            np.concatenate([self.ids[:at], suffix.ids]),
            self.text[:end] + suffix.text,
            np.concatenate([self.characters[:at], suffix.characters + end]),
            np.concatenate([self.sources[:at], marked]),
            np.concatenate([self.log_probs[:at], suffix.log_probs]),
            np.concatenate([kept, added]),
        )


def runs(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Half-open spans (k, 2) of the stretches where `mask` (T,) is True."""
    return np.flatnonzero(np.diff(mask, prepend=False, append=False)).reshape(-1, 2).astype(np.int64)


def assistant_turns(sample: Chat, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Token spans (k, 2) of the assistant messages: the runs of the mask. A single message has them all.

    Raises `ValueError` where there are several messages, but not as many as runs.
    """
    found = runs(mask)
    count = sum(message["role"] == "assistant" for message in sample.completion_messages)
    if count == 1 and len(found):
        return np.array([[found[0, 0], found[-1, 1]]])
    if len(found) != count:
        raise ValueError(f"{count} assistant turns, but {len(found)} stretches of generated tokens")
    return found


def _check_spans(spans: NDArray[np.int64], name: str, length: int) -> None:
    """Raise `ValueError` unless `spans` is (m, 2) with 0 <= start <= end <= length in every row."""
    if spans.ndim != 2 or spans.shape[1] != 2:
        raise ValueError(f"{name}: expected shape (m, 2), got {spans.shape}")
    wrong = (spans[:, 0] < 0) | (spans[:, 1] < spans[:, 0]) | (spans[:, 1] > length)
    if np.any(wrong):
        raise ValueError(f"{name}: expected 0 <= start <= end <= {length}, got {spans[wrong][0].tolist()}")


def _integers(values: Sequence[int] | NDArray[Any]) -> NDArray[np.int64]:
    return np.asarray(values) if len(values) else np.empty(0, dtype=np.int64)


def _pairs(spans: SpanList) -> NDArray[np.int64]:
    return np.asarray(spans, dtype=np.int64) if len(spans) else np.empty((0, 2), dtype=np.int64)
