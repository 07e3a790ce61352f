"""What travels between the pool and its workers: length-prefixed frames, and a heartbeat in shared memory.

A float result, the common case, is a fixed record of 29 bytes; everything else is a pickle.
"""

from __future__ import annotations

import math
import mmap
import pickle
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from guerdon.core.signal import Value

LENGTH = struct.Struct("<Q")
RECORD = struct.Struct("<BqdId")
FLOAT, PICKLE, RETIRE = 0, 1, 2
_BEAT = struct.Struct("<qd")
BEAT_SIZE = _BEAT.size


@dataclass(frozen=True, slots=True)
class Task:
    """Work for a worker: which leaf, the seed of the units' generators, and per unit its number, rows and pickled samples."""

    leaf: int
    seed: int | None
    units: list[tuple[int, int, bytes]]


def frame(payload: bytes) -> bytes:
    """A payload with its length in front."""
    return LENGTH.pack(len(payload)) + payload


def receive(channel: socket.socket) -> bytes | None:
    """The next payload from a blocking socket, or None where the other side is gone."""
    header = _exactly(channel, LENGTH.size)
    if header is None:
        return None
    return _exactly(channel, LENGTH.unpack(header)[0])


def _exactly(channel: socket.socket, count: int) -> bytes | None:
    chunks = bytearray()
    while len(chunks) < count:
        piece = channel.recv(min(count - len(chunks), 1 << 20))
        if not piece:
            return None
        chunks += piece
    return bytes(chunks)


def result(number: int, values: list[Value], seconds: float) -> bytes:
    """A worker's answer for one unit."""
    value = values[0]
    if len(values) == 1 and type(value) is float and math.isfinite(value):
        return RECORD.pack(FLOAT, number, value, 0, seconds)
    try:
        body = pickle.dumps(values, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception:
        body = pickle.dumps([str(value) for value in values])
    return RECORD.pack(PICKLE, number, 0.0, len(body), seconds) + body


def retire() -> bytes:
    """A worker's last word: it wants to be replaced."""
    return RECORD.pack(RETIRE, -1, 0.0, 0, 0.0)


def results(buffer: bytearray) -> Iterator[tuple[int, int, list[Any], float]]:
    """Take every complete record off the buffer: `(kind, unit number, values, seconds)`."""
    position, end = 0, len(buffer)
    while end - position >= RECORD.size:
        kind, number, value, length, seconds = RECORD.unpack_from(buffer, position)
        body = position + RECORD.size
        if end - body < length:
            break
        position = body + length
        values = pickle.loads(buffer[body:position]) if length else [value]
        yield kind, number, values, seconds
    del buffer[:position]


class Heartbeat:
    """Which unit a worker is at and since when (`time.monotonic`), in memory that it shares with the pool.

    Reading it needs no cooperation from the worker, so it works while C code holds the interpreter.
    """

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory

    def begin(self, number: int, now: float) -> None:
        """The worker starts a unit."""
        _BEAT.pack_into(self._memory, 0, number, now)

    def end(self) -> None:
        """The worker is between units."""
        _BEAT.pack_into(self._memory, 0, -1, 0.0)

    def read(self) -> tuple[int, float] | None:
        """The unit in work and when it started, or None between units."""
        number, started = _BEAT.unpack_from(self._memory, 0)
        if number < 0 or started == 0.0 or (number, started) != _BEAT.unpack_from(self._memory, 0):
            return None
        return number, started
