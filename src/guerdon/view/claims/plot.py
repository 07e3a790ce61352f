"""One picture of a result: what each arm measured, and its curves over training."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from guerdon.claims import Arm, Interval, Result, interval
from guerdon.core.extras import need

# Okabe and Ito: told apart with every kind of colour vision, and read on light and dark ground.
COLOURS = ("#0072b2", "#d98200", "#00876a", "#b4508f", "#3a96d0", "#c4530a", "#8d8100")
INK = "#7f7e7d"  # stands for the page's own text colour until `_svg` puts that in
PANEL = (3.4, 2.7)
MAX_METRICS = 3
MAX_IN_A_ROW = 4


def plot(result: Result) -> str:
    """SVG of a result: a panel for each metric that decides (at most 3), and one for each curve.

    Points are the seeds, diamonds and bands their means with 95 % intervals. Needs `guerdon[claims]`. Text has the
    colour of the page that it stands in. Raises `ValueError` where the result has no arms.
    """
    if not result.arms:
        raise ValueError(f"{result.slug}: no trial was finished, so there is nothing to draw")
    need("matplotlib", "claims")
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    metrics = list(dict.fromkeys(outcome.expect.metric for outcome in result.outcomes))[:MAX_METRICS]
    curves = list(dict.fromkeys(name for arm in result.arms.values() for name in arm.curves))
    style: dict[Any, Any] = {
        name: INK for name in ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color")
    }
    style |= {"ytick.color": INK, "font.size": 9, "svg.fonttype": "none", "svg.hashsalt": result.slug}
    style |= {"axes.spines.top": False, "axes.spines.right": False, "font.family": "sans-serif"}
    with rc_context(style):
        count = len(metrics) + len(curves)
        rows = math.ceil(count / MAX_IN_A_ROW)
        columns = math.ceil(count / rows)
        figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * rows), layout="constrained")
        panels: list[Any] = list(figure.subplots(rows, columns, squeeze=False).flat)
        for empty in panels[count:]:
            empty.axis("off")
        for panel, metric in zip(panels, metrics, strict=False):
            _draw_metric(panel, metric, result)
        for panel, curve in zip(panels[len(metrics) : count], curves, strict=True):
            _draw_curve(panel, curve, result)
        return _svg(figure, f"{result.slug}: {', '.join([*metrics, *curves])} of {', '.join(result.arms)}")


def _draw_metric(panel: Any, metric: str, result: Result) -> None:
    for place, arm in enumerate(result.arms.values()):
        values, colour = arm.metrics[metric], COLOURS[place % len(COLOURS)]
        found = interval(values)
        panel.plot(values, np.linspace(-0.16, 0.16, len(values)) + place, ".", color=colour, alpha=0.45)
        panel.plot([found.low, found.high], [place, place], color=colour, linewidth=2.5, alpha=0.8)
        panel.plot(found.mean, place, "D", color=colour, markersize=6)
    panel.set_yticks(range(len(result.arms)), list(result.arms))
    panel.invert_yaxis()
    panel.margins(y=0.25)
    panel.set_title(metric)
    panel.grid(axis="x", alpha=0.25)


def _draw_curve(panel: Any, curve: str, result: Result) -> None:
    for place, (name, arm) in enumerate(result.arms.items()):
        if not arm.curves.get(curve) or not all(arm.curves[curve]):
            continue  # not measured for this arm, or not in every trial
        x, found = _mean_curve(arm, curve)
        colour = COLOURS[place % len(COLOURS)]
        panel.plot(x, [i.mean for i in found], color=colour, label=name)
        panel.fill_between(x, [i.low for i in found], [i.high for i in found], color=colour, alpha=0.15, lw=0)
    x_label, y_label = result.axes.get(curve, ("", curve))
    panel.set_xlabel(x_label)
    panel.set_title(y_label)
    panel.grid(alpha=0.25)
    panel.legend(frameon=False, fontsize=8)


def _mean_curve(arm: Arm, curve: str) -> tuple[Sequence[float], list[Interval]]:
    """Points of all seeds on the grid of the first one."""
    runs = [np.asarray(points, dtype=np.float64) for points in arm.curves[curve]]
    x = runs[0][:, 0]
    values = np.stack([np.interp(x, run[:, 0], run[:, 1]) for run in runs], axis=1)
    return list(x), [interval(list(row)) for row in values]


def _svg(figure: Any, title: str) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Title": title})
    text = buffer.getvalue().replace(INK, "currentColor")
    return re.sub(r"^.*?(?=<svg )", "", text, flags=re.DOTALL)
