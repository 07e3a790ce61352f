"""One engine behind the reward function of a trainer that calls it from several threads, often a sample at a time."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.core.reward import Reward
from guerdon.core.samples import Sample
from guerdon.core.signal import Signal
from guerdon.engine.run import Engine


class Scorer:
    """A reward with its engine, which is made on first use in each process and lives as long as it.

    `options`: keyword arguments of `Engine`. Threads may call at any time: those that come while others are scored
    wait, and are then scored together, so that all workers are busy although the trainer asks for one sample a call.
    """

    def __init__(self, reward: Reward, **options: Any) -> None:
        if not isinstance(reward, Reward):
            raise TypeError(f"reward: expected a guerdon.Reward, got {type(reward).__name__}")
        self.reward, self.options = reward, options
        self._lock = threading.Lock()
        self._waiting: queue.SimpleQueue[tuple[Sample, Future[Signal]]] = queue.SimpleQueue()
        self._engine: Engine | None = None
        self._parts: Sequence[str] = ()
        self._process = 0

    def score(self, samples: Sequence[Sample]) -> Signal:
        """The Signal of a batch."""
        with self._lock:
            return self._open().score(samples)

    def score_one(self, sample: Sample) -> Signal:
        """The Signal of one sample, together with those that other threads wait for.

        Raises `TypeError` where the reward compares samples: these would be the wrong ones.
        """
        if self.reward.scope != "sample":
            raise TypeError(
                f"{self.reward.name}: a reward of scope {self.reward.scope!r} compares samples, but the trainer "
                "gives one at a time"
            )
        mine = Future[Signal]()
        self._waiting.put((sample, mine))
        with self._lock:
            if not mine.done():
                self._settle([self._waiting.get() for _ in range(self._waiting.qsize())])
        return mine.result()

    def _settle(self, batch: Sequence[tuple[Sample, Future[Signal]]]) -> None:
        try:
            signal = self._open().score([sample for sample, _ in batch])
        except BaseException as error:
            for _, future in batch:
                future.set_exception(error)
            return
        for i, (_, future) in enumerate(batch):
            future.set_result(signal.take([i]))

    def _open(self) -> Engine:
        if self._engine is None or self._process != os.getpid():
            engine = Engine(self.reward, **self.options)
            self._parts = list(_parts(engine.score([])))
            self._engine, self._process = engine, os.getpid()
        return self._engine

    def parts(self, signal: Signal, *reserved: str) -> dict[str, NDArray[np.float64]]:
        """Totals (n,) of every part of the expression by name, NaN where it has no value: the same names in each call.

        Parts of a part are `outer/inner`. A name among `reserved` gets a number: `score#2`.
        """
        found = _parts(signal)
        return {f"{name}#2" if name in reserved else name: found[name].total for name in self._parts}


def _parts(signal: Signal) -> dict[str, Signal]:
    return {"/".join(path): part for path, part in signal.walk() if path}
