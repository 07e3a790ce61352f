"""What a report is made from: a scores file, or the folder of a training run."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from guerdon.view.report.scores import Scores, ScoreSet, read_set, stack

PIECES = ("run.json", "metrics.jsonl", "rollouts", "scores.parquet")
_ROLLOUT = re.compile(r"step-(\d+)\.parquet")


@dataclass(frozen=True, slots=True)
class Run:
    """One run, read.

    `scores`: every scored sample, without texts · `metrics`: one mapping a logged step · `info`: what `run.json` or
    the metadata of the scores says · `missing`: what the report can't show, and why, in sentences.
    """

    path: Path
    training: bool
    scores: Scores
    metrics: Sequence[Mapping[str, Any]] = ()
    info: Mapping[str, Any] = field(default_factory=dict[str, Any])
    missing: Sequence[str] = ()


def load_run(path: Path) -> Run:
    """Read a scores file (`.parquet`) or the folder of a training run.

    Raises `FileNotFoundError` where nothing is there, and `ValueError` where the file is no scores file or the folder
    has none of `run.json`, `metrics.jsonl`, `rollouts/` and `scores.parquet`. A piece that is absent or unreadable in
    a folder is not an error: it is named in `missing`.
    """
    if path.is_dir():
        return _training_run(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such scores file or run folder")
    if path.suffix != ".parquet":
        raise ValueError(f"{path}: expected a scores file (.parquet) or the folder of a training run")
    try:
        scores = read_set(path, "scores", None)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: not a scores file: {error}") from error
    return Run(path, False, stack([scores]), info=scores.metadata)


def _training_run(folder: Path) -> Run:
    if not any((folder / piece).exists() for piece in PIECES):
        raise ValueError(f"{folder}: not a training run; expected one of {', '.join(PIECES)} inside")
    missing = list[str]()
    info = _info(folder / "run.json", missing)
    metrics = _metrics(folder / "metrics.jsonl", missing)
    sets = _sets(folder, missing)
    if sets and "reward" not in info:
        info = {**sets[-1].metadata, **info}
    return Run(folder, True, stack(sets), metrics, info, missing)


def _info(path: Path, missing: list[str]) -> Mapping[str, Any]:
    if not path.is_file():
        missing.append("run.json is absent: configuration, versions and times are unknown.")
        return {}
    try:
        info = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        missing.append(f"run.json can't be read: {error}.")
        return {}
    if not isinstance(info, dict):
        missing.append(f"run.json can't be read: expected an object, got {type(info).__name__}.")
        return {}
    return info


def _metrics(path: Path, missing: list[str]) -> list[Mapping[str, Any]]:
    if not path.is_file():
        missing.append("metrics.jsonl is absent: learning curves show only what the rollouts tell.")
        return []
    records, unreadable = list[Mapping[str, Any]](), 0
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if not line.strip():
                continue
            try:
                record = json.loads(line, parse_int=float)
            except (ValueError, RecursionError):
                record = None
            if isinstance(record, dict) and _is_step(record.get("step")):
                records.append(record)
            else:
                unreadable += 1
    if unreadable:
        missing.append(f"metrics.jsonl: {unreadable} lines are no JSON object with a step and were left out.")
    return records


def _is_step(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _sets(folder: Path, missing: list[str]) -> list[ScoreSet]:
    steps = {
        int(match[1]): path
        for path in (folder / "rollouts").glob("*.parquet")
        if (match := _ROLLOUT.fullmatch(path.name))
    }
    if not steps:
        missing.append("rollouts/ is absent or empty: there are no samples of the training to show.")
    named: list[tuple[Path, str, int | None]] = [
        (path, f"step {step}", step) for step, path in sorted(steps.items())
    ]
    if (folder / "scores.parquet").is_file():
        named.insert(0, (folder / "scores.parquet", "initial", None))
    sets = list[ScoreSet]()
    for path, label, step in named:
        try:
            sets.append(read_set(path, label, step))
        except (ValueError, OSError) as error:
            # A run that still goes on, or was killed, may leave a file that isn't whole.
            missing.append(f"{path.relative_to(folder)} can't be read and was left out: {error}.")
    return sets
