"""Pages that are made from the registry when the site is built: `reference.md` and `methods.md`."""

from __future__ import annotations

import textwrap

from mkdocs.structure.files import File

from guerdon.core import registry


def on_files(files, config):
    """Add the generated pages to the site."""
    files.append(File.generated(config, "reference.md", content=reference()))
    files.append(File.generated(config, "methods.md", content=methods()))
    return files


def reference() -> str:
    """Every registered name with its signature and docstring, by kind."""
    lines = ["# Registered names", "", "What a recipe, `guerdon.load_reward` and `guerdon show` know by name.", ""]
    for kind in registry.KINDS:
        entries = registry.entries(kind)
        if entries:
            lines += [f"## {kind.capitalize()}s" if kind != "credit" else "## Credit estimators", ""]
        for entry in entries:
            lines += [f"### `{entry.name}`", "", "```python", entry.signature, "```", "", markdown(entry.doc), ""]
            if entry.example:
                lines += ["```python", entry.example, "```", ""]
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


def markdown(doc: str) -> str:
    """A docstring as Markdown: paragraphs stay, indented equations become code blocks, bars in text are kept."""
    blocks, equation = list[str](), list[str]()
    for line in [*doc.splitlines(), "end"]:
        if line.startswith("    ") or (equation and not line.strip()):
            equation.append(line)
            continue
        if equation:
            body = textwrap.dedent("\n".join(equation)).strip("\n")
            blocks += ["", "```text", body, "```", ""]
            equation = []
        blocks.append(line)
    return "\n".join(blocks[:-1])
