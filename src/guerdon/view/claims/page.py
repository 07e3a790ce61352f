"""One self-contained HTML page of all claims in a folder."""

from __future__ import annotations

import html
from collections import Counter
from importlib.resources import files
from pathlib import Path

from guerdon.claims import Result, interval
from guerdon.core import registry
from guerdon.view.claims.plot import plot


def write_claims_page(folder: str | Path, out: str | Path | None = None) -> Path:
    """Write the page of the results in `folder`, by default to `claims.html` there, and return its path.

    Raises `ValueError` where the folder has no result, or a file there isn't one.
    """
    folder = Path(folder)
    results = [Result.read(path) for path in sorted(folder.glob("*.json"))]
    if not results:
        raise ValueError(f"{folder}: no results of claims; `guerdon claims run SLUG` makes one")
    out = Path(out) if out is not None else folder / "claims.html"
    out.write_text(_page(results), "utf-8")
    return out


def _page(results: list[Result]) -> str:
    folder = files("guerdon.view.claims")
    counts = Counter(result.verdict for result in results)
    fields = {
        "style": (folder / "claims.css").read_text("utf-8"),
        "counts": " · ".join(f"{verdict}: {count}" for verdict, count in counts.most_common()),
        "index": "\n".join(_index_row(result) for result in results),
        "claims": "\n".join(_claim(result) for result in results),
    }
    page = (folder / "claims.html").read_text("utf-8")
    for name, value in fields.items():
        page = page.replace("{{" + name + "}}", value)
    return page


def _index_row(result: Result) -> str:
    text = f'<a href="#{result.slug}">{result.slug}</a></td><td>{html.escape(result.says)}'
    return f"<tr><td>{text}</td><td>{_badge(result.verdict)}</td></tr>"


def _claim(result: Result) -> str:
    methods = {method.slug: method for method in registry.methods()}
    paper = methods.get(result.slug)
    source = (
        f'<p class="paper">{html.escape(paper.title)}, '
        f'<a href="https://arxiv.org/abs/{paper.arxiv}">arXiv {paper.arxiv}</a></p>'
        if paper
        else ""
    )
    remark = f"<p><b>To keep in mind.</b> {html.escape(result.remark)}</p>" if result.remark else ""
    reason = f"<p><b>No verdict:</b> {html.escape(result.reason)}</p>" if result.reason else ""
    drawing = f'<div class="plot">{plot(result)}</div>' if result.arms else ""
    return f"""<section id="{result.slug}">
<h2>{result.slug} {_badge(result.verdict)}</h2>
{source}<p><b>The paper says:</b> {html.escape(result.says)}</p>
<p><b>Expected here:</b> {html.escape(result.hypothesis)}</p>
{reason}{drawing}{_outcomes(result)}{_arms(result)}
<details><summary>How it was measured</summary><p>{html.escape(result.setup)}</p>
<dl>{"".join(f"<dt>{html.escape(n)}</dt><dd>{html.escape(t)}</dd>" for n, t in result.metrics.items())}</dl>
<p>{_provenance(result)}</p></details>
{remark}</section>"""


def _outcomes(result: Result) -> str:
    rows = [
        f"<tr><td>{html.escape(o.expect.text)}</td><td class=n>{o.difference.mean:+.3g}</td>"
        f"<td class=n>{o.difference.bounds}</td><td>{_badge(o.verdict)}</td></tr>"
        for o in result.outcomes
    ]
    head = "<tr><th>fixed before the run</th><th>difference</th><th>95 % interval</th><th></th></tr>"
    return f"<table>{head}{''.join(rows)}</table>" if rows else ""


def _arms(result: Result) -> str:
    names = list(result.metrics)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ("arm", *names, "tuned to"))
    rows = list[str]()
    for arm, measured in result.arms.items():
        found = [interval(measured.metrics[name]) for name in names]
        cells = "".join(f"<td class=n>{i.text}</td>" for i in found)
        tuned = ", ".join(f"{key} {value}" for key, value in measured.setting.items()) or "nothing to tune"
        rows.append(f"<tr><td>{html.escape(arm)}</td>{cells}<td>{html.escape(tuned)}</td></tr>")
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>" if rows else ""


def _provenance(result: Result) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in result.versions.items())
    machine = f"{result.machine.get('cores')} cores, {result.machine.get('processor')}"
    return html.escape(
        f"{len(result.seeds)} seeds; {result.seconds:g} s on {machine}; {versions}; {result.started}"
    )


def _badge(verdict: str) -> str:
    return f'<span class="badge {verdict.replace(" ", "-")}">{verdict}</span>'
