"""Remembered values: a content-addressed cache on disk, and the journal that lets a killed run go on."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import pickle
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from guerdon.core.arrays import is_array, is_scalar
from guerdon.core.context import Context
from guerdon.core.reward import Reward
from guerdon.core.samples import Sample
from guerdon.core.signal import Failure
from guerdon.engine.units import Unit, Values


class Store(Protocol):
    """Where values of finished units are kept. `keep_every`: how many to collect before `keep` is called."""

    keep_every: int

    def recall(self, leaf: Reward, units: Sequence[Unit], context: Context) -> dict[int, Values]:
        """Known values by unit number."""
        ...

    def keep(self, leaf: Reward, done: Iterable[tuple[Unit, Values]], context: Context) -> None:
        """Remember the values of finished units."""
        ...


class DiskCache:
    """Values by content: reward identity and version, and everything in the samples; shared by processes and runs.

    A reward that uses the context is cached per training step, and not at all where it may look at the live policy
    or draw random numbers. Failures and time-outs are not kept: they are tried again next time.
    """

    keep_every = 256

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        diskcache: Any = importlib.import_module("diskcache")
        self._cache: Any = diskcache.Cache(os.fspath(folder), eviction_policy="none", size_limit=1 << 50)

    def close(self) -> None:
        """Close the database."""
        self._cache.close()

    def recall(self, leaf: Reward, units: Sequence[Unit], context: Context) -> dict[int, Values]:
        prefix = _prefix(leaf, context)
        if prefix is None:
            return {}
        found = dict[int, Values]()
        for unit in units:
            pickled = self._cache.get(prefix + digest_samples(unit.samples))
            if pickled is not None:
                found[unit.number] = cast(Values, pickle.loads(pickled))
        return found

    def keep(self, leaf: Reward, done: Iterable[tuple[Unit, Values]], context: Context) -> None:
        prefix = _prefix(leaf, context)
        if prefix is None:
            return
        with self._cache.transact():
            for unit, values in done:
                if not any(isinstance(value, Failure) for value in values):
                    self._cache.set(prefix + digest_samples(unit.samples), pickle.dumps(values))


class Journal:
    """Values of one run by place: leaf number, chunk and unit, appended to a file as they come.

    After a kill, what was written is there; a record cut short at the end is dropped.
    """

    keep_every = 1

    def __init__(self, path: Path, leaves: Sequence[Reward]) -> None:
        self._numbers = {id(leaf): i for i, leaf in enumerate(leaves)}
        self._path = path
        self._known = dict[tuple[int, int], Values]()
        self.chunk = -1
        if path.exists():
            self._read()
        self._file = path.open("ab")

    def _read(self) -> None:
        end = 0
        with open(self._path, "rb") as file:
            while True:
                try:
                    record: tuple[int, int, int, Values] = pickle.load(file)
                except (EOFError, pickle.UnpicklingError, ValueError, AttributeError, IndexError):
                    break
                chunk, leaf, number, values = record
                if chunk != self.chunk:
                    self._known.clear()
                self.chunk = chunk
                self._known[(leaf, number)] = values
                end = file.tell()
        with open(self._path, "r+b") as file:
            file.truncate(end)

    def open_chunk(self, chunk: int) -> None:
        """Go on to a chunk: what belongs to another one is forgotten."""
        if chunk != self.chunk:
            self._known.clear()
            self._file.close()
            self._file = self._path.open("wb")
            self.chunk = chunk

    def close(self) -> None:
        """Close the file; it stays where it is."""
        self._file.close()

    def recall(self, leaf: Reward, units: Sequence[Unit], context: Context) -> dict[int, Values]:
        del context
        place = self._numbers[id(leaf)]
        return {u.number: self._known[(place, u.number)] for u in units if (place, u.number) in self._known}

    def keep(self, leaf: Reward, done: Iterable[tuple[Unit, Values]], context: Context) -> None:
        del context
        place = self._numbers[id(leaf)]
        for unit, values in done:
            self._file.write(pickle.dumps((self.chunk, place, unit.number, values)))
        self._file.flush()


def _prefix(leaf: Reward, context: Context) -> str | None:
    if not leaf.uses_context:
        return leaf.fingerprint() + ":"
    if context.policy is not None or context.rng is not None:
        return None
    return f"{leaf.fingerprint()}:{context.step}:{context.total_steps}:{_digest(context.extra)}:"


def digest_samples(samples: Sequence[Sample]) -> str:
    """Hash of everything in the samples."""
    return "+".join(_digest(sample) for sample in samples)


def _digest(value: Any) -> str:
    plain = (type(value).__name__, _plain(value))
    try:
        text = json.dumps(plain, sort_keys=True, ensure_ascii=True, default=_plain)
    except TypeError:
        text = json.dumps(_text_keys(plain), sort_keys=True, ensure_ascii=True, default=_plain)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _text_keys(value: Any) -> Any:
    """Mappings whose keys don't sort, as lists of pairs in the order of the keys' reprs."""
    if isinstance(value, Mapping):
        pairs = [[repr(key), _text_keys(item)] for key, item in cast("Mapping[Any, Any]", value).items()]
        return sorted(pairs, key=lambda pair: pair[0])
    if isinstance(value, (list, tuple)):
        return [_text_keys(item) for item in cast("Sequence[Any]", value)]
    return value


def _plain(value: Any) -> Any:
    """What JSON can't say, in a form that differs wherever the content does."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if is_array(value):
        body = value.tolist() if value.dtype == object else hashlib.blake2b(value.tobytes()).hexdigest()
        return ["array", str(value.dtype), list(value.shape), body]
    if is_scalar(value):
        return [str(value.dtype), value.item()]
    if isinstance(value, (bytes, bytearray)):
        return ["bytes", value.hex()]
    if isinstance(value, Mapping):
        return dict(cast("Mapping[Any, Any]", value))
    return [type(value).__qualname__, repr(value)]
