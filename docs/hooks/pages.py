"""What the site has from the registry: `reference.md`, `methods.md`, and the methods on the page of each room."""

from __future__ import annotations

import inspect
import pydoc
import re
import textwrap
from collections.abc import Collection
from pathlib import Path

from mkdocs.structure.files import File

from guerdon.core import registry

TITLES = {
    "reward": "Rewards",
    "transform": "Transforms",
    "predicate": "Predicates",
    "credit": "Credit estimators",
    "world": "Worlds",
}
WIDTH = 88
CLAIMS = Path(__file__).parents[1] / "claims"


def on_files(files, config):
    """Add the generated pages to the site."""
    files.append(File.generated(config, "reference.md", content=reference()))
    files.append(File.generated(config, "methods.md", content=methods()))
    return files


def reference() -> str:
    """Every registered name with its signature and docstring, by kind."""
    lines = [
        "# Registered names",
        "",
        "What recipes and `guerdon.load_reward` know by name; `guerdon show NAME` prints the same.",
        "",
    ]
    for kind in registry.KINDS:
        entries = registry.entries(kind)
        if entries:
            lines += [f"## {TITLES[kind]}", ""]
        for entry in entries:
            lines += [f"### `{entry.name}`", "", "```python", signature(entry), "```", ""]
            lines += [markdown(entry.doc, inspect.signature(entry.factory).parameters), ""]
            if entry.example:
                lines += ["```yaml", entry.example, "```", ""]
    return "\n".join(lines)


def methods() -> str:
    """The table of published methods."""
    rows = [
        "# Methods",
        "",
        "Published methods whose reward side is implemented, from the registry (`guerdon methods`).",
        "",
        "| method | paper | arXiv | room | public name |",
        "|---|---|---|---|---|",
    ]
    for m in registry.methods():
        link = f"[{m.arxiv}](https://arxiv.org/abs/{m.arxiv})" if m.arxiv else ""
        rows.append(f"| `{m.slug}` | {m.title} | {link} | `{m.room}` | `{m.public}` |")
    return "\n".join(rows) + "\n"


def on_page_markdown(text, page, **_):
    """Append the methods of a room to the page about it."""
    folder, _, name = page.file.src_uri.rpartition("/")
    return f"{text}\n{room_methods(name.removesuffix('.md'))}" if folder == "rooms" else text


def room_methods(room: str) -> str:
    """A section a method of that room: its paper, its public name and what its docstring says."""
    found = [m for m in registry.methods() if m.room == room]
    lines = ["## Methods", ""] if found else []
    for m in found:
        public = pydoc.locate(m.public)
        lines += [f"### {m.slug}", "", f"{m.title}, [arXiv {m.arxiv}](https://arxiv.org/abs/{m.arxiv}).", ""]
        claimed = (CLAIMS / f"{m.slug}.json").is_file()
        lines += [f"`{m.public}`" + (f" · [the claim, tested](../claims.md#{m.slug})" if claimed else ""), ""]
        lines += [markdown(inspect.getdoc(public) or "", inspect.signature(public).parameters), ""]
    return "\n".join(lines)


def signature(entry: registry.Entry) -> str:
    """The signature, one argument a line where it is long."""
    text = entry.signature
    if len(text) <= WIDTH:
        return text
    arguments = re.split(r", (?=\*,|\w+(?::|=))", text[len(entry.name) + 1 : -1])
    return "\n".join([f"{entry.name}(", *(f"    {argument}," for argument in arguments), ")"])


def markdown(doc: str, parameters: Collection[str] = ()) -> str:
    """A docstring as Markdown.

    Indented equations become code blocks; a list, a table, and a line that starts with a parameter's name and a colon
    begin a block of their own.
    """
    blocks, equation = list[str](), list[str]()
    for line in [*doc.splitlines(), "end"]:
        if line.startswith("    ") or (equation and not line.strip()):
            equation.append(line)
            continue
        if equation:
            body = textwrap.dedent("\n".join(equation)).strip("\n")
            blocks += ["", "```text", body, "```", ""]
            equation = []
        before = blocks[-1] if blocks else ""
        if before.strip() and _begins(line, before, parameters):
            blocks.append("")
        blocks.append(_code_name(line, parameters))
    return "\n".join(blocks[:-1])


def _begins(line: str, before: str, parameters: Collection[str]) -> bool:
    for mark in ("- ", "| "):
        if line.startswith(mark):
            return not before.startswith((mark, "  "))
    return _parameter(line, parameters) is not None


def _code_name(line: str, parameters: Collection[str]) -> str:
    name = _parameter(line, parameters)
    return line if name is None else f"`{name}`{line[len(name) :]}"


def _parameter(line: str, parameters: Collection[str]) -> str | None:
    name, colon, _ = line.partition(":")
    return name if colon and name in parameters else None
