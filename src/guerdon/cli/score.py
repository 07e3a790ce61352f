"""`guerdon score`: score a file."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table

from guerdon.core.context import Context
from guerdon.core.recipe import load_reward
from guerdon.core.signal import Status
from guerdon.engine.coroutines import Requests
from guerdon.engine.files import FileRun, score_file
from guerdon.engine.run import MEMORY
from guerdon.engine.summary import Moments

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", re.IGNORECASE)


def score(
    data: Annotated[Path, typer.Argument(help="JSONL, JSON or Parquet file of samples.")],
    reward: Annotated[str, typer.Option("--reward", "-r", help="Name of a reward, or a recipe file.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to write scores: .parquet, .jsonl or .csv.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes; 0 scores in this process.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds that one sample may take.")] = None,
    memory: Annotated[str, typer.Option(help="Memory that a worker may take, as 512MB or 4GB.")] = "4GB",
    resume: Annotated[bool, typer.Option(help="Go on where a killed run stopped.")] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Argument of the reward: name=value. Repeatable.")
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", help="Where a column is: completion=output. Repeatable."),
    ] = None,
    format_: Annotated[
        str | None, typer.Option("--format", help="native, trl, verl or openai; detected if not given.")
    ] = None,
    step: Annotated[
        int | None, typer.Option(help="Training step to score as, from 0, for rewards that change with it.")
    ] = None,
    total_steps: Annotated[int | None, typer.Option(help="Training steps in all.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder of remembered values.")] = None,
    backend: Annotated[str, typer.Option(help="local or ray.")] = "local",
    concurrency: Annotated[int, typer.Option(help="Model calls in flight at once.")] = 32,
    retries: Annotated[int, typer.Option(help="Further tries after a temporary error of a model call.")] = 3,
    samples: Annotated[bool, typer.Option(help="Write prompts and completions beside the scores.")] = True,
    trust: Annotated[
        bool, typer.Option("--trust", help="Let the recipe import Python code that it names.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    progress: Annotated[bool, typer.Option(help="Show a progress bar.")] = True,
) -> None:
    """Score every sample of a file with a reward."""
    if workers is None:
        workers = (os.cpu_count() or 1) if timeout is not None and backend == "local" else 0
    run = score_file(
        load_reward(reward, trust=trust, **_pairs(set_ or [], "--set")),
        data,
        out,
        resume=resume,
        with_samples=samples,
        context=Context(step=step, total_steps=total_steps),
        progress=progress and not as_json and sys.stderr.isatty(),
        reading={"format": format_, "columns": _columns(columns or [])},
        metadata={"command": f"guerdon score {data} --reward {reward}"},
        workers=workers,
        timeout=timeout,
        memory=_bytes(memory),
        cache=cache,
        backend=backend,
        requests=Requests(concurrency=concurrency, retries=retries, timeout=timeout),
    )
    if as_json:
        print(json.dumps(run.as_dict()))
    else:
        _print_summary(run)


def _pairs(given: list[str], option: str) -> dict[str, Any]:
    pairs = dict[str, Any]()
    for item in given:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise ValueError(f"{option}: expected name=value, got {item!r}")
        pairs[key] = yaml.safe_load(value)
    return pairs


def _columns(given: list[str]) -> dict[str, str] | None:
    return {key: str(value) for key, value in _pairs(given, "--column").items()} or None


def _bytes(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"--memory: expected a size as 512MB or 4GB, got {text!r}")
    return int(float(match[1]) * 1024 ** "_KMGT".index(match[2].upper() or "_")) or MEMORY


def _print_summary(run: FileRun) -> None:
    summary = run.summary
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("", "mean", "std", "min", "max", "ok", "abstained", "failed", "timed out"):
        table.add_column(column, justify="left" if not column else "right")
    for name, moments in [("reward", summary.total), *summary.parts.items()]:
        table.add_row(name, *_cells(moments))
    console = Console()
    console.print(table)
    for reason, count in summary.reasons.most_common(5):
        console.print(f"{count:>8}  {reason}", markup=False, highlight=False, style="yellow", overflow="fold")
    pace = summary.samples / run.seconds if run.seconds else 0.0
    console.print(f"{summary.samples} samples in {run.seconds:.1f} s ({pace:,.0f}/s)", highlight=False)
    if run.rejects is not None:
        console.print(f"{run.rejected} rows could not be read: {run.rejects}", style="yellow", markup=False)
    if run.out is not None:
        console.print(f"scores: {run.out}", markup=False, highlight=False)


def _cells(moments: Moments) -> list[str]:
    numbers = (moments.mean, moments.std, moments.low, moments.high) if moments.count else ()
    shown = [f"{number:.4g}" for number in numbers] or ["–"] * 4
    statuses = (Status.OK, Status.ABSTAINED, Status.FAILED, Status.TIMED_OUT)
    return shown + [str(moments.statuses[status]) for status in statuses]
