"""The page `claims.md`, made from the results in `docs/claims/` when the site is built."""

from __future__ import annotations

from pathlib import Path

from mkdocs.structure.files import File

from guerdon.claims import Result, interval
from guerdon.view.claims import plot

INTRODUCTION = """# Claims

What each paper claims, in one sentence, and whether it shows at the scale of a laptop. `guerdon claims run SLUG` repeats
any of them in minutes; `guerdon claims report` writes this page for your own runs.

- Hypothesis, metric and margin are fixed before the run. Where something was still changed after a look at results, the
  last paragraph of the claim says so, and the result is on seeds that nobody had looked at.
- Every arm, the baseline too, tries the same number of settings on tuning seeds of its own.
- Differences are paired by seed. A verdict needs the whole 95 % interval on one side of the bound; several comparisons of
  one claim are each at 95 %, without correction.
- A claim that does not hold here is reported so. The worlds are small: *holds* says that the mechanism does what the paper
  says it does, and nothing about the size of the effect on a large model.
"""


def on_files(files, config):
    """Add the page to the site."""
    folder = Path(config["docs_dir"]) / "claims"
    results = [Result.read(path) for path in sorted(folder.glob("*.json"))]
    files.append(File.generated(config, "claims.md", content=page(results)))
    return files


def page(results: list[Result]) -> str:
    """The introduction, a table of verdicts, and a section a claim."""
    rows = [
        "| method | the paper says | verdict |",
        "|---|---|---|",
        *(f"| [{r.slug}](#{r.slug}) | {r.says} | **{r.verdict}** |" for r in results),
    ]
    return "\n\n".join([INTRODUCTION, "\n".join(rows), *(section(result) for result in results)]) + "\n"


def section(result: Result) -> str:
    """One claim."""
    outcomes = [
        "| fixed before the run | difference | 95 % interval | |",
        "|---|---|---|---|",
        *(
            f"| {o.expect.text} | {o.difference.mean:+.3g} | {o.difference.bounds} | {o.verdict} |"
            for o in result.outcomes
        ),
    ]
    names = list(result.metrics)
    arms = [f"| arm | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for arm, measured in result.arms.items():
        cells = [interval(measured.metrics[name]).text for name in names]
        arms.append(f"| {arm} | {' | '.join(cells)} |")
    meaning = "; ".join(f"*{name}*: {text}" for name, text in result.metrics.items())
    parts = [
        f"## {result.slug}",
        f"**{result.verdict.capitalize()}.** {result.says}",
        f"Expected here: {result.hypothesis}",
        f'<div style="overflow-x: auto">{plot(result)}</div>' if result.arms else "",
        "\n".join(outcomes),
        "\n".join(arms),
        f"{result.setup} Metrics: {meaning}. {len(result.seeds)} seeds, {result.seconds:g} s on "
        f"{result.machine.get('cores')} cores. All numbers: [JSON](claims/{result.slug}.json).",
        result.remark,
    ]
    return "\n\n".join(part for part in parts if part)
