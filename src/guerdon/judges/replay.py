"""Recording what a model said, and saying it again without the model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guerdon.core.identity import digest
from guerdon.core.io.files import open_binary, suffix_of
from guerdon.core.io.records import sample_record
from guerdon.core.messages import Message, message_text, tool_calls_of
from guerdon.core.samples import Chat, Sample
from guerdon.judges.chat import ChatModel, ModelError, Reply, Usage, check_request

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from guerdon.judges.chat import Sampling

_RECORD = "reply"
_START = digest([])


class ReplayChat:
    """A model that knows recorded conversations only, and answers each dialogue as it was answered then.

    `recordings`: samples, of which every assistant turn in the completion is one to replay (`guerdon.read` gives
    them, `Recorder` writes them), or lists of messages, of which every assistant turn is.

    Two dialogues are the same where roles, contents and tool calls (names and arguments) of their messages are; ids,
    names and other keys don't matter, neither do tools and sampling. Null content is empty content. Where one
    dialogue was answered several times, as in a group of samples, the answers come in recorded order, and from the
    first again after the last. The message is the recorded one; `usage` and `finish_reason` are known where a
    `Recorder` wrote them.

    `chat` raises `ModelError` for a dialogue that isn't recorded, with the first message that differs.

    Raises `TypeError` for a recording that is neither, and `ValueError` where there is no turn to replay.
    """

    def __init__(self, recordings: Iterable[Sample | Sequence[Message]]) -> None:
        self._replies: dict[str, list[Reply]] = {}
        self._asked: dict[str, int] = {}
        self._known = {_START}
        for i, recording in enumerate(recordings):
            if isinstance(recording, Chat):
                self._add(recording.prompt_messages, recording.completion_messages, recording.extra)
            elif isinstance(recording, Sequence) and not isinstance(recording, str):
                self._add([], recording, {})
            else:
                kind = type(recording).__name__
                raise TypeError(f"recordings[{i}]: expected a Chat or a list of messages, got {kind}")
        if not self._replies:
            raise ValueError("recordings: expected at least one assistant turn")

    def __repr__(self) -> str:
        recorded = {key: [reply.message for reply in replies] for key, replies in self._replies.items()}
        return f"ReplayChat({digest(recorded)})"

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        **sampling: Unpack[Sampling],
    ) -> Reply:
        """The recorded turn that follows this dialogue."""
        check_request(messages, sampling)
        keys = _keys(messages)
        replies = self._replies.get(keys[-1])
        if replies is None:
            raise ModelError(self._unknown(messages, keys))
        asked = self._asked.get(keys[-1], 0)
        self._asked[keys[-1]] = asked + 1
        return replies[asked % len(replies)]

    def _add(self, prompt: Sequence[Message], turns: Sequence[Message], extra: Mapping[str, Any]) -> None:
        keys = [_START, *_keys([*prompt, *turns])]
        self._known.update(keys)
        for key, turn in zip(keys[len(prompt) :], turns, strict=False):
            if turn.get("role") == "assistant":
                self._replies.setdefault(key, []).append(_reply(turn, extra.get(_RECORD)))

    def _unknown(self, messages: Sequence[Message], keys: Sequence[str]) -> str:
        for i, (message, key) in enumerate(zip(messages, keys, strict=True)):
            if key not in self._known:
                text = message_text(message)[:120]
                return f"no recording has messages[{i}] after those before it: {message['role']}: {text!r}"
        return f"no recording has an assistant turn after these {len(messages)} messages"


class Recorder:
    """A model that passes requests on to `model` and appends what came back to the file `path`.

    A reply is one row of JSON lines (`.jsonl` or `.jsonl.gz`): a native sample whose prompt is the dialogue and whose
    completion is the reply, so `ReplayChat(guerdon.read(path))` replays it. Its column `reply` has `usage` and
    `finish_reason`. A row is written when its reply arrives; a request that fails leaves none.

    `chat` raises what `model` raises, and `ValueError` or `TypeError` for a dialogue or reply that JSON has no form
    for. Raises `ValueError` for another suffix.
    """

    def __init__(self, model: ChatModel, path: str | PathLike[str]) -> None:
        self.model, self.path = model, Path(path)
        suffix_of(self.path, (".jsonl", ".jsonl.gz"))

    def __repr__(self) -> str:
        return repr(self.model)

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        **sampling: Unpack[Sampling],
    ) -> Reply:
        """The model's reply, after it was written down."""
        reply = await self.model.chat(messages, tools=tools, **sampling)
        usage = asdict(reply.usage) if reply.usage else None
        record = {"usage": usage, "finish_reason": reply.finish_reason}
        row = sample_record(Chat(messages, [reply.message], extra={_RECORD: record}))
        with open_binary(self.path, "ab") as file:
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        return reply


def _reply(message: Message, record: Any) -> Reply:
    # A column of that name may also be somebody else's.
    if not isinstance(record, Mapping) or record.keys() != {"usage", "finish_reason"}:
        return Reply(message)
    usage = record["usage"]
    return Reply(message, Usage(**usage) if usage else None, record["finish_reason"])


def _keys(messages: Sequence[Message]) -> list[str]:
    """One key for each prefix of the dialogue, from the first message on; equal keys are equal prefixes."""
    keys, key = list[str](), _START
    for message in messages:
        key = digest([key, _normal(message)])
        keys.append(key)
    return keys


def _normal(message: Message) -> list[Any]:
    content = message.get("content")
    plain = content is None or isinstance(content, str) or all(map(_is_text, content))
    calls = [[call.name, call.arguments, call.error] for call in tool_calls_of(message)]
    return [message["role"], message_text(message) if plain else content, calls]


def _is_text(part: Any) -> bool:
    return isinstance(part, str) or part.get("type") == "text"
