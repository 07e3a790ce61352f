"""`guerdon report`: one HTML file of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="A scores file, or the folder of a training run.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to write the page.")] = None,
) -> None:
    """Write one self-contained HTML page about a run; it opens without network."""
    from guerdon.view.report import write_report

    print(f"report: {write_report(run, out)}")
