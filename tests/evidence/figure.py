"""The picture of docs/evidence.md: agreement of each reward with people, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .page import Comparison


def draw_agreement(compared: Sequence[Comparison], path: Path) -> None:
    """Write the SVG; equal numbers give an equal file."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update(
        {"svg.hashsalt": "guerdon", "svg.fonttype": "none", "font.family": "sans-serif"}
    )
    from matplotlib import pyplot

    chart, axes = pyplot.subplots(figsize=(7.2, 0.34 * len(compared) + 1.0), layout="constrained")
    places = range(len(compared), 0, -1)
    for offset, colour, label, field in (
        (0.14, "#3f51b5", "all decided pairs", "agreement"),
        (-0.14, "#e08a00", "place-neutral", "place_neutral"),
    ):
        estimates = [getattr(each, field) for each in compared]
        values = [100 * each.value for each in estimates]
        errors = [
            [100 * (each.value - each.low) for each in estimates],
            [100 * (each.high - each.value) for each in estimates],
        ]
        at = [place + offset for place in places]
        axes.errorbar(values, at, xerr=errors, fmt="o", color=colour, markersize=4, label=label)
    axes.axvline(50, color="#888888", linewidth=1, linestyle="--")
    axes.set_yticks(list(places), [each.reward.strip("*") for each in compared])
    axes.set_xlabel("pairs ordered as people ordered them, %, with 95 % interval")
    chart.legend(loc="outside upper right", ncols=2, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    chart.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(chart)
