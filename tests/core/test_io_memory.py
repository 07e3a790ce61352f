"""Streaming holds a part at a time, however long the file and whatever its rows weigh."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from guerdon.core.io import iter_read


def peak(path: Path, chunk: int) -> tuple[int, int]:
    """Number of samples, and bytes that Python held at most while they went by."""
    tracemalloc.start()
    try:
        count = sum(len(part) for part in iter_read(path, chunk=chunk))
        return count, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def write(path: Path, rows: int) -> Path:
    data = {
        "prompt": [f"{i}+1?" for i in range(rows)],
        "completion": ["two"] * rows,
        "reference": ["2"] * rows,
    }
    if path.suffix == ".parquet":
        pq.write_table(pa.table(data), path, row_group_size=3000)
    else:
        table = zip(*data.values(), strict=True)
        path.write_text("".join(json.dumps(dict(zip(data, row, strict=True))) + "\n" for row in table))
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, suffix: str) -> None:
    short, short_peak = peak(write(tmp_path / f"short{suffix}", 3_000), chunk=500)
    long, long_peak = peak(write(tmp_path / f"long{suffix}", 40_000), chunk=500)
    assert (short, long) == (3_000, 40_000)
    assert long_peak < 1.5 * short_peak + (1 << 20)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_rows_of_ten_megabytes_come_in_smaller_parts(tmp_path: Path, suffix: str) -> None:
    big = "x" * (10 << 20)
    path = tmp_path / f"big{suffix}"
    if suffix == ".parquet":
        # Distinct rows, since Parquet stores a text that repeats once and so doesn't know what it weighs.
        pq.write_table(pa.table({"prompt": [f"{i}{big}" for i in range(15)], "completion": ["c"] * 15}), path)
    else:
        with path.open("w") as file:
            for _ in range(15):
                file.write(json.dumps({"prompt": big, "completion": "c"}) + "\n")
    sizes = [len(part) for part in iter_read(path, chunk=1000)]
    assert sum(sizes) == 15
    assert max(sizes) <= 7


def test_import_is_cheap() -> None:
    code = "import sys, guerdon.core.io; print([m for m in ('pyarrow', 'datasets', 'torch') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )
