"""The rejects file keeps every byte, and is JSON that any reader takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.core.io import Reject, read, read_rejects, write_rejects

# Lines end at a line feed, and a blank one is no row.
lines = st.binary(min_size=1, max_size=30).filter(
    lambda raw: b"\n" not in raw and raw == raw.rstrip(b"\r") and raw.strip()
)


@settings(max_examples=100, deadline=None)
@given(raws=st.lists(lines, min_size=1, max_size=5))
def test_every_byte_of_every_row_comes_back(
    tmp_path_factory: pytest.TempPathFactory, raws: list[bytes]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "bad.jsonl").write_bytes(b"\n".join(b"#" + raw for raw in raws))
    rejects = read(folder / "bad.jsonl").rejects
    write_rejects(rejects, folder / "rejects.jsonl")
    assert read_rejects(folder / "rejects.jsonl") == rejects
    assert [reject.raw.encode("utf-8", "surrogateescape") for reject in rejects] == [
        b"#" + raw for raw in raws
    ]
    assert [reject.line for reject in rejects] == list(range(1, len(raws) + 1))


def test_file_is_plain_json_in_utf8(tmp_path: Path) -> None:
    write_rejects(
        [Reject("a.jsonl", 3, "é", "ü"), Reject("a.jsonl", 4, "not UTF-8", "\udcff")], tmp_path / "r.jsonl.gz"
    )
    write_rejects(read_rejects(tmp_path / "r.jsonl.gz"), tmp_path / "r.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows == [
        {"file": "a.jsonl", "line": 3, "reason": "é", "raw": "ü"},
        {"file": "a.jsonl", "line": 4, "reason": "not UTF-8", "raw_base64": "/w=="},
    ]


def test_no_rejects_is_an_empty_file(tmp_path: Path) -> None:
    write_rejects([], tmp_path / "r.jsonl")
    assert (tmp_path / "r.jsonl").read_bytes() == b""
    assert read_rejects(tmp_path / "r.jsonl") == []


def test_file_that_was_there_stays_whole_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    write_rejects([Reject("a", 1, "r", "x")], path)
    with pytest.raises(AttributeError):
        write_rejects([Reject("a", 2, "r", "y"), None], path)  # type: ignore[list-item]
    assert read_rejects(path) == [Reject("a", 1, "r", "x")]
    assert list(tmp_path.iterdir()) == [path]
