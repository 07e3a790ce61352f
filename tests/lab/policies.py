"""Tiny policies that the tests of several rooms share, each made once a session."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from guerdon.lab import Arithmetic, make_policy


@functools.cache
def raw_policy() -> Path:
    """A checkpoint that has hardly been trained: for tests that only need something that generates."""
    return _made(steps=1)


@functools.cache
def warm_policy() -> Path:
    """The checkpoint that `make_policy` makes by default."""
    return _made()


def _made(**options: int) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="guerdon-policy-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return make_policy(folder, Arithmetic(), **options)
