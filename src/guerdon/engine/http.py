"""Requests to an HTTP endpoint: a time limit for each try, retries, and a key that no error shows."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from guerdon.core.checks import check_number
from guerdon.core.extras import need
from guerdon.core.guarded import explain

_TEMPORARY = (408, 409, 425, 429)
_LONGEST_WAIT = 120.0


class EndpointError(Exception):
    """An endpoint gave no answer, or none that can be read. `status`: of HTTP, where there was one."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


class Endpoint:
    """An address that takes and gives JSON.

    `base_url`: with its version, as in `http://localhost:8000/v1` · `path`: of this endpoint below it · `api_key`: by
    default what the environment variable OPENAI_API_KEY holds when a request is sent, and none where it isn't set ·
    `timeout`: seconds that one try may take · `retries`: further tries after a status 408, 409, 425, 429 or 5xx, a
    timeout or a lost connection · `backoff`: seconds before the first of them, doubled each time, with jitter; a
    `Retry-After` of the server is waited out, and one of more than 120 s ends the tries.

    Connections live as long as the event loop. Needs `guerdon[serve]`.

    Raises `ValueError` for an address that isn't http or holds a password, a `timeout` that isn't positive, and
    `retries` or `backoff` below 0.
    """

    def __init__(
        self, base_url: str, path: str, *, api_key: str | None, timeout: float, retries: int, backoff: float
    ) -> None:
        address = urlsplit(base_url)
        if address.password or address.username:
            raise ValueError("base_url: expected an address without user and password; pass api_key")
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError(f"base_url: expected http://… or https://…, got {base_url!r}")
        self.base_url = base_url.rstrip("/")
        self.url = f"{self.base_url}/{path}"
        self.timeout = check_number(timeout, "timeout", above=0)
        self.retries = int(check_number(retries, "retries", 0))
        self.backoff = check_number(backoff, "backoff", 0)
        self._api_key = api_key

    async def post(self, data: bytes) -> bytes:
        """The answer to this JSON. Raises `EndpointError` with the status, unless it is 200, and the body's beginning."""
        from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt

        attempts = AsyncRetrying(
            retry=retry_if_exception_type(_Temporary),
            stop=stop_after_attempt(self.retries + 1),
            wait=self._wait,
            reraise=True,
        )
        try:
            return await attempts(self._post, data)
        except EndpointError as error:
            tries = attempts.statistics["attempt_number"]
            after = f" (after {tries} tries)" if tries > 1 else ""
            raise EndpointError(f"{error}{after}", error.status) from error.__cause__

    def _wait(self, state: Any) -> float:
        from tenacity import wait_random_exponential

        asked = state.outcome.exception().retry_after
        return max(asked, wait_random_exponential(multiplier=self.backoff, max=60)(state))

    async def _post(self, data: bytes) -> bytes:
        httpx = need("httpx", "serve")
        key = self._key()
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        client = await _client()
        try:
            # httpx limits the silence between two packets; a server that trickles would never run out of that.
            response = await asyncio.wait_for(
                client.post(self.url, content=data, headers=headers), self.timeout
            )
        except asyncio.TimeoutError:
            raise _Temporary(f"no answer within {self.timeout:g} s") from None
        except httpx.RequestError as error:
            raise _Temporary(explain(error)) from error
        if response.status_code == 200:
            return response.content
        text = response.text.replace(key, "***") if key else response.text
        reason = f"HTTP {response.status_code}: {' '.join(text.split())[:500]}"
        wait = _retry_after(response.headers.get("retry-after", ""))
        temporary = response.status_code in _TEMPORARY or response.status_code >= 500
        if temporary and wait <= _LONGEST_WAIT:
            raise _Temporary(reason, response.status_code, wait)
        raise EndpointError(reason, response.status_code)

    def _key(self) -> str:
        key = (self._api_key or os.environ.get("OPENAI_API_KEY", "")).strip()
        # Refused here, since the HTTP library quotes a header that it can't send.
        if not (key.isascii() and key.isprintable()):
            raise EndpointError("api_key: expected printable ASCII")
        return key


def excerpt(content: bytes) -> str:
    """The beginning of a body on one line, for an error."""
    return " ".join(content[:500].decode("utf-8", "replace").split())


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


class _Temporary(EndpointError):
    """It may work the next time, after `retry_after` seconds."""

    def __init__(self, reason: str, status: int | None = None, retry_after: float = 0.0) -> None:
        super().__init__(reason, status)
        self.retry_after = retry_after


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
