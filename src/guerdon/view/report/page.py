"""Assembly of the HTML: all data, styles and scripts in one file."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.core.signal import Status
from guerdon.view.report.choose import choose_rows, extremes_per_set
from guerdon.view.report.details import Limits, read_details
from guerdon.view.report.formula import formula, recipe_weights
from guerdon.view.report.load import Run, load_run
from guerdon.view.report.scores import Scores
from guerdon.view.report.summary import (
    DDOF,
    MAX_REASONS,
    Json,
    curves,
    distribution,
    groups,
    reasons,
    rollout_curves,
    rounded,
    scale,
    status_counts,
)

MAX_SAMPLES = 5_000
SCRIPTS = ("base.js", "charts.js", "table.js", "sample.js", "panels.js", "browser.js")


def write_report(run: Path, out: Path | None = None) -> Path:
    """Write the report of a run as one HTML file, and return its path.

    `run` is a scores file (`.parquet`) or the folder of a training run. `out` defaults to `X.report.html` beside
    `X.parquet`, and to `report.html` inside a folder. Statistics are over all rows; at most `MAX_SAMPLES` samples can
    be opened on the page, and it says which ones.

    Raises `FileNotFoundError` or `ValueError` where `run` is neither, see `load_run`.
    """
    run = Path(run)
    loaded = load_run(run)
    if out is None:
        out = run / "report.html" if run.is_dir() else run.with_suffix(".report.html")
    out = Path(out)
    # Text of a model may hold lone surrogates, which UTF-8 has no form for.
    out.write_bytes(render(report_data(loaded)).encode("utf-8", "replace"))
    return out


def render(data: Mapping[str, Any]) -> str:
    """The page that shows `data`. The policy in it lets nothing load and no script run but the page's own."""
    folder = files("guerdon.view.report")
    style = (folder / "report.css").read_text("utf-8")
    script = "\n".join((folder / name).read_text("utf-8") for name in SCRIPTS)
    fields = {
        "policy": f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}",
        "title": html.escape(str(data["title"])),
        "style": style,
        "data": embed(data),
        "script": script,
    }
    template = (folder / "report.html").read_text("utf-8")
    # In one pass, so that a placeholder inside the data stays what it is.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: fields[match[1]], template)


def embed(data: Mapping[str, Any]) -> str:
    """JSON that is safe inside a script element: without `<` there is no tag, comment or end of the element in it."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def report_data(run: Run, max_samples: int = MAX_SAMPLES) -> Json:
    """Everything that the page shows, as plain data."""
    scores = run.scores
    chosen = choose_rows(scores, max_samples)
    limits = Limits.share(chosen.size)
    details = read_details(scores, chosen, limits)
    recipe = run.info.get("reward")
    recipe = recipe if isinstance(recipe, str) else None
    logged = curves(run.metrics)
    with_rewards = any(curve["name"].startswith("reward") for curve in logged)
    from_rollouts = [] if with_rewards or not run.training else rollout_curves(scores)
    return {
        "title": run.path.resolve().name,
        "training": run.training,
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "facts": _facts(run),
        "recipe": recipe,
        "formula": formula(recipe),
        "missing": list(run.missing),
        "limits": {
            "rows": len(scores),
            "samples": int(chosen.size),
            "extremes": extremes_per_set(len(scores.sets), max_samples),
            "chars": limits.chars,
            "values": limits.values,
            "ddof": DDOF,
        },
        "curves": [*from_rollouts, *logged],
        "curvesFromRollouts": bool(from_rollouts),
        **_distributions(scores, _weights(run.info, recipe)),
        "reasons": _most_frequent(scores),
        **_samples(scores, chosen),
        "details": details.samples,
        "texts": details.texts,
    }


def _facts(run: Run) -> list[tuple[str, str]]:
    """What the run says of itself, flat: name and value."""
    facts = list[tuple[str, str]]()

    def add(name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                add(f"{name}.{key}" if name else str(key), inner)
        elif value is not None:
            facts.append(
                (
                    name,
                    value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str),
                )
            )

    add("", {key: value for key, value in run.info.items() if key not in ("reward", "weights")})
    return facts


def _weights(info: Mapping[str, Any], recipe: str | None) -> Mapping[str, float]:
    weights = info.get("weights")
    if not isinstance(weights, Mapping):
        weights = recipe_weights(recipe)
    return {name: float(w) for name, w in weights.items() if isinstance(w, (int, float))}


def _distributions(scores: Scores, weights: Mapping[str, float]) -> Json:
    """Sets, channels, and the statistics of every channel in every set. Where there are several sets, the first
    record of `sets` and `stats` is all of them together."""
    everything = np.ones(len(scores), dtype=bool)
    masks = [scores.member == k for k in range(len(scores.sets))]
    sets: list[Json] = [{"label": each.label, "step": each.step, "n": len(each)} for each in scores.sets]
    if len(masks) != 1:
        masks.insert(0, everything)
        sets.insert(0, {"label": "all", "step": None, "n": len(scores)})
    seconds = scores.signal.seconds
    timed = np.full(len(scores), np.nan) if seconds is None else seconds
    described, stats = list[Json](), list[list[Json]]([] for _ in masks)
    for path, signal in scores.signal.walk():
        drawn = scale(signal.outcome[signal.ok])
        described.append({"path": path, "weight": weights.get(path[0]) if len(path) == 1 else None, **drawn})
        for record, mask in zip(stats, masks, strict=True):
            counts = {"counts": status_counts(signal, mask)}
            record.append(distribution(signal.outcome[mask & signal.ok], drawn) | counts)
    times = [
        distribution(timed[mask & np.isfinite(timed)], {"values": []})
        | {"total": rounded(float(np.nansum(timed[mask])))}
        for mask in masks
    ]
    return {"sets": sets, "channels": described, "stats": stats, "times": times}


def _most_frequent(scores: Scores) -> Json:
    found = reasons(scores)
    return {"rows": found[:MAX_REASONS], "more": len(found) - len(found[:MAX_REASONS])}


def _samples(scores: Scores, chosen: NDArray[np.int64]) -> Json:
    """The chosen rows in columns, and the groups that they are in."""
    signal = scores.signal
    table = groups(scores)
    shown, place = np.unique(scores.group[chosen], return_inverse=True)
    if shown.size and shown[0] < 0:
        shown, place = shown[1:], place - 1
    flat, sizable = table["flat"], table["ok"] >= 2
    return {
        "samples": {
            "set": scores.member[chosen].tolist(),
            "row": scores.row[chosen].tolist(),
            "group": place.tolist(),
            "seconds": None if signal.seconds is None else _numbers(signal.seconds[chosen]),
            "std": None if signal.std is None else _numbers(signal.std[chosen]),
            "values": [_numbers(part.outcome[chosen]) for _, part in signal.walk()],
            "status": [part.status[chosen].tolist() for _, part in signal.walk()],
        },
        "groups": {
            "label": [scores.labels[code] for code in shown],
            **{name: _numbers(column[shown]) for name, column in table.items()},
        },
        "groupCounts": [
            {
                "groups": int((table["set"] == k).sum()),
                "flat": int((flat & (table["set"] == k)).sum()),
                "sizable": int((sizable & (table["set"] == k)).sum()),
            }
            for k in range(len(scores.sets))
        ],
        "statuses": [status.name.lower() for status in Status],
    }


def _numbers(values: NDArray[Any]) -> list[Any]:
    if values.dtype.kind != "f":
        return values.tolist()
    return [rounded(value) for value in values.tolist()]
