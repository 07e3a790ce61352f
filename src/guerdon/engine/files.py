"""`score_file`: from a file of samples to a file of scores, in constant memory, and on again after a kill.

Beside the output there is a folder `OUT.parts` while the run is under way: one Parquet part for each finished chunk, a
journal of the values of the chunk in work, and a manifest that says which data and which reward they belong to. The
output appears in one piece at the end, and the folder goes.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guerdon.core.context import Context
from guerdon.core.io.arrow import load
from guerdon.core.io.files import open_binary, replacing, suffix_of
from guerdon.core.io.merge import merge_tables
from guerdon.core.io.reader import Samples, iter_read, read
from guerdon.core.io.rejects import Reject, write_rejects
from guerdon.core.io.table import SUFFIXES, VERSION, from_table, read_table, to_table, write_table
from guerdon.core.recipe import describe
from guerdon.core.reward import Reward, leaves
from guerdon.core.signal import Signal
from guerdon.engine.cache import Journal
from guerdon.engine.progress import progress_bar
from guerdon.engine.run import Engine
from guerdon.engine.summary import Summary

CHUNK = 4096
_COUNTABLE = 1 << 30


class ResumeError(ValueError):
    """The unfinished run belongs to another reward or other data."""


@dataclass(frozen=True, slots=True)
class FileRun:
    """What `score_file` did: counts, where the output and the rejects are, and how long it took."""

    summary: Summary
    rejected: int
    out: Path | None
    rejects: Path | None
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            **self.summary.as_dict(),
            "rejected": self.rejected,
            "out": None if self.out is None else str(self.out),
            "rejects": None if self.rejects is None else str(self.rejects),
            "seconds": round(self.seconds, 3),
        }


def score_file(
    reward: Reward,
    data: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    chunk: int = CHUNK,
    with_samples: bool = True,
    progress: bool = False,
    context: Context | None = None,
    reading: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    **options: Any,
) -> FileRun:
    """Score every row of `data`, and write the scores to `out` (`.parquet`, `.jsonl` or `.csv`) where it is given.

    A sample-scope reward works chunk by chunk; one that sees groups or everything reads the whole file. Rows that
    can't be read go to `<out>.rejects.jsonl` (or `<data>.rejects.jsonl` in the working folder without `out`).

    `resume=True` goes on where a killed run of the same reward, data and reading stopped, at the same training
    step; only samples that were in work at that moment are scored again. `with_samples`: whether the output has the prompt, completion and reference.
    `reading`: keyword arguments of `guerdon.read`. `options`: keyword arguments of `Engine`.

    Raises `ValueError` for another suffix of `out`, `ResumeError` where the unfinished run is of something else, `FileNotFoundError`, and `ValueError` where no
    row can be read.
    """
    start = time.monotonic()
    data = Path(data)
    if out is not None:
        suffix_of(Path(out), SUFFIXES)
    work = (
        None
        if out is None
        else _Work(Path(out), _manifest(reward, data, chunk, with_samples, reading or {}, context), resume)
    )
    summary, rejects = Summary(), list[Reject]()
    described = {
        **describe(reward),
        "data": str(data),
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        **(metadata or {}),
    }
    graph = leaves(reward)
    with (
        ExitStack() as stack,
        progress_bar(progress, _count_rows(data)) as advance,
    ):
        journal = None if work is None else stack.enter_context(closing(work.journal(graph)))
        stores = [] if journal is None else [journal]
        engine = stack.enter_context(Engine(reward, stores=stores, **options))
        for number, samples in enumerate(_chunks(reward, data, chunk, reading or {})):
            rows = len(samples) + len(samples.rejects)
            signal = None if work is None else work.finished(number)
            if signal is None:
                if journal is not None:
                    journal.open_chunk(number)
                shown = _Shown(advance, len(graph))
                signal = engine.score(samples, context, advance=shown)
                rows -= shown.rows
                if work is not None:
                    work.finish(number, signal, samples, {**described, "format": samples.format})
            summary.add(signal)
            rejects.extend(samples.rejects)
            advance(rows)
    out_path = None if work is None else work.merge()
    return FileRun(
        summary, len(rejects), out_path, _write_rejects(rejects, data, out_path), time.monotonic() - start
    )


def _chunks(reward: Reward, data: Path, chunk: int, reading: Mapping[str, Any]) -> Iterator[Samples]:
    if reward.scope == "sample":
        yield from iter_read(data, chunk=chunk, **reading)
    else:
        yield read(data, **reading)


def _manifest(
    reward: Reward,
    data: Path,
    chunk: int,
    with_samples: bool,
    reading: Mapping[str, Any],
    context: Context | None,
) -> dict[str, Any]:
    stat = data.stat()
    return {
        "version": VERSION,
        "reward": reward.fingerprint(),
        "data": [str(data.resolve()), stat.st_size, stat.st_mtime_ns],
        "step": None if context is None else [context.step, context.total_steps],
        "chunk": chunk,
        "samples": with_samples,
        "reading": {key: value for key, value in reading.items() if value is not None},
    }


def _count_rows(data: Path) -> int | None:
    """Rows for the progress bar, where they are cheap to count."""
    if data.suffix == ".parquet":
        return load("pyarrow.parquet").read_metadata(data).num_rows
    lines = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
    if not data.name.lower().endswith(lines) or data.stat().st_size > _COUNTABLE:
        return None
    with open_binary(data) as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def _write_rejects(rejects: Sequence[Reject], data: Path, out: Path | None) -> Path | None:
    if not rejects:
        return None
    path = Path(f"{data.name}.rejects.jsonl") if out is None else out.with_name(out.name + ".rejects.jsonl")
    write_rejects(rejects, path)
    return path


class _Shown:
    """Advances the bar by samples although the engine counts leaf by leaf."""

    def __init__(self, advance: Any, leaves: int) -> None:
        self._advance, self._leaves = advance, leaves
        self._scored = 0
        self.rows = 0

    def __call__(self, count: int) -> None:
        self._scored += count
        done = self._scored // self._leaves
        self._advance(done - self.rows)
        self.rows = done


class _Work:
    """The folder of an unfinished run."""

    def __init__(self, out: Path, manifest: Mapping[str, Any], resume: bool) -> None:
        self.out = out
        self.folder = out.with_name(out.name + ".parts")
        self._with_samples = bool(manifest["samples"])
        self._parts = list[Path]()
        path = self.folder / "manifest.json"
        text = json.dumps(manifest, sort_keys=True, default=str)
        if resume and path.exists():
            if path.read_text("utf-8") != text:
                raise ResumeError(
                    f"{self.folder}: the unfinished run there is of another reward, other data or other options; "
                    "run without --resume to start afresh"
                )
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        with replacing(path) as scratch:
            scratch.write_text(text, "utf-8")

    def journal(self, graph: Sequence[Reward]) -> Journal:
        return Journal(self.folder / "journal", graph)

    def _part(self, number: int) -> Path:
        return self.folder / f"part-{number:08d}.parquet"

    def finished(self, number: int) -> Signal | None:
        """The Signal of a chunk that is done."""
        path = self._part(number)
        if not path.exists():
            return None
        self._parts.append(path)
        return from_table(read_table(path))

    def finish(self, number: int, signal: Signal, samples: Samples, metadata: Mapping[str, Any]) -> None:
        """Put the Signal of a chunk on disk; from then on it isn't scored again."""
        path = self._part(number)
        shown = samples if self._with_samples else None
        write_table(to_table(signal, shown, rows=samples.rows, metadata=metadata), path)
        self._parts.append(path)

    def merge(self) -> Path:
        """Write the output from the parts and remove the folder."""
        merge_tables(self._parts, self.out)
        shutil.rmtree(self.folder)
        return self.out
