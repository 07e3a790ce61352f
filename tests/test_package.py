"""The package as a whole: what importing it costs, its public names, and what a missing extra says."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
import yaml

import guerdon
from guerdon.core import registry
from guerdon.core.extras import MissingExtra, need

HEAVY = (
    "torch",
    "transformers",
    "trl",
    "datasets",
    "ray",
    "pyarrow",
    "sympy",
    "math_verify",
    "rich",
    "sacrebleu",
    "diskcache",
)


def imported_by(statement):
    code = f"import sys; {statement}; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()


@pytest.mark.parametrize(
    "statement",
    [
        "import guerdon",
        "import guerdon.verify, guerdon.shape, guerdon.credit, guerdon.lab, guerdon.connect.trl",
        "import guerdon; guerdon.score(guerdon.load_reward('math'), [guerdon.Chat('p', 'A: 3', reference='3')])",
    ],
)
def test_heavy_libraries_load_on_first_use(statement):
    assert imported_by(statement) == []


def test_public_names():
    for name in ("read", "load_reward", "score", "reward", "Chat", "Episode", "Media", "Signal", "Status"):
        assert hasattr(guerdon, name)
    assert set(guerdon.__all__) <= set(dir(guerdon))
    given = list(inspect.signature(guerdon.score).parameters)
    assert given[:7] == ["reward", "samples", "workers", "timeout", "cache", "progress", "backend"]


def test_a_missing_extra_names_the_pip_command():
    with pytest.raises(MissingExtra, match=r"pip install 'guerdon\[train\]'"):
        need("guerdon_has_no_such_library", "train")


def test_everything_registered_is_documented():
    for entry in registry.entries():
        if not entry.factory.__module__.startswith("guerdon."):
            continue
        assert len(entry.summary) > 10, entry.name
        assert entry.summary.rstrip().endswith((".", ":", "`")), entry.name


def test_every_method_names_something_public():
    for method in registry.methods():
        module, _, name = method.public.rpartition(".")
        assert hasattr(sys.modules[module], name), method.public


def test_the_typed_marker_is_there():
    from importlib.resources import files

    assert files("guerdon").joinpath("py.typed").is_file()


def test_every_example_works():
    for entry in registry.entries():
        if not entry.factory.__module__.startswith("guerdon."):
            continue
        given = yaml.safe_load(entry.example)
        if "when" in given:
            text = yaml.safe_dump({"parts": {"correct": "math", "calls": "toolrl"}, "total": given})
            guerdon.load_reward(text)
        else:
            assert given.pop(entry.kind) == entry.name
            registry.create(entry.name, entry.kind, given)
