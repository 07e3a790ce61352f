"""A pool of worker processes that can't be hung.

One loop in the calling thread hands out units, collects results, and kills the worker whose unit has passed its time
limit; there is no helper thread and no signal handler, so it works from any thread, inside an asyncio loop's executor,
and inside a Ray worker. A worker that dies takes only the unit in its hands with it; the rest of its work is handed out
again, and the pool is made whole at once.
"""

from __future__ import annotations

import collections
import contextlib
import mmap
import os
import pickle
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import guerdon
from guerdon.core.context import Context
from guerdon.core.guarded import explain
from guerdon.core.reward import Reward
from guerdon.core.signal import Status
from guerdon.engine import pickling, wire
from guerdon.engine.units import OnResult, Unit, Values, failures

_CHUNK_SECONDS = 0.02
_CHUNK_UNITS = 2048
_CHUNK_BYTES = 8 << 20
_POLL = 0.02
_RECEIVE = 1 << 18
_STILLBORN = 3
# The package may be where only this process looks for it.
_PACKAGE = str(Path(guerdon.__file__).resolve().parents[1])
_NURSERY = (
    "import socket, sys; sys.path.insert(0, sys.argv[1]); from guerdon.engine.worker import nursery; "
    "nursery(socket.socket(fileno=int(sys.argv[2])))"
)


class PoolError(RuntimeError):
    """The pool can't work: the reward can't be sent to a worker or can't be loaded there."""


class _Worker:
    """The pool's view of one worker process."""

    __slots__ = ("channel", "heartbeat", "inbox", "outbox", "pid", "queue", "retiring")

    def __init__(self, pid: int, channel: socket.socket, heartbeat: wire.Heartbeat) -> None:
        self.pid = pid
        self.channel = channel
        self.heartbeat = heartbeat
        self.inbox = bytearray()
        self.outbox = bytearray()
        self.queue: collections.OrderedDict[int, Unit] = collections.OrderedDict()
        self.retiring = False


class WorkerPool:
    """`workers` processes that score units of `leaves`.

    `timeout`: seconds that one unit may take, from when it starts in the worker, or None · `memory`: bytes that a
    worker may map beyond what it starts with, or None. Raises `PoolError` where the rewards can't be pickled or loaded.
    """

    def __init__(
        self, leaves: Sequence[Reward], workers: int, timeout: float | None = None, memory: int | None = None
    ) -> None:
        if workers < 1:
            raise ValueError(f"workers: expected at least 1, got {workers}")
        if timeout is not None and not timeout > 0:
            raise ValueError(f"timeout: expected a positive number of seconds, got {timeout}")
        self.timeout, self.size = timeout, workers
        self._leaves = list(leaves)
        try:
            self._payload = pickle.dumps((sys.path, sys.argv, pickling.dumps(self._leaves), memory))
        except Exception as error:
            raise PoolError(f"the reward can't be sent to a worker process: {explain(error)}") from error
        self._selector = selectors.DefaultSelector()
        self._workers: list[_Worker] = []
        self._nursery: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._stillborn = 0
        self._context = b""
        try:
            self._start_nursery()
            for _ in range(workers):
                self._start_worker()
        except BaseException:
            self.close()
            raise

    # -- life and death -----------------------------------------------------------------------------------------

    def _start_nursery(self) -> None:
        ours, theirs = socket.socketpair()
        single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        with theirs:
            self._nursery = subprocess.Popen(
                [sys.executable, "-c", _NURSERY, _PACKAGE, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **single},
            )
        self._control = ours
        ours.sendall(wire.frame(self._payload))
        if (problem := self._answer()) is not None:
            raise PoolError(f"the reward can't be loaded in a worker process: {problem}")

    def _answer(self) -> Any:
        assert self._control is not None
        payload = wire.receive(self._control)
        if payload is None:
            raise PoolError("the process that makes workers died; see its output above")
        return pickle.loads(payload)

    def _start_worker(self) -> None:
        assert self._control is not None
        ours, theirs = socket.socketpair()
        with tempfile.TemporaryFile() as beat, theirs:
            beat.truncate(wire.BEAT_SIZE)
            memory = mmap.mmap(beat.fileno(), wire.BEAT_SIZE)
            heartbeat = wire.Heartbeat(memory)
            heartbeat.end()
            socket.send_fds(self._control, [b"fork"], [theirs.fileno(), beat.fileno()])
            worker = _Worker(self._answer(), ours, heartbeat)
        ours.setblocking(False)
        if self._context:
            worker.outbox += self._context
        self._workers.append(worker)
        self._selector.register(ours, selectors.EVENT_READ, worker)

    def _bury(self, worker: _Worker) -> str:
        """Kill a worker with everything it started, and say how it ended."""
        self._selector.unregister(worker.channel)
        worker.channel.close()
        self._workers.remove(worker)
        for kill in (os.killpg, os.kill):
            try:
                kill(worker.pid, signal.SIGKILL)
                break
            except (ProcessLookupError, PermissionError):
                continue
        assert self._control is not None
        self._control.sendall(b"reap %d" % worker.pid)
        code = self._answer()
        if code is None:
            return "the worker process ended"
        if code < 0:
            name = signal.Signals(-code).name
            return f"the worker process was killed by {name}" + (
                " (out of memory?)" if name == "SIGKILL" else ""
            )
        return f"the worker process exited with code {code}"

    def close(self) -> None:
        """End all workers. The pool can't be used afterwards."""
        for worker in list(self._workers):
            self._selector.unregister(worker.channel)
            worker.channel.close()
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(worker.pid, signal.SIGKILL)
        self._workers.clear()
        if self._control is not None:
            self._control.close()
        if self._nursery is not None:
            self._nursery.kill()
            self._nursery.wait()
        self._selector.close()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- work ---------------------------------------------------------------------------------------------------

    def run(
        self, index: int, units: Sequence[Unit], context: Context, seed: int | None, on_result: OnResult
    ) -> None:
        """Score `units` with leaf number `index`; `on_result(unit, values, seconds)` is called in order of completion."""
        self._context = wire.frame(pickling.dumps(context.portable()))
        for worker in self._workers:
            worker.outbox += self._context
        job = _Job(index, units, seed, on_result)
        try:
            while job.open:
                for worker in self._workers:
                    self._feed(worker, job)
                for key, events in self._selector.select(self._patience()):
                    self._exchange(key.data, events, job)
                if self.timeout is not None:
                    self._cut(job)
        except PoolError:
            raise
        except BaseException:
            # What the workers still hold would be answered in the next run, under numbers that mean other units there.
            for worker in list(self._workers):
                self._bury(worker)
                self._start_worker()
            raise

    def _patience(self) -> float | None:
        """How long to wait for news: until the next unit may pass its limit, looking again soon where none is known."""
        if self.timeout is None:
            return None
        now = time.monotonic()
        left = [
            self.timeout - (now - beat[1])
            for worker in self._workers
            if (beat := worker.heartbeat.read()) is not None
        ]
        return max(0.001, min([*left, max(_POLL, self.timeout / 10)]))

    def _feed(self, worker: _Worker, job: _Job) -> None:
        if (
            not worker.retiring
            and len(worker.queue) <= job.chunk // 2
            and (message := job.next_chunk(worker, self.size))
        ):
            worker.outbox += message
        if worker.outbox:
            self._selector.modify(worker.channel, selectors.EVENT_READ | selectors.EVENT_WRITE, worker)

    def _exchange(self, worker: _Worker, events: int, job: _Job) -> None:
        alive = True
        if events & selectors.EVENT_WRITE:
            alive = self._send(worker)
        if alive and events & selectors.EVENT_READ:
            alive = self._receive(worker, job)
        if not alive:
            self._replace(worker, job, hung=None)

    def _send(self, worker: _Worker) -> bool:
        try:
            sent = worker.channel.send(memoryview(worker.outbox)[:_RECEIVE])
        except BlockingIOError:
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False
        del worker.outbox[:sent]
        if not worker.outbox:
            self._selector.modify(worker.channel, selectors.EVENT_READ, worker)
        return True

    def _receive(self, worker: _Worker, job: _Job) -> bool:
        try:
            data = worker.channel.recv(_RECEIVE)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            data = b""
        if not data:
            return False
        worker.inbox += data
        for kind, number, values, seconds in wire.results(worker.inbox):
            if kind == wire.RETIRE:
                worker.retiring = True
                continue
            self._stillborn = 0
            unit = worker.queue.pop(number, None)
            if unit is not None:
                job.finish(unit, values, seconds)
        return True

    def _cut(self, job: _Job) -> None:
        assert self.timeout is not None
        now = time.monotonic()
        for worker in list(self._workers):
            beat = worker.heartbeat.read()
            if beat is not None and now - beat[1] > self.timeout:
                self._replace(worker, job, hung=beat[0])

    def _replace(self, worker: _Worker, job: _Job, hung: int | None) -> None:
        """Take a dead, retiring or hung worker out, settle the unit in its hands, give the others back, start another.

        A unit found hung may finish in the moment before the kill: then its result counts, and the unit that the
        worker went on to is not to blame.
        """
        if hung is not None:
            os.kill(worker.pid, signal.SIGSTOP)
        self._drain(worker, job)
        beat = worker.heartbeat.read()
        ending = self._bury(worker)
        blamed = beat is not None and hung in (None, beat[0])
        if beat is not None and blamed and (unit := worker.queue.pop(beat[0], None)) is not None:
            reason, status = ending, Status.FAILED
            if hung is not None:
                reason, status = f"took longer than {self.timeout:g} s", Status.TIMED_OUT
            job.finish(unit, failures(len(unit.rows), reason, status), time.monotonic() - beat[1])
        elif not worker.retiring and hung is None:
            self._stillborn += 1
            if self._stillborn >= _STILLBORN * self.size:
                raise PoolError(f"workers end before they score anything: {ending}")
        job.give_back(worker.queue.values())
        self._start_worker()

    def _drain(self, worker: _Worker, job: _Job) -> None:
        """Results that the worker had sent before its end count."""
        while True:
            before = len(worker.inbox), len(worker.queue)
            if not self._receive(worker, job) or (len(worker.inbox), len(worker.queue)) == before:
                return


class _Job:
    """The units of one run: what is still to be handed out, how large the next chunk is, what is not finished."""

    def __init__(self, index: int, units: Sequence[Unit], seed: int | None, on_result: OnResult) -> None:
        self.index, self.seed, self.on_result = index, seed, on_result
        self.pending = collections.deque(units)
        self.open = len(units)
        self.chunk = 1
        self._pace = 0.0

    def next_chunk(self, worker: _Worker, workers: int) -> bytes:
        """A frame with the next units, sized so that it is worth its overhead and the end is shared evenly."""
        count = max(1, min(self.chunk, len(self.pending) // (2 * workers)))
        batch = list[tuple[int, int, bytes]]()
        size = 0
        while self.pending and len(batch) < count and size < _CHUNK_BYTES:
            unit = self.pending.popleft()
            body = self._body(unit)
            if body is not None:
                batch.append((unit.number, len(unit.rows), body))
                worker.queue[unit.number] = unit
                size += len(body)
        return wire.frame(pickle.dumps(wire.Task(self.index, self.seed, batch))) if batch else b""

    def _body(self, unit: Unit) -> bytes | None:
        try:
            return pickle.dumps(unit.samples, protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            self.finish(
                unit, failures(len(unit.rows), f"the sample can't be sent to a worker: {explain(error)}"), 0.0
            )
            return None

    def finish(self, unit: Unit, values: Values, seconds: float) -> None:
        """One unit has its values."""
        self.open -= 1
        self._pace = seconds if self._pace == 0.0 else 0.8 * self._pace + 0.2 * seconds
        self.chunk = int(max(1, min(_CHUNK_UNITS, 2 * self.chunk, _CHUNK_SECONDS / max(self._pace, 1e-6))))
        self.on_result(unit, values, seconds)

    def give_back(self, units: Any) -> None:
        """Units that a lost worker had not begun go to the front again, in order."""
        self.pending.extendleft(reversed(list(units)))
