"""`guerdon claims`: run the experiments that ask whether a paper's claim shows on a laptop."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from guerdon.engine.progress import progress_bar

if TYPE_CHECKING:
    from guerdon.claims import Result

app = typer.Typer(
    help="What papers claim, tested at laptop scale.", no_args_is_help=True, rich_markup_mode="rich"
)
FOLDER = Path("runs/claims")
_COLOURS = {"holds": "green", "does not hold": "red", "inconclusive": "yellow"}


@app.command("list")
def list_claims(
    folder: Annotated[Path, typer.Option("--from", help="Folder with results of earlier runs.")] = FOLDER,
) -> None:
    """The claims there are, with the verdict of the last run in the folder."""
    from guerdon.claims import Result, find, slugs

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("claim", "what the paper says", "verdict"):
        table.add_column(column, no_wrap=column != "what the paper says", overflow="fold")
    for slug in slugs():
        path = folder / f"{slug}.json"
        verdict = Result.read(path).verdict if path.is_file() else "not run"
        table.add_row(slug, Text(find(slug).says), Text(verdict, style=_COLOURS.get(verdict, "dim")))
    Console().print(table)


@app.command("run")
def run(
    wanted: Annotated[list[str], typer.Argument(metavar="SLUG...", help="Methods, or `all`.")],
    seeds: Annotated[
        int | None, typer.Option(help="Trials an arm, at least 3; the claim's own number.")
    ] = None,
    budget: Annotated[float | None, typer.Option(help="Seconds a claim; no trial starts later.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = FOLDER,
) -> None:
    """Run claims and write one JSON file each."""
    from guerdon.claims import find, run_claim, slugs, trial_count

    claims = [find(slug) for slug in (slugs() if wanted == ["all"] else wanted)]
    for claim in claims:
        with progress_bar(sys.stderr.isatty(), trial_count(claim, seeds), claim.slug) as advance:
            result = run_claim(claim, seeds=seeds, budget=budget, on_trial=lambda done, total: advance(1))
        path = result.write(out)
        _print(result)
        print(f"result: {path}\n")


@app.command("report")
def report(
    folder: Annotated[Path, typer.Argument(help="Folder with results.")] = FOLDER,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to write the page.")] = None,
) -> None:
    """Write one self-contained HTML page with a plot for each claim."""
    from guerdon.view.claims import write_claims_page

    print(f"report: {write_claims_page(folder, out)}")


def _print(result: Result) -> None:
    from guerdon.claims import interval

    console = Console()
    console.print(Text(f"{result.slug}: {result.verdict}", style=f"bold {_COLOURS[result.verdict]}"))
    console.print(Text(result.says))
    if result.reason:
        console.print(Text(result.reason, style="yellow"))
    if result.arms:
        names = list(result.metrics)
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in ("arm", *names):
            table.add_column(column, justify="left" if column == "arm" else "right")
        for arm, measured in result.arms.items():
            found = [interval(measured.metrics[name]) for name in names]
            table.add_row(arm, *(i.text for i in found))
        console.print(table)
    for outcome in result.outcomes:
        d = outcome.difference
        line = f"  {outcome.verdict}: {outcome.expect.text}; difference {d.mean:+.3g} [{d.bounds}]"
        console.print(Text(line, style=_COLOURS[outcome.verdict]))
    console.print(Text(f"{len(result.seeds)} seeds, 95 % intervals, {result.seconds:g} s", style="dim"))
