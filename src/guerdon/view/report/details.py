"""The chosen samples in full: messages, references, notes, dense values and tokens, shortened to fit a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.core.dense import Dense
from guerdon.core.io import from_table
from guerdon.core.io.arrow import load
from guerdon.core.messages import Message, check_messages, message_text, tool_calls_of
from guerdon.view.report.scores import Scores
from guerdon.view.report.summary import Json, rounded

MAX_MESSAGES = 200


@dataclass(frozen=True, slots=True)
class Limits:
    """What one conversation may take on the page: characters of text, and values of all dense channels together."""

    chars: int
    values: int

    @classmethod
    def share(cls, samples: int, *, chars: int = 16_000_000, values: int = 3_000_000) -> Limits:
        """An equal share of what the page can hold, up to a size that is still read."""
        count = max(samples, 1)
        return cls(min(20_000, chars // count), min(20_000, values // count))


@dataclass(frozen=True, slots=True)
class Details:
    """`samples`: one record a chosen row · `texts`: the conversations that they point to, each once."""

    samples: list[Json]
    texts: list[list[Json]]


def read_details(scores: Scores, chosen: NDArray[np.int64], limits: Limits) -> Details:
    """Read the chosen rows (ascending) from their files, batch by batch."""
    texts = _Texts(limits)
    number = {path: k for k, (path, _) in enumerate(scores.signal.walk())}
    samples = list[Json]()
    for table in _batches(scores, chosen):
        signal = from_table(table)
        columns = {name: table[name].to_pylist() for name in _OWN if name in table.column_names}
        for i in range(len(signal)):
            sample = _sample({name: column[i] for name, column in columns.items()}, texts, limits)
            for path, part in signal.walk():
                for key, found in (("notes", part.notes), ("reasons", part.reasons)):
                    if i in found:
                        sample.setdefault(key, {})[number[path]] = shorten(found[i], limits.chars // 4)
                if part.dense is not None and part.dense.lengths[i]:
                    sample.setdefault("dense", {})[number[path]] = _dense(part.dense, i, limits.values)
            samples.append(sample)
    return Details(samples, texts.conversations)


_OWN = ("prompt", "completion", "reference", "advantages", "tokens")


def _batches(scores: Scores, chosen: NDArray[np.int64], size: int = 2048) -> Iterator[Any]:
    """The chosen rows as tables with all their columns."""
    pa = load()
    start = 0
    for each in scores.sets:
        with load("pyarrow.parquet").ParquetFile(each.path) as parquet:
            for batch in parquet.iter_batches(batch_size=size):
                rows = chosen[np.searchsorted(chosen, start) : np.searchsorted(chosen, start + len(batch))]
                if rows.size:
                    yield pa.Table.from_batches([batch]).take(rows - start)
                start += len(batch)


def _sample(row: Mapping[str, Any], texts: _Texts, limits: Limits) -> Json:
    sample: Json = {}
    for name, role in (("prompt", "user"), ("completion", "assistant")):
        if row.get(name) is not None:
            sample[name] = texts.index(row[name], role)
    if row.get("reference") is not None:
        sample["reference"] = shorten(row["reference"], limits.chars)
    if row.get("tokens") is not None:
        sample["tokens"] = ["" if token is None else token for token in row["tokens"][: limits.values]]
    if row.get("advantages"):
        sample["advantages"] = _values(row["advantages"], limits.values)
    return sample


def _dense(dense: Dense, i: int, limit: int) -> Json:
    record: Json = {"unit": dense.unit, **_values(dense.row(i).tolist(), limit)}
    spans = dense.row_spans(i)
    return record if spans is None else record | {"spans": spans[:limit].tolist()}


def _values(values: Sequence[float | None], limit: int) -> Json:
    numbers = [None if value is None else rounded(value, 5) for value in values[:limit]]
    return {"values": numbers, "size": len(values)}


class _Texts:
    """Conversations by what the file holds, so that the prompt of a group is on the page once."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.conversations: list[list[Json]] = []
        self._known: dict[tuple[str, str], int] = {}

    def index(self, raw: str, role: str) -> int:
        key = (raw, role)
        if key not in self._known:
            self._known[key] = len(self.conversations)
            self.conversations.append(conversation(raw, role, self.limits.chars))
        return self._known[key]


def conversation(raw: str, role: str, limit: int) -> list[Json]:
    """Messages of a prompt or completion as a table holds it: plain text, or JSON text of messages.

    Each record has `role`, `text` (see `shorten`), and where there are some `calls`, `name` and `other` (the types of
    content parts that aren't text). `index` is the place in the completion, which spans of unit `turn` count. An
    assistant's message also has `turn`, its number among those, and `at`, the offset of its text in `Chat.text`, which
    spans of unit `step` count.
    """
    messages = _messages(raw, role)
    shown = list(enumerate(messages))
    if len(shown) > MAX_MESSAGES:
        shown = shown[: MAX_MESSAGES // 2] + shown[-MAX_MESSAGES // 2 :]
    turns = _turns(messages)
    calls = {i: _calls(message) for i, message in shown}
    sizes = [len(message_text(message)) for _, message in shown]
    sizes += [len(call["arguments"]) for i, _ in shown for call in calls[i]]
    room = _level(sizes, limit)
    records = list[Json]()
    for i, message in shown:
        record: Json = {"index": i, "role": message["role"], "text": shorten(message_text(message), room)}
        if i in turns:
            record["turn"], record["at"] = turns[i]
        if calls[i]:
            record["calls"] = [
                {"name": call["name"], "arguments": shorten(call["arguments"], room)} for call in calls[i]
            ]
        if isinstance(message.get("name"), str):
            record["name"] = message["name"]
        if other := _other_parts(message):
            record["other"] = other
        records.append(record)
    return records


def shorten(text: str, room: int) -> str | list[Any]:
    """The text, or `[head, size of the text, tail]` where it is longer than `room` characters: both ends tell most."""
    if len(text) <= room:
        return text
    head = room * 2 // 3
    tail = room - head
    return [text[:head], len(text), text[len(text) - tail :]]


def _messages(raw: str, role: str) -> Sequence[Message]:
    if raw.startswith("["):
        try:
            messages = json.loads(raw)
            check_messages(messages, role)
        except (ValueError, TypeError, RecursionError):
            pass
        else:
            return messages
    return [{"role": role, "content": raw}]


def _turns(messages: Sequence[Message]) -> dict[int, tuple[int, int]]:
    """Of each assistant message: its number, and where it starts in `Chat.text`, which joins them by a newline."""
    turns, start = dict[int, tuple[int, int]](), 0
    for i, message in enumerate(messages):
        if message["role"] == "assistant":
            turns[i] = len(turns), start
            start += len(message_text(message)) + 1
    return turns


def _calls(message: Message) -> list[dict[str, str]]:
    if message["role"] != "assistant":
        return []
    return [
        {
            "name": call.name or "?",
            "arguments": call.error or json.dumps(call.arguments, ensure_ascii=False, indent=2),
        }
        for call in tool_calls_of(message)
    ]


def _other_parts(message: Message) -> list[str]:
    content = message.get("content")
    if content is None or isinstance(content, str):
        return []
    return [
        str(part.get("type", "part"))
        for part in content
        if isinstance(part, Mapping) and part.get("text") is None
    ]


def _level(sizes: Sequence[int], limit: int) -> int:
    """The size to which the longest texts are cut so that all together fit into `limit`."""
    remaining = limit
    for done, size in enumerate(sorted(sizes)):
        share = remaining // (len(sizes) - done)
        if size > share:
            return share
        remaining -= size
    return max(sizes, default=0)
