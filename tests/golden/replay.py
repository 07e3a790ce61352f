"""Read case files, run each case through the adapter of its `call`, and compare with what is expected.

A case file is JSON: `{"slug", "source", "cases": [{"name", "call", "function", "inputs", "expected",
"tolerance"}]}`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DISPUTED = Path(__file__).with_name("disputed.json")
Adapter = Callable[[Mapping[str, Any]], Any]


class CaseFileError(ValueError):
    """A case file isn't of the format; the text says where."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case: `call` names the function, `tolerance` holds for every number in `expected`."""

    name: str
    call: str
    inputs: Mapping[str, Any]
    expected: Any
    tolerance: float


@dataclass(slots=True)
class Report:
    """What became of the cases of one slug.

    `failed`: what differs, by case name · `disputed`: why, by case name · `missing`: calls without an
    adapter.
    """

    passed: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    disputed: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The report as the command line prints it with `--json`."""
        return {
            "passed": self.passed,
            "failed": list(self.failed),
            "disputed": list(self.disputed),
            "missing": self.missing,
        }


def replay_folder(
    folder: Path,
    adapters: Mapping[str, Adapter],
    *,
    only: Collection[str] = (),
    disputed: Mapping[str, Mapping[str, str]] | None = None,
) -> dict[str, Report]:
    """Replay every `*.json` of a folder, or only some slugs. Reports by slug, in the order of files.

    `disputed` maps slug to case name to reason; by default what `disputed.json` beside this module lists.

    Raises `CaseFileError` where the folder has no case file, one isn't of the format, or a slug in `only` is
    absent.
    """
    if disputed is None:
        disputed = json.loads(DISPUTED.read_text(encoding="utf-8"))
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise CaseFileError(f"{folder}: no case file (*.json) here")
    files = dict[str, list[Case]]()
    for path in paths:
        slug, cases = read_cases(path)
        files.setdefault(slug, []).extend(cases)
    if unknown := set(only) - set(files):
        raise CaseFileError(f"{folder}: no case file of the slug {', '.join(sorted(unknown))}")
    return {
        slug: replay(cases, adapters, disputed.get(slug, {}))
        for slug, cases in files.items()
        if not only or slug in only
    }


def replay(cases: list[Case], adapters: Mapping[str, Adapter], disputed: Mapping[str, str]) -> Report:
    """Replay the cases of one slug."""
    report = Report()
    for case in cases:
        adapter = adapters.get(case.call)
        if adapter is None:
            if case.call not in report.missing:
                report.missing.append(case.call)
        elif case.name in disputed:
            report.disputed[case.name] = disputed[case.name]
        elif problem := _run(case, adapter):
            report.failed[case.name] = problem
        else:
            report.passed += 1
    return report


def _run(case: Case, adapter: Adapter) -> str | None:
    try:
        return difference(adapter(case.inputs), case.expected, case.tolerance)
    except Exception as error:
        return f"raised {type(error).__name__}: {error}"


def difference(got: Any, expected: Any, tolerance: float, where: str = "") -> str | None:
    """What differs, or None.

    Two numbers match where `|got − expected| ≤ tolerance · max(1, |expected|)`; NaN matches only NaN, and an
    infinity only itself. A boolean is not a number. Mappings need the same keys, lists the same length and
    order; a tuple or an array counts as a list. Everything else must be equal and of the same type.
    """
    if hasattr(got, "tolist"):
        got = got.tolist()
    at = f"{where}: " if where else ""
    if isinstance(expected, Mapping):
        if not isinstance(got, Mapping) or set(got) != set(expected):
            return f"{at}got {got!r}, expected {expected!r}"
        problems = (difference(got[key], expected[key], tolerance, f"{where}.{key}") for key in expected)
        return next(filter(None, problems), None)
    if isinstance(expected, list):
        if not isinstance(got, (list, tuple)) or len(got) != len(expected):
            return f"{at}got {got!r}, expected {expected!r}"
        problems = (difference(got[i], expected[i], tolerance, f"{where}[{i}]") for i in range(len(expected)))
        return next(filter(None, problems), None)
    if _is_number(expected) and _is_number(got):
        same = _close(float(got), float(expected), tolerance)
    else:
        same = type(got) is type(expected) and got == expected
    return None if same else f"{at}got {got!r}, expected {expected!r}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _close(got: float, expected: float, tolerance: float) -> bool:
    if math.isfinite(got) and math.isfinite(expected):
        return abs(got - expected) <= tolerance * max(1.0, abs(expected))
    return got == expected or (math.isnan(got) and math.isnan(expected))


def read_cases(path: Path) -> tuple[str, list[Case]]:
    """Slug and cases of a file. Raises `CaseFileError`, which says what is wrong and where."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CaseFileError(f"{path}: not readable as JSON: {error}") from error
    slug = _field(data, "slug", str, str(path))
    cases = _field(data, "cases", list, str(path))
    return slug, [_case(case, f"{path}: cases[{i}]") for i, case in enumerate(cases)]


def _case(data: Any, where: str) -> Case:
    name, call = _field(data, "name", str, where), _field(data, "call", str, where)
    inputs = _field(data, "inputs", dict, where)
    tolerance = _field(data, "tolerance", (int, float), where)
    if isinstance(tolerance, bool) or not tolerance >= 0:
        raise CaseFileError(f"{where}.tolerance: expected a number of at least 0, got {tolerance!r}")
    return Case(name, call, inputs, _field(data, "expected", object, where), float(tolerance))


def _field(data: Any, key: str, kind: type | tuple[type, ...], where: str) -> Any:
    if not isinstance(data, dict):
        raise CaseFileError(f"{where}: expected an object, got {type(data).__name__}")
    if key not in data:
        raise CaseFileError(f"{where}.{key}: is missing")
    if not isinstance(data[key], kind):
        raise CaseFileError(f"{where}.{key}: unexpected {type(data[key]).__name__}")
    return data[key]
