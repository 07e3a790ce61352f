"""OpenAI-style chat messages: what is well-formed, the text of one, the tool calls of one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

Message: TypeAlias = Mapping[str, Any]
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that an assistant message asks for. `arguments` is None where they could not be read; `error` says why."""

    name: str
    arguments: Mapping[str, Any] | None
    id: str | None = None
    error: str | None = None


def check_messages(value: Any, where: str, needs_assistant: bool = False) -> None:
    """Raise unless `value` is text or a non-empty list of messages with known roles and readable content."""
    if isinstance(value, str):
        return
    if not isinstance(value, Sequence) or isinstance(value, (bytes, bytearray)):
        raise TypeError(f"{where}: expected text or a list of messages, got {type(value).__name__}")
    messages = cast("Sequence[Any]", value)
    if not messages:
        raise ValueError(f"{where}: expected at least one message, got an empty list")
    assistant = False
    for i, message in enumerate(messages):
        if not isinstance(message, Mapping):
            raise TypeError(
                f"{where}[{i}]: expected a message with role and content, got {type(message).__name__}"
            )
        role = cast("Message", message).get("role")
        if not isinstance(role, str) or role not in ROLES:
            raise ValueError(f"{where}[{i}].role: expected one of {', '.join(sorted(ROLES))}, got {role!r}")
        assistant = assistant or role == "assistant"
        content = cast("Message", message).get("content")
        if content is not None and not isinstance(content, str):
            _check_parts(content, f"{where}[{i}].content")
    if needs_assistant and not assistant:
        raise ValueError(f"{where}: expected at least one assistant message, got none")


def _check_parts(content: Any, where: str) -> None:
    if not isinstance(content, Sequence) or isinstance(content, (bytes, bytearray)):
        raise TypeError(f"{where}: expected text, content parts or null, got {type(content).__name__}")
    for i, part in enumerate(cast("Sequence[Any]", content)):
        if not isinstance(part, (str, Mapping)):
            raise TypeError(f"{where}[{i}]: expected text or a mapping, got {type(part).__name__}")


def as_messages(value: str | Sequence[Message], role: str) -> Sequence[Message]:
    """Text becomes one message of that role; messages stay as they are."""
    return [{"role": role, "content": value}] if isinstance(value, str) else value


def message_text(message: Message) -> str:
    """The text of one message: its content, or the text parts of its content joined; null is empty text."""
    content = message.get("content")
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return "".join(part if isinstance(part, str) else str(part.get("text") or "") for part in content)


def tool_calls_of(message: Message) -> list[ToolCall]:
    """Structured tool calls of one message. Arguments may be a mapping or JSON text; what can't be read has `error`."""
    calls = message.get("tool_calls") or ()
    if not isinstance(calls, Sequence):
        return [ToolCall("", None, error=f"tool_calls: expected a list, got {type(calls).__name__}")]
    return [_tool_call(call) for call in cast("Sequence[Any]", calls)]


def with_parsed_calls(message: Message) -> dict[str, Any]:
    """The message as chat templates expect it: arguments of tool calls as mappings, empty where they can't be read."""
    calls = tool_calls_of(message)
    if not calls:
        return dict(message)
    told = [
        {
            "type": "function",
            "id": call.id,
            "function": {"name": call.name, "arguments": call.arguments or {}},
        }
        for call in calls
    ]
    return {**message, "tool_calls": told}


def _tool_call(call: Any) -> ToolCall:
    if not isinstance(call, Mapping):
        return ToolCall("", None, error=f"tool call: expected a mapping, got {type(call).__name__}")
    mapping = cast("Message", call)
    function = mapping.get("function", mapping)
    if not isinstance(function, Mapping):
        return ToolCall("", None, error=f"function: expected a mapping, got {type(function).__name__}")
    function = cast("Message", function)
    name: Any = function.get("name")
    arguments: Any = function.get("arguments", {})
    call_id = mapping.get("id")
    if not isinstance(name, str):
        return ToolCall("", None, call_id, f"name: expected text, got {type(name).__name__}")
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments) if arguments.strip() else {}
        except (ValueError, RecursionError) as error:
            return ToolCall(name, None, call_id, f"arguments: {type(error).__name__}: {error}")
    if not isinstance(arguments, Mapping):
        return ToolCall(name, None, call_id, f"arguments: expected an object, got {type(arguments).__name__}")
    return ToolCall(name, cast("Mapping[str, Any]", arguments), call_id)
