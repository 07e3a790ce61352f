"""Every snippet of the README and the documentation runs, top to bottom, page by page, in a folder of its own.

- `python` runs in one namespace; a `text` block right behind it is what it prints.
- `yaml` is a recipe and loads as a reward.
- `bash` runs, with `guerdon` on the path.
- A block with `title="NAME"` is also written to the file NAME, for the blocks that follow.
- Behind the comment `<!-- not run: WHY -->` Python is only compiled, YAML only parsed and the rest left alone.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from guerdon import load_reward
from guerdon.core import registry

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))),
]
FENCE = re.compile(
    r'^(?P<skip><!-- not run: [^\n]+ -->\n+)?```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<code>.*?)^```$'
    r"(?:\n+```text\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    line: int
    run: bool
    language: str
    title: str | None
    code: str
    output: str | None


def blocks(page: str) -> list[Block]:
    text = (ROOT / page).read_text("utf-8")
    return [
        Block(
            text.count("\n", 0, m.start("code")) + 1,
            m["skip"] is None,
            *m.group("language", "title", "code", "output"),
        )
        for m in FENCE.finditer(text)
    ]


@pytest.mark.parametrize("page", PAGES)
def test_page(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    registry.load_rooms()
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    namespace = {"__name__": "__main__"}
    for block in blocks(page):
        if block.title is not None:
            Path(block.title).write_text(block.code, "utf-8")
        if block.language == "python":
            # Padded, so that a traceback has the line of the page.
            code = compile("\n" * (block.line - 1) + block.code, str(ROOT / page), "exec")
            if block.run:
                exec(code, namespace)
                printed = capsys.readouterr().out
                assert block.output in (None, printed), f"{page}:{block.line} prints\n{printed}"
        elif block.language == "yaml":
            data = yaml.safe_load(block.code)
            if block.run:
                load_reward(data)
        elif block.language == "bash" and block.run:
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            done = subprocess.run(
                ["bash", "-euc", block.code], env={**os.environ, "PATH": path}, capture_output=True, text=True
            )
            assert done.returncode == 0, f"{page}:{block.line} ended with\n{done.stderr}"


def test_fences_are_all_seen():
    for page in PAGES:
        opened = len(re.findall(r"^```\w", (ROOT / page).read_text("utf-8"), re.MULTILINE))
        found = sum(1 + (block.output is not None) for block in blocks(page))
        assert opened == found, page
