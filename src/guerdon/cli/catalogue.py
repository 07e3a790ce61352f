"""`guerdon list`, `guerdon show` and `guerdon methods`: what there is."""

from __future__ import annotations

import json
from typing import Annotated, Any, get_args

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from guerdon.core import registry


def list_entries(
    kind: Annotated[str | None, typer.Argument(help="reward, transform, predicate, credit or world")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What is registered: rewards, transforms, predicates, credit estimators and worlds."""
    if kind is not None and kind not in get_args(registry.Kind):
        raise ValueError(f"kind: expected one of {', '.join(registry.KINDS)}, got {kind!r}")
    found = [entry for entry in registry.entries() if kind in (None, entry.kind)]
    if as_json:
        print(
            json.dumps(
                [{"name": e.name, "kind": e.kind, "room": e.room, "summary": e.summary} for e in found]
            )
        )
        return
    _print_table(["name", "kind", "room", "what it is"], [[e.name, e.kind, e.room, e.summary] for e in found])


def show(
    name: Annotated[str, typer.Argument(help="A registered name.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Signature, equation, citation and an example of one registered name."""
    entries = [entry for entry in registry.entries() if entry.name == name]
    if not entries:
        method = next((method for method in registry.methods() if method.slug == name), None)
        if method is not None:
            raise registry.UnknownName(
                f"{name!r} is a method, not a registered name: see {method.public} ({method.title})"
            )
        known = [entry.name for entry in registry.entries()]
        raise registry.UnknownName(f"unknown name {name!r}{registry.did_you_mean(name, known)}")
    if as_json:
        print(json.dumps([_described(entry) for entry in entries]))
        return
    console = Console()
    for entry in entries:
        console.print(
            Text(entry.signature, style="bold"), f" ·  {entry.kind} in {entry.room}/", highlight=False
        )
        console.print()
        console.print(Markdown(entry.doc))
        if entry.example:
            console.print("\n[bold]Example[/bold]")
            console.print(entry.example, markup=False, highlight=False)


def methods(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """The published methods that are implemented, with their papers."""
    found = registry.methods()
    if as_json:
        rows = [
            {"slug": m.slug, "title": m.title, "arxiv": m.arxiv, "room": m.room, "public": m.public}
            for m in found
        ]
        print(json.dumps(rows))
        return
    _print_table(
        ["method", "paper", "arXiv", "public name"], [[m.slug, m.title, m.arxiv, m.public] for m in found]
    )


def _described(entry: registry.Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "kind": entry.kind,
        "room": entry.room,
        "signature": entry.signature,
        "doc": entry.doc,
        "example": entry.example,
    }


def _print_table(columns: list[str], rows: list[list[str]]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column == columns[0], overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
