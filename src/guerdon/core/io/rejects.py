"""Rows that could not become samples, kept with their place and the reason."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from guerdon.core.io.files import open_binary, replacing


class Reject(NamedTuple):
    """A row that was not scored.

    `file`: its source · `line`: counted from 1, the line of a text file and the row of anything else · `reason` ·
    `raw`: the row as it was. Bytes that are not UTF-8 stand in `raw` as surrogates, as in Python's file names:
    `raw.encode("utf-8", "surrogateescape")` gives the bytes back.
    """

    file: str
    line: int
    reason: str
    raw: str


def write_rejects(rejects: Iterable[Reject], path: str | PathLike[str]) -> None:
    """Write rejects as JSON lines with `file`, `line`, `reason` and `raw`; gzipped where the name ends in `.gz`.

    A row that is not UTF-8 has `raw_base64` in place of `raw`, so that every JSON reader takes the file and no
    byte is lost. `read_rejects` reads both. The file appears in one piece.
    """
    with replacing(Path(path)) as scratch, open_binary(scratch, "wb") as file:
        for reject in rejects:
            row = reject._asdict()
            try:
                reject.raw.encode()
            except UnicodeEncodeError:
                data = row.pop("raw").encode("utf-8", "surrogateescape")
                row["raw_base64"] = base64.b64encode(data).decode()
            file.write(json.dumps(row).encode() + b"\n")


def read_rejects(path: str | PathLike[str]) -> list[Reject]:
    """The rejects that `write_rejects` wrote, equal to what it was given."""
    rejects = list[Reject]()
    with open_binary(Path(path)) as file:
        for line in file:
            row = json.loads(line)
            if "raw_base64" in row:
                row["raw"] = base64.b64decode(row.pop("raw_base64")).decode("utf-8", "surrogateescape")
            rejects.append(Reject(**row))
    return rejects
