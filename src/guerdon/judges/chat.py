"""The protocol of a language model that answers chats, and what it is asked and answers with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

from guerdon.core.messages import Message, check_messages
from guerdon.core.registry import did_you_mean
from guerdon.engine.coroutines import run_to_end

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Sampling(TypedDict, total=False):
    """How a turn is drawn; what is left out is up to the model.

    `temperature`: 0 is greedy · `max_tokens`: of the reply · `seed`: equal seeds give equal replies where the model
    can · `stop`: texts that end the reply and aren't part of it.
    """

    temperature: float
    max_tokens: int
    seed: int
    stop: Sequence[str]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that were read and written."""

    prompt_tokens: int
    completion_tokens: int

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """One assistant turn.

    `message`: OpenAI-style, with `tool_calls` where it has any · `usage`: None where it isn't known ·
    `finish_reason`: `stop`, `tool_calls`, `length` (it was cut off) or what else the model says.
    """

    message: Message
    usage: Usage | None = None
    finish_reason: str | None = None


class ModelError(Exception):
    """A model could not give a reply. `status`: of HTTP, where there was one."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


class ChatModel(Protocol):
    """Anything that gives a chat its next turn.

    `chat` may be called many times at once. `tools` are JSON schemas in OpenAI's form,
    `{"type": "function", "function": {"name", "description", "parameters"}}`. It raises `ModelError` where there is
    no reply, and `TypeError` or `ValueError` where it was asked wrongly. `repr` says what the model is, since a
    reward that asks it is cached under that; it never shows a secret.
    """

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        **sampling: Unpack[Sampling],
    ) -> Reply:
        """The next assistant turn of this dialogue."""
        ...


def ask(
    model: ChatModel,
    messages: str | Sequence[Message],
    *,
    tools: Sequence[Mapping[str, Any]] = (),
    **sampling: Unpack[Sampling],
) -> Reply:
    """`model.chat` from synchronous code; a text is one user message."""
    dialogue = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    return run_to_end(model.chat(dialogue, tools=tools, **sampling))


def check_request(messages: Sequence[Message], sampling: Mapping[str, Any]) -> None:
    """Raise `TypeError` or `ValueError` unless a model can be asked this."""
    if isinstance(messages, str):
        raise TypeError("messages: expected a list of messages, got text")
    check_messages(messages, "messages")
    check_sampling(sampling)


def check_sampling(sampling: Mapping[str, Any]) -> None:
    """Raise `TypeError` on an unknown option or a wrong type, `ValueError` on a value out of range."""
    for name, value in sampling.items():
        if name not in _CHECKS:
            raise TypeError(f"unknown option {name!r}{did_you_mean(name, _CHECKS)}")
        kinds, fits, expected = _CHECKS[name]
        if isinstance(value, (bool, str)) or not isinstance(value, kinds):
            raise TypeError(f"{name}: expected {expected}, got {value!r}")
        if not fits(value):
            raise ValueError(f"{name}: expected {expected}, got {value!r}")


_CHECKS: dict[str, tuple[Any, Any, str]] = {
    "temperature": ((int, float), lambda t: 0 <= t < math.inf, "a finite number of at least 0"),
    "max_tokens": (int, lambda n: n >= 1, "a number of tokens of at least 1"),
    "seed": (int, lambda n: 0 <= n < 1 << 63, "an integer in [0, 2**63)"),
    "stop": (
        Sequence,
        lambda texts: all(isinstance(text, str) and text for text in texts),
        "a list of texts that aren't empty",
    ),
}
