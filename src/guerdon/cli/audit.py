"""`guerdon audit`: benchmarks of rewards on files of scores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

app = typer.Typer(help="Is a reward any good?", no_args_is_help=True, rich_markup_mode="rich")
_WIDEST = 10_000
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("rewardmath")
def rewardmath(
    file: Annotated[Path, typer.Argument(help="Scores by model: .json or .json.gz.")],
    as_json: _AsJson = False,
) -> None:
    """RewardMATH: one correct solution against many incorrect ones, for every model of a file.

    A model that scores steps has a row for each aggregation, without figures where its scores are out of its range.
    """
    from guerdon.audit import one_to_many_benchmark, read_score_file
    from guerdon.steer.aggregate import AGGREGATIONS

    rows = list[dict[str, Any]]()
    for model, problems in read_score_file(file).items():
        for how in AGGREGATIONS if problems[0].stepwise else (None,):
            try:
                figures = one_to_many_benchmark(problems, how or "prod")._asdict()
            except ValueError as error:
                if how is None:
                    raise
                figures = {"problems": len(problems), "reason": str(error)}
            rows.append({"model": model, "steps": how, **figures})
    if as_json:
        print(json.dumps(rows))
        return
    _print(
        ("model", "steps", "problems", "strict %", "with ties %", "MRR", "rank score"),
        [
            (
                row["model"],
                row["steps"] or "",
                str(row["problems"]),
                *(f"{100 * row[name]:.2f}" if name in row else "–" for name in ("strict", "with_ties")),
                *(f"{row[name]:.4f}" if name in row else "–" for name in ("mrr", "rank_score")),
            )
            for row in rows
        ],
    )
    for row in rows:
        if "reason" in row:
            print(f"{row['model']}, {row['steps']}: {row['reason']}")


@app.command("best-of-n")
def best_of_n(
    file: Annotated[Path, typer.Argument(help="Answers, correctness and scores, a problem a row.")],
    as_json: _AsJson = False,
) -> None:
    """RM@n, majority@n and pass@n with the first n candidates, and the expected proxy and gold over all choices of n."""
    from guerdon import audit

    problems = audit.read_candidates(file)
    fewest = min(len(problem.answers) for problem in problems)
    sizes = [1 << k for k in range(fewest.bit_length()) if 1 << k < fewest] + [fewest]
    curve = audit.selection_curve(
        [problem.scores[:fewest] for problem in problems],
        [problem.correct[:fewest] for problem in problems],
        sizes,
    )
    rows = [
        audit.best_of_n_accuracy(problems, n)._asdict() | point._asdict()
        for n, point in zip(sizes, curve, strict=True)
    ]
    if as_json:
        print(json.dumps({"problems": len(problems), "sizes": rows}))
        return
    _print(
        ("n", "RM@n %", "majority@n %", "pass@n %", "KL (nats)", "mean proxy", "mean gold"),
        [
            (
                str(row["n"]),
                *(f"{100 * row[name]:.2f}" for name in ("reward", "majority", "oracle")),
                *(f"{row[name]:.4f}" for name in ("kl", "proxy", "gold")),
            )
            for row in rows
        ],
    )
    print(f"{len(problems)} problems")


def _print(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in ("model", "steps") else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console = Console()
    # A name in two lines can't be looked for, and no terminal says how wide a pipe is.
    whole = Measurement.get(console, console.options.update(max_width=_WIDEST), table).maximum
    Console(width=max(console.width, whole)).print(table)
