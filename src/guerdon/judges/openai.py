"""A client for any server that speaks OpenAI's chat completions: vLLM, llama.cpp, OpenAI itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from guerdon.core.guarded import explain
from guerdon.core.messages import Message, check_messages
from guerdon.engine.http import Endpoint, EndpointError, excerpt
from guerdon.judges.chat import ModelError, Reply, Usage, check_request

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from guerdon.judges.chat import Sampling

_SENT = ("role", "content", "name", "tool_call_id", "tool_calls")


class OpenAIChat:
    """A model behind `POST {base_url}/chat/completions`.

    `base_url`: with its version, as in `http://localhost:8000/v1` · `model`: the name that the server knows ·
    `api_key`: by default what the environment variable OPENAI_API_KEY holds when a request is sent, and none where
    it isn't set · `timeout`: seconds that one try may take · `retries`: further tries after a status 408, 409, 425,
    429 or 5xx, a timeout or a lost connection · `backoff`: seconds before the first of them, doubled each time, with
    jitter; a `Retry-After` of the server is waited out, and one of more than 120 s ends the tries · `body`: further
    fields of each request, for what only this server knows.

    A reward that asks it sets `is_temporary` to False for `ModelError`, or leaves the retries to the engine and sets
    `retries=0` here. Of a message only `role`, `content`, `name`, `tool_call_id` and `tool_calls` are sent.

    `chat` raises `ModelError` with the status and the beginning of the body; the key is never in it. Connections
    live as long as the event loop. Needs `guerdon[serve]`.

    Raises `ValueError` for an address that isn't http or holds a password, a `timeout` that isn't positive, and
    `retries` or `backoff` below 0.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        timeout: float = 120.0,
        retries: int = 3,
        backoff: float = 0.5,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        self._endpoint = Endpoint(
            base_url, "chat/completions", api_key=api_key, timeout=timeout, retries=retries, backoff=backoff
        )
        self.base_url, self.model = self._endpoint.base_url, model
        self.body = dict(body or {})

    def __repr__(self) -> str:
        return f"OpenAIChat({self.base_url!r}, {self.model!r}, body={self.body!r})"

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        **sampling: Unpack[Sampling],
    ) -> Reply:
        """The next assistant turn of this dialogue."""
        check_request(messages, sampling)
        request = {**self.body, "model": self.model, "messages": [_sent(m) for m in messages], **sampling}
        if tools:
            request["tools"] = list(tools)
        try:
            data = json.dumps(request, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise ValueError(f"messages: expected what JSON has a form for: {error}") from None
        try:
            return read_completion(await self._endpoint.post(data))
        except (EndpointError, ModelError) as error:
            raise ModelError(f"{self.model}: {error}", error.status) from error


def read_completion(content: bytes) -> Reply:
    """The reply in the body of a chat completion. Raises `ModelError` where there is none."""
    try:
        answer: Any = json.loads(content)
        choice = answer["choices"][0]
        message = {"role": "assistant"} | {k: v for k, v in choice["message"].items() if v is not None}
        message.setdefault("content", None)
        check_messages([message], "messages", needs_assistant=True)
        if not isinstance(message.get("tool_calls", []), list):
            raise TypeError(f"tool_calls: expected a list, got {type(message['tool_calls']).__name__}")
        return Reply(message, _usage(answer.get("usage")), choice.get("finish_reason"))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"expected a chat completion, got {excerpt(content)!r} ({explain(error)})", 200
        ) from error


def _usage(usage: Any) -> Usage | None:
    told = usage or {}
    read, written = told.get("prompt_tokens"), told.get("completion_tokens")
    return Usage(read, written) if type(read) is int and type(written) is int else None


def _sent(message: Message) -> dict[str, Any]:
    """The message as the API takes it: its own keys only, and the arguments of calls as JSON text."""
    sent = {key: message[key] for key in _SENT if message.get(key) is not None}
    sent.setdefault("content", None)
    if not sent.get("tool_calls"):
        sent.pop("tool_calls", None)
        return sent
    sent["tool_calls"] = [_sent_call(call) for call in sent["tool_calls"]]
    return sent


def _sent_call(call: Any) -> Any:
    if not isinstance(call, Mapping):
        return call
    function = call.get("function", call)
    arguments = function.get("arguments", "{}")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    identity = {"id": call["id"]} if call.get("id") is not None else {}
    return {**identity, "type": "function", "function": {"name": function.get("name"), "arguments": text}}
