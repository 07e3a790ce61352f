"""`score`: run a reward over samples with workers, time limits, a cache and a progress bar.

The engine only decides who runs the leaves of the expression graph; what they mean and how they combine is the same
as in a plain `reward(samples)`. Results are in input order and don't depend on the number of workers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np

from guerdon.core.context import EMPTY, Context
from guerdon.core.evaluate import Job, evaluate, take
from guerdon.core.guarded import score_batch_guarded
from guerdon.core.reward import Reward, leaves
from guerdon.core.samples import Sample
from guerdon.core.signal import Signal, Value
from guerdon.engine.cache import DiskCache, Store
from guerdon.engine.coroutines import Requests, run_requests
from guerdon.engine.pool import WorkerPool
from guerdon.engine.progress import Advance, ignore, progress_bar
from guerdon.engine.units import OnResult, Unit, Values, seed_of, timed, units_of

Backend: TypeAlias = Literal["local", "ray"]

MEMORY = 4 << 30
_KEEP_EVERY = 256


class Pool(Protocol):
    """Who scores units elsewhere: worker processes on this machine, or a Ray cluster."""

    def run(
        self, index: int, units: Sequence[Unit], context: Context, seed: int | None, on_result: OnResult
    ) -> None:
        """Score units of leaf number `index`."""
        ...

    def close(self) -> None:
        """Let go of all processes."""
        ...


class Engine:
    """A reward with what it needs to run, for repeated use; `score` is the one-off form.

    `workers`: processes for the sample- and group-scope leaves; 0 scores in this process · `timeout`: seconds that
    one unit may take (a sample, a group, or one request of an async leaf), or None · `memory`: bytes that a worker may
    map beyond what it starts with · `cache`: a folder or a `Store` · `requests`: how async leaves make their calls ·
    `backend`: "local", or "ray" to spread the units over a cluster · `stores`: further stores, asked first.

    Leaves of scope `batch` and leaves with `isolate=False` run in this process; a time limit doesn't reach them.
    Raises `ValueError` where a time limit is asked for without workers to enforce it, and `PoolError` where the reward
    can't be sent to a worker.
    """

    def __init__(
        self,
        reward: Reward,
        *,
        workers: int = 0,
        timeout: float | None = None,
        memory: int | None = MEMORY,
        cache: str | os.PathLike[str] | Store | None = None,
        requests: Requests | None = None,
        backend: Backend = "local",
        stores: Sequence[Store] = (),
    ) -> None:
        if not isinstance(reward, Reward):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"reward: expected a guerdon.Reward, got {type(reward).__name__}")
        if isinstance(workers, bool) or workers < 0:
            raise ValueError(f"workers: expected at least 0, got {workers}")
        if backend not in ("local", "ray"):
            raise ValueError(f"backend: expected 'local' or 'ray', got {backend!r}")
        self.reward = reward
        self.leaves = leaves(reward)
        self.requests = requests or Requests(timeout=timeout)
        self._stores = list(stores)
        self._opened: DiskCache | None = None
        if isinstance(cache, (str, os.PathLike)):
            self._opened = DiskCache(cache)
            self._stores.append(self._opened)
        elif cache is not None:
            self._stores.append(cache)
        movable = [
            leaf for leaf in self.leaves if leaf.isolate and leaf.scope != "batch" and not leaf.is_async
        ]
        if timeout is not None and movable and workers == 0 and backend == "local":
            raise ValueError(
                f"timeout: {movable[0].name!r} runs in this process, where nothing can stop it; pass workers=1 or more"
            )
        self._movable = {id(leaf): i for i, leaf in enumerate(movable)}
        self._pool: Pool | None = None
        if backend == "ray":
            from guerdon.engine.cluster import RayPool

            self._pool = RayPool(movable, workers or None, timeout, memory)
        elif workers and movable:
            self._pool = WorkerPool(movable, workers, timeout, memory)

    def score(
        self, samples: Sequence[Sample], context: Context | None = None, *, advance: Advance = ignore
    ) -> Signal:
        """The reward's Signal over `samples`, with `seconds` filled in. `advance(n)` hears of n rows done by a leaf."""
        took = np.zeros(len(samples))

        def run_leaves(jobs: list[Job], samples: Sequence[Sample], context: Context) -> list[Signal]:
            signals = list[Signal]()
            for job in jobs:
                signal = self._run_leaf(job.leaf, take(samples, job.rows), context, advance)
                if signal.seconds is not None:
                    took[job.rows] += signal.seconds
                signals.append(signal)
            return signals

        return evaluate(self.reward, samples, context or EMPTY, run_leaves).replace(seconds=took)

    def stream(
        self, chunks: Iterable[Sequence[Sample]], context: Context | None = None
    ) -> Iterator[tuple[Sequence[Sample], Signal]]:
        """Score chunk after chunk in constant memory. A chunk must hold whole groups where the reward sees groups.

        Raises `ValueError` for a reward of scope `batch`: it must see everything at once.
        """
        if self.reward.scope == "batch":
            raise ValueError(
                f"{self.reward.name}: a reward of scope 'batch' can't be streamed; score all samples at once"
            )
        for chunk in chunks:
            yield chunk, self.score(chunk, context)

    def close(self) -> None:
        """Stop the workers and close the cache."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- one leaf -----------------------------------------------------------------------------------------------

    def _run_leaf(
        self, leaf: Reward, samples: Sequence[Sample], context: Context, advance: Advance
    ) -> Signal:
        pooled = self._pool is not None and id(leaf) in self._movable
        at_once = leaf.scope == "batch" or (leaf.vectorised and not pooled and not leaf.is_async)
        if at_once and (leaf.scope == "batch" or not self._stores):
            signal = _whole(leaf, samples, context)
            advance(len(samples))
            return signal
        units = units_of(leaf, samples)
        values: list[Value] = [None] * len(samples)
        seconds = np.zeros(len(samples))
        known = dict[int, Values]()
        for store in self._stores:
            missing = [unit for unit in units if unit.number not in known]
            known.update(store.recall(leaf, missing, context) if missing else {})
        with _Keeper(self._stores, leaf, context) as keeper:

            def on_result(unit: Unit, found: Values, took: float) -> None:
                for row, value in zip(unit.rows, found, strict=True):
                    values[row] = value
                    seconds[row] = took / len(unit.rows)
                if unit.number not in known:
                    keeper.add(unit, found)
                advance(len(unit.rows))

            for unit in units:
                if unit.number in known:
                    on_result(unit, known[unit.number], 0.0)
            todo = [unit for unit in units if unit.number not in known] if known else units
            if at_once:
                self._in_one_call(leaf, todo, context, on_result)
            else:
                self._one_by_one(leaf, todo, context, on_result)
        return Signal.from_values(values).replace(seconds=seconds)

    def _one_by_one(self, leaf: Reward, units: Sequence[Unit], context: Context, on_result: OnResult) -> None:
        seed = seed_of(context)
        if leaf.is_async:
            run_requests(leaf, units, context, seed, self.requests, on_result)
        elif self._pool is not None and id(leaf) in self._movable:
            self._pool.run(self._movable[id(leaf)], units, context, seed, on_result)
        else:
            for unit in units:
                on_result(unit, *timed(leaf, unit.samples, context, unit.number, seed))

    def _in_one_call(
        self, leaf: Reward, units: Sequence[Unit], context: Context, on_result: OnResult
    ) -> None:
        signal = _whole(leaf, [sample for unit in units for sample in unit.samples], context)
        each = 0.0 if signal.seconds is None or not len(signal) else float(signal.seconds[0])
        position = 0
        for unit in units:
            count = len(unit.rows)
            on_result(unit, [signal.value(i) for i in range(position, position + count)], each * count)
            position += count


def _whole(leaf: Reward, samples: Sequence[Sample], context: Context) -> Signal:
    """All samples in one call, its time shared evenly among them."""
    start = time.perf_counter()
    signal = score_batch_guarded(leaf, samples, context)
    return signal.replace(seconds=np.full(len(samples), (time.perf_counter() - start) / max(1, len(samples))))


class _Keeper:
    """Hands finished units to the stores, many at a time where a store is slow to write."""

    def __init__(self, stores: Sequence[Store], leaf: Reward, context: Context) -> None:
        self._stores, self._leaf, self._context = stores, leaf, context
        self._done = list[tuple[Unit, Values]]()
        self._every = min((store.keep_every for store in stores), default=_KEEP_EVERY)

    def add(self, unit: Unit, values: Values) -> None:
        if self._stores:
            self._done.append((unit, values))
            if len(self._done) >= self._every:
                self.flush()

    def flush(self) -> None:
        for store in self._stores:
            if self._done:
                store.keep(self._leaf, self._done, self._context)
        self._done.clear()

    def __enter__(self) -> _Keeper:
        return self

    def __exit__(self, *_: Any) -> None:
        self.flush()


def score(
    reward: Reward | str,
    samples: Sequence[Sample],
    *,
    workers: int = 0,
    timeout: float | None = None,
    cache: str | os.PathLike[str] | Store | None = None,
    progress: bool = False,
    backend: Backend = "local",
    context: Context | None = None,
    memory: int | None = MEMORY,
    requests: Requests | None = None,
) -> Signal:
    """Score `samples` with `reward`, a Reward or the name of a registered one.

    `workers=0` scores in this process. With workers, a sample that passes `timeout` seconds, crashes or takes more
    than `memory` bytes is TIMED_OUT or FAILED with its reason; all others are right. See `Engine` for every argument.
    """
    if isinstance(reward, str):
        from guerdon.core.recipe import load_reward

        reward = load_reward(reward)
    with (
        Engine(
            reward,
            workers=workers,
            timeout=timeout,
            memory=memory,
            cache=cache,
            requests=requests,
            backend=backend,
        ) as engine,
        progress_bar(progress, len(samples) * len(engine.leaves)) as advance,
    ):
        return engine.score(samples, context, advance=advance)
