"""Statistics of scored samples and of logged metrics, over all rows, as plain data for the page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.core.signal import Signal, Status
from guerdon.view.report.scores import Scores

Json = dict[str, Any]

DDOF = 0
MAX_SHARES = 6
BINS = 24
MAX_POINTS = 400
MAX_REASONS = 200
REASON_CHARS = 400


def rounded(value: float, digits: int = 6) -> float | None:
    """The number with that many significant digits; None where it isn't finite, since JSON has no NaN."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


# -- distributions -------------------------------------------------------------------------------------------------


def scale(values: NDArray[np.float64]) -> Json:
    """How to draw a distribution of finite values (m,), fixed over all sets so that they can be compared.

    `{"values"}`: at most `MAX_SHARES` distinct values, drawn as shares · `{"edges"}`: about `BINS` bins of a round
    width between the 0.5 % and 99.5 % quantiles where the tails are more than ten times as long, else over the range.
    """
    distinct = np.unique(values)
    if distinct.size <= MAX_SHARES:
        return {"values": distinct.tolist()}
    low, high = distinct[[0, -1]].tolist()
    with np.errstate(over="ignore", invalid="ignore"):
        inner_low, inner_high = np.quantile(values, [0.005, 0.995]).tolist()
    if 0 < inner_high - inner_low < (high - low) / 10:
        low, high = inner_low, inner_high
    # Divided before it is subtracted: the range of doubles is larger than the largest double.
    width = _round_width(max(high / BINS - low / BINS, 1e-300))
    with np.errstate(over="ignore"):
        edges = np.arange(math.floor(low / width), math.ceil(high / width) + 1) * width
    # 3 · 0.1 is meant to be 0.3: a value of 0.3 is in the bin above that edge.
    decimals = max(1 - math.floor(math.log10(width)), 0)
    return {"edges": np.unique(np.round(np.nan_to_num(edges), min(decimals, 300))).tolist()}


def _round_width(width: float) -> float:
    power = 10.0 ** math.floor(math.log10(width))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= width * 0.999)


def distribution(values: NDArray[np.float64], scale: Json) -> Json:
    """Moments, quartiles and counts of finite values (m,). `bins` follow `scale`; rows outside of it are counted apart."""
    if not values.size:
        return {"n": 0}
    with np.errstate(over="ignore", invalid="ignore"):
        quartiles = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
        mean, std = float(values.mean()), float(values.std(ddof=DDOF))
    counted: Json = {
        "n": int(values.size),
        "mean": rounded(mean),
        "std": rounded(std),
        "quartiles": [rounded(float(q)) for q in quartiles],
    }
    if "values" in scale:
        return counted | {"bins": [int((values == value).sum()) for value in scale["values"]]}
    edges = np.asarray(scale["edges"])
    # The outermost edges are rounded; a value that is off by that rounding belongs inside.
    with np.errstate(over="ignore"):
        slack = 1e-9 * edges[-1] - 1e-9 * edges[0]
        below, above = values < edges[0] - slack, values > edges[-1] + slack
    inside = np.clip(values[~below & ~above], edges[0], edges[-1])
    bins = np.histogram(inside, edges)[0].tolist()
    return counted | {"bins": bins, "below": int(below.sum()), "above": int(above.sum())}


def status_counts(signal: Signal, rows: NDArray[np.bool_]) -> list[int]:
    """Number of rows of each `Status`, in the order of its codes."""
    return np.bincount(signal.status[rows], minlength=len(Status)).tolist()


# -- groups --------------------------------------------------------------------------------------------------------


def groups(scores: Scores, *, tolerance: float = 1e-9) -> dict[str, NDArray[Any]]:
    """Statistics of every group (G,) over its scored rows: `set`, `n`, `ok`, `failed`, `abstained`, `mean`, `std`
    (ddof 0), `min`, `max`, NaN where nothing is scored, and `flat`.

    A group is `flat` where two or more rows are scored and `max - min <= tolerance * max(1, |min|, |max|)`: it gives
    no signal to a group-relative estimator.
    """
    count = len(scores.labels)
    inside = scores.group >= 0
    code, status, outcome = scores.group[inside], scores.signal.status[inside], scores.signal.outcome[inside]
    ok = status == Status.OK
    scored, values = code[ok], outcome[ok]
    number = np.bincount(scored, minlength=count)
    divisor = np.where(number > 0, number, np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.bincount(scored, weights=values, minlength=count) / divisor
        deviation = (values - mean[scored]) ** 2
        std = np.sqrt(np.bincount(scored, weights=deviation, minlength=count) / divisor)
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, scored, values)
    np.maximum.at(high, scored, values)
    size = np.maximum(1.0, np.maximum(np.abs(low), np.abs(high)))
    member = np.zeros(count, dtype=np.int64)
    member[code] = scores.member[inside]
    with np.errstate(invalid="ignore"):
        flat = (number >= 2) & (high - low <= tolerance * size)
    return {
        "set": member,
        "n": np.bincount(code, minlength=count),
        "ok": number,
        "failed": np.bincount(code[status >= Status.FAILED], minlength=count),
        "abstained": np.bincount(code[status == Status.ABSTAINED], minlength=count),
        "mean": mean,
        "std": np.where(flat, 0.0, std),
        "min": np.where(number > 0, low, np.nan),
        "max": np.where(number > 0, high, np.nan),
        "flat": flat,
    }


# -- reasons -------------------------------------------------------------------------------------------------------


def reasons(scores: Scores) -> list[Json]:
    """Why rows have no value: the reason, its channel, status and set, and how often, most frequent first.

    A part's reason counts only in rows that were scored all the same; elsewhere the total's reason names the part.
    """
    counted = Counter[tuple[int, int, int, str]]()
    scored = scores.signal.ok
    for number, (path, signal) in enumerate(scores.signal.walk()):
        for i in np.flatnonzero(~signal.ok & (scored if path else True)).tolist():
            reason = signal.reasons.get(i, "")[:REASON_CHARS]
            counted[int(scores.member[i]), number, int(signal.status[i]), reason] += 1
    return [
        {"set": member, "channel": channel, "status": status, "reason": reason, "count": count}
        for (member, channel, status, reason), count in counted.most_common()
    ]


# -- curves --------------------------------------------------------------------------------------------------------


def curves(records: Sequence[Mapping[str, Any]]) -> list[Json]:
    """Every numeric metric over `step`, in the order of the records; one point a step, the last one logged.

    The spread of a metric (`x/std` of `x/mean`, `x_std` of `x`) goes along with it as `std`. A curve of more than
    `MAX_POINTS` points is averaged in equal stretches, and `averaged` says how many points it had.
    """
    points = dict[str, dict[float, float]]()
    for record in records:
        for name, value in record.items():
            if name != "step" and isinstance(value, (int, float)) and not isinstance(value, bool):
                points.setdefault(name, {})[float(record["step"])] = float(value)
    spreads = {spread: name for name in points if (spread := _spread_of(name)) in points}
    return [
        _curve(name, series, points.get(_spread_of(name), {}))
        for name, series in points.items()
        if name not in spreads
    ]


def rollout_curves(scores: Scores) -> list[Json]:
    """Mean and std of the total and of every part in each set of rollouts: what metrics would have said."""
    records = list[Mapping[str, Any]]()
    for each in scores.sets:
        if each.step is None:
            continue
        record: Json = {"step": each.step}
        for path, signal in each.signal.walk():
            name = "/".join(("reward", *path))
            values = signal.outcome[signal.ok]
            if values.size:
                record |= {f"{name}/mean": float(values.mean()), f"{name}/std": float(values.std(ddof=DDOF))}
        records.append(record)
    return curves(records)


def _spread_of(name: str) -> str:
    stem, slash, last = name.rpartition("/")
    return f"{stem}/std" if slash and last == "mean" else f"{name}_std"


def _curve(name: str, series: Mapping[float, float], spread: Mapping[float, float]) -> Json:
    steps = sorted(series)
    table = np.asarray([[step, series[step], spread.get(step, math.nan)] for step in steps])
    curve: Json = {"name": name}
    if len(steps) > MAX_POINTS:
        curve["averaged"] = len(steps)
        table = np.asarray([_mean(part) for part in np.array_split(table, MAX_POINTS)])
    y, std = ([rounded(value) for value in column] for column in table.T[1:].tolist())
    curve |= {"x": table[:, 0].tolist(), "y": y}
    return curve | {"std": std} if spread else curve


def _mean(part: NDArray[np.float64]) -> list[float]:
    """Column means over the finite entries."""
    finite = np.isfinite(part)
    count = finite.sum(axis=0)
    total = np.where(finite, part, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), math.nan).tolist()
