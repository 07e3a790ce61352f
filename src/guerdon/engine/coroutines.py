"""Async leaves: model calls with bounded concurrency, retries with backoff, and a deadline for each request."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from guerdon.core.context import Context
from guerdon.core.guarded import explain
from guerdon.core.reward import Reward
from guerdon.core.signal import Abstain, Failure, Status, Value, as_value
from guerdon.engine.units import OnResult, Unit, context_of

T = TypeVar("T")

_GIVE_UP_ON_CANCELLING = 1.0


@dataclass(frozen=True, slots=True)
class Requests:
    """How model calls are made.

    `concurrency`: how many are in flight at once · `retries`: further tries after an error that the reward calls
    temporary · `backoff`: seconds before the first retry, doubled each time, with jitter · `timeout`: seconds that one
    request may take from when it is sent, or None; a request that runs out of time is not tried again.
    """

    concurrency: int = 32
    retries: int = 3
    backoff: float = 0.5
    timeout: float | None = None

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise ValueError(f"concurrency: expected at least 1, got {self.concurrency}")
        if self.retries < 0:
            raise ValueError(f"retries: expected at least 0, got {self.retries}")
        if self.timeout is not None and not self.timeout > 0:
            raise ValueError(f"timeout: expected a positive number of seconds, got {self.timeout}")


def run_requests(
    leaf: Reward,
    units: Sequence[Unit],
    context: Context,
    seed: int | None,
    requests: Requests,
    on_result: OnResult,
) -> None:
    """Score the units of an async leaf; works whether or not a loop is running in the calling thread."""
    run_to_end(_run_all(leaf, units, context, seed, requests, on_result))


def run_to_end(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine from synchronous code, in a thread of its own where this one already runs a loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _own_loop(coroutine)
    outcome = list[T]()
    error = list[BaseException]()

    def target() -> None:
        try:
            outcome.append(_own_loop(coroutine))
        except BaseException as raised:
            error.append(raised)

    thread = threading.Thread(target=target, name="guerdon-requests")
    thread.start()
    thread.join()
    if error:
        raise error[0]
    return outcome[0]


def _own_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Like `asyncio.run`, but a task that refuses to be cancelled can't hold up the end."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=_GIVE_UP_ON_CANCELLING))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _run_all(
    leaf: Reward,
    units: Sequence[Unit],
    context: Context,
    seed: int | None,
    requests: Requests,
    on_result: OnResult,
) -> None:
    queue = iter(units)

    async def drain() -> None:
        for unit in queue:
            mine = context_of(context, unit.number, seed)
            start = time.perf_counter()
            value = await _with_retries(leaf, unit, mine, requests)
            on_result(unit, [value], time.perf_counter() - start)

    await asyncio.gather(*(drain() for _ in range(min(requests.concurrency, len(units)))))


async def _with_retries(leaf: Reward, unit: Unit, context: Context, requests: Requests) -> Value:
    from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

    attempts = AsyncRetrying(
        retry=retry_if_exception(
            lambda error: not isinstance(error, _OutOfTime) and leaf.is_temporary(error)
        ),
        stop=stop_after_attempt(requests.retries + 1),
        wait=wait_random_exponential(multiplier=requests.backoff, max=60),
        reraise=True,
    )
    try:
        return as_value(await attempts(_once, leaf, unit, context, requests.timeout))
    except Abstain as abstention:
        return abstention
    except _OutOfTime:
        return Failure(f"took longer than {requests.timeout:g} s", Status.TIMED_OUT)
    except Exception as error:
        tries = attempts.statistics.get("attempt_number", 1)
        return Failure(explain(error) + (f" (after {tries} tries)" if tries > 1 else ""))


class _OutOfTime(Exception):
    """This request's deadline passed; unlike a TimeoutError raised by the reward itself it is final."""


async def _once(leaf: Reward, unit: Unit, context: Context, timeout: float | None) -> Any:
    """One request. A coroutine that swallows its cancellation is left behind rather than waited for."""
    task = asyncio.ensure_future(leaf.score(unit.samples[0], context))
    done, _ = await asyncio.wait({task}, timeout=timeout)
    if not done:
        task.cancel()
        raise _OutOfTime
    return task.result()
