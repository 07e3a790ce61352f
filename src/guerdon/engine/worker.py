"""The other side of the pool. A process of its own, the *nursery*, loads the rewards once and forks workers.

The nursery has one thread, so that forking is safe whatever threads the caller runs, and a fork takes milliseconds
where a fresh interpreter with its imports would take a second. A worker scores units until it is told to stop, is
killed, or finds that a unit left threads behind; then the pool asks the nursery for another one.
"""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import mmap
import os
import pickle
import resource
import signal
import socket
import sys
import time

from guerdon.core.context import EMPTY, Context
from guerdon.core.guarded import explain
from guerdon.core.reward import Reward
from guerdon.core.signal import Failure
from guerdon.engine import wire
from guerdon.engine.units import Values, failures, score_unit

_PR_SET_PDEATHSIG = 1


def nursery(control: socket.socket) -> None:
    """Load the rewards, say whether that worked, then fork a worker for each request until the pool goes away."""
    payload = wire.receive(control)
    if payload is None:
        return
    try:
        leaves, memory = _load(payload)
    except BaseException as error:
        control.sendall(wire.frame(pickle.dumps(explain(error))))
        return
    control.sendall(wire.frame(pickle.dumps(None)))
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1 << 10, 2)
        if not message:
            return
        if message.startswith(b"fork"):
            pid = os.fork()
            if pid == 0:
                control.close()
                _become_worker(leaves, memory, *descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            control.sendall(wire.frame(pickle.dumps(pid)))
        else:
            control.sendall(wire.frame(pickle.dumps(_reap(int(message.split()[1])))))


def _load(payload: bytes) -> tuple[list[Reward], int | None]:
    path, arguments, pickled, memory = pickle.loads(payload)
    sys.path[:] = path
    sys.argv[:] = arguments
    leaves: list[Reward] = pickle.loads(pickled)
    for leaf in leaves:
        leaf.prepare()
    return leaves, memory


def _reap(pid: int) -> int | None:
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return None


def _become_worker(leaves: list[Reward], memory: int | None, channel: int, beat: int) -> None:
    """Never returns: whatever happens, the process ends here and not in the nursery's loop."""
    code = 1
    try:
        os.setsid()
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.dup2(2, 1)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if memory is not None:
            _limit_memory(memory)
        heartbeat = wire.Heartbeat(mmap.mmap(beat, wire.BEAT_SIZE))
        os.close(beat)
        _serve(leaves, socket.socket(fileno=channel), heartbeat)
        code = 0
    finally:
        os._exit(code)


def _limit_memory(limit: int) -> None:
    """Allow `limit` bytes beyond what the interpreter and the loaded libraries already map."""
    page = resource.getpagesize()
    try:
        with open("/proc/self/statm") as file:
            mapped = int(file.read().split()[0]) * page
    except OSError:
        mapped = 0
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = mapped + limit
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))


def _serve(leaves: list[Reward], channel: socket.socket, heartbeat: wire.Heartbeat) -> None:
    monotonic, count_threads = time.monotonic, _thread._count  # pyright: ignore[reportPrivateUsage]
    threads = count_threads()
    context = EMPTY
    while (payload := wire.receive(channel)) is not None:
        message: wire.Task | Context = pickle.loads(payload)
        if isinstance(message, Context):
            context = message
            continue
        leaf = leaves[message.leaf]
        for number, count, body in message.units:
            start = monotonic()
            heartbeat.begin(number, start)
            values = _one(leaf, body, count, context, number, message.seed)
            heartbeat.end()
            channel.sendall(wire.result(number, values, monotonic() - start))
            exhausted = isinstance(values[0], Failure) and values[0].reason.startswith("MemoryError")
            if exhausted or count_threads() > threads:
                channel.sendall(wire.retire())
                return


def _one(leaf: Reward, body: bytes, count: int, context: Context, number: int, seed: int | None) -> Values:
    try:
        samples = pickle.loads(body)
        return score_unit(leaf, samples, context, number, seed)
    except MemoryError:
        return failures(count, "MemoryError: the memory limit was reached")
    except BaseException as error:
        return failures(count, f"{explain(error)} (raised where only Exception is expected)")
