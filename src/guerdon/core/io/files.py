"""Opening files by suffix, and writing them so that a reader never sees half of one."""

from __future__ import annotations

import gzip
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast


def suffix_of(path: Path, known: Sequence[str]) -> str:
    """The one of `known` that the name ends in. Raises `ValueError` where there is none."""
    found = next((suffix for suffix in known if path.name.lower().endswith(suffix)), None)
    if found is None:
        raise ValueError(f"{path}: expected a name that ends in {', '.join(known)}")
    return found


def open_binary(path: Path, mode: str = "rb") -> IO[bytes]:
    """Open for bytes, through gzip where the name ends in `.gz`."""
    opened = gzip.open(path, mode) if path.name.lower().endswith(".gz") else path.open(mode)
    return cast("IO[bytes]", opened)


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A path beside `path` to write to; it takes the name `path` when the block ends without an error."""
    scratch = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield scratch
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def whole_lines(path: Path) -> list[bytes]:
    """The lines of a file that is appended to, without a last one that a kill cut short. No file has none."""
    return path.read_bytes()[: _whole(path)].splitlines() if path.exists() else []


def drop_cut_line(path: Path) -> None:
    """Remove a last line that a kill cut short, so that appending goes on behind a whole one."""
    if path.exists() and (length := _whole(path)) < path.stat().st_size:
        with path.open("r+b") as file:
            file.truncate(length)


def _whole(path: Path) -> int:
    return path.read_bytes().rfind(b"\n") + 1
