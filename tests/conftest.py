"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED = Path(os.environ.get("GUERDON_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def _folder(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(
            f"the folder of real records, shared/{name} beside the checkout, is absent (or set GUERDON_SHARED)"
        )
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real records."""
    return _folder("data")


@pytest.fixture(scope="session")
def shared_golden() -> Path:
    """Folder of golden case files."""
    return _folder("catalog/golden")
