"""A client for any server that speaks OpenAI's chat completions: vLLM, llama.cpp, OpenAI itself."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from guerdon.core.checks import check_number
from guerdon.core.extras import need
from guerdon.core.guarded import explain
from guerdon.core.messages import Message, check_messages
from guerdon.judges.chat import ModelError, Reply, Usage, check_request

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from guerdon.judges.chat import Sampling

_SENT = ("role", "content", "name", "tool_call_id", "tool_calls")
_TEMPORARY = (408, 409, 425, 429)
_LONGEST_WAIT = 120.0


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
        address = urlsplit(base_url)
        if address.password or address.username:
            raise ValueError("base_url: expected an address without user and password; pass api_key")
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError(f"base_url: expected http://… or https://…, got {base_url!r}")
        self.base_url, self.model = base_url.rstrip("/"), model
        self.timeout = check_number(timeout, "timeout", above=0)
        self.retries = int(check_number(retries, "retries", 0))
        self.backoff = check_number(backoff, "backoff", 0)
        self.body = dict(body or {})
        self._api_key = api_key

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
        from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt

        check_request(messages, sampling)
        request = {**self.body, "model": self.model, "messages": [_sent(m) for m in messages], **sampling}
        if tools:
            request["tools"] = list(tools)
        try:
            data = json.dumps(request, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise ValueError(f"messages: expected what JSON has a form for: {error}") from None
        attempts = AsyncRetrying(
            retry=retry_if_exception_type(_Temporary),
            stop=stop_after_attempt(self.retries + 1),
            wait=self._wait,
            reraise=True,
        )
        try:
            return await attempts(self._post, data)
        except ModelError as error:
            tries = attempts.statistics["attempt_number"]
            after = f" (after {tries} tries)" if tries > 1 else ""
            raise ModelError(f"{self.model}: {error}{after}", error.status) from error.__cause__

    def _wait(self, state: Any) -> float:
        from tenacity import wait_random_exponential

        asked = state.outcome.exception().retry_after
        return max(asked, wait_random_exponential(multiplier=self.backoff, max=60)(state))

    async def _post(self, data: bytes) -> Reply:
        httpx = need("httpx", "serve")
        key = self._key()
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        client = await _client()
        url = f"{self.base_url}/chat/completions"
        try:
            # httpx limits the silence between two packets; a server that trickles would never run out of that.
            response = await asyncio.wait_for(client.post(url, content=data, headers=headers), self.timeout)
        except asyncio.TimeoutError:
            raise _Temporary(f"no answer within {self.timeout:g} s") from None
        except httpx.RequestError as error:
            raise _Temporary(explain(error)) from error
        if response.status_code == 200:
            return read_completion(response.content)
        text = response.text.replace(key, "***") if key else response.text
        reason = f"HTTP {response.status_code}: {' '.join(text.split())[:500]}"
        wait = _retry_after(response.headers.get("retry-after", ""))
        temporary = response.status_code in _TEMPORARY or response.status_code >= 500
        if temporary and wait <= _LONGEST_WAIT:
            raise _Temporary(reason, response.status_code, wait)
        raise ModelError(reason, response.status_code)

    def _key(self) -> str:
        key = (self._api_key or os.environ.get("OPENAI_API_KEY", "")).strip()
        # Refused here, since the HTTP library quotes a header that it can't send.
        if not (key.isascii() and key.isprintable()):
            raise ModelError("api_key: expected printable ASCII")
        return key


async def _client() -> Any:
    """The HTTP client of the running loop: connections can't be used from another one."""
    loop = asyncio.get_running_loop()
    if loop not in _clients:
        opened = _opened(loop)
        _clients[loop] = opened, await anext(opened)
    return _clients[loop][1]


async def _opened(loop: asyncio.AbstractEventLoop) -> AsyncGenerator[Any, None]:
    """A client that is closed with the loop, since a loop closes its generators at its end."""
    httpx = need("httpx", "serve")
    # How many requests run at once is up to the caller; one that waits for a free connection would time out.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
    try:
        async with httpx.AsyncClient(timeout=None, limits=limits) as client:
            yield client
    finally:
        del _clients[loop]


_clients: dict[asyncio.AbstractEventLoop, tuple[AsyncGenerator[Any, None], Any]] = {}


class _Temporary(ModelError):
    """It may work the next time, after `retry_after` seconds."""

    def __init__(self, reason: str, status: int | None = None, retry_after: float = 0.0) -> None:
        super().__init__(reason, status)
        self.retry_after = retry_after


def read_completion(content: bytes) -> Reply:
    """The reply in the body of a chat completion. Raises `ModelError` where there is none."""
    excerpt = " ".join(content[:500].decode("utf-8", "replace").split())
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
        raise ModelError(f"expected a chat completion, got {excerpt!r} ({explain(error)})", 200) from error


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


def _retry_after(header: str) -> float:
    """Seconds that a `Retry-After` header, a number or a date, asks to wait; 0 where it can't be read."""
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return 0.0
