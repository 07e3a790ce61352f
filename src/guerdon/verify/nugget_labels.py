"""Labels of nuggets (how well a passage supports each fact) as a verifier writes them: reading them, their layout."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeAlias, get_args

from guerdon.core.tagged import blocks
from guerdon.verify.format import parse_json

Label: TypeAlias = Literal["support", "partial_support", "not_support"]
LABELS: tuple[Label, ...] = get_args(Label)

_NUMBERED = re.compile(r"\d+\.\s*(.*)")
_NUMBERED_LAYOUT = re.compile(r"\d+\.\s\w")


def label_text(text: str) -> str:
    """Where the labels stand: behind the last `</reasoning>`; the whole text where either tag is missing. Stripped."""
    if "<reasoning>" not in text:
        return text.strip()
    return text.rpartition("</reasoning>")[2].strip()


def parse_labels(text: str) -> list[Label]:
    """The labels that a text lists, in order; what isn't a label is dropped, and case matters.

    The first of these that the text is decides: JSON (a list, or an object's list `labels`); a Python list; lines of one
    label, bullets `*` and `-` aside; `<label>` blocks; values between commas; between tabs; numbered lines; values
    between `|`. The two kinds of lines are taken only where one of them holds a label; each other kind is taken wherever
    the text parses or has its mark, even where no label is left. A list is read as data and never evaluated.

    Linyue Ma et al., "An Efficient Rubric-based Generative Verifier for Search-Augmented LLMs", arXiv:2510.14660
    (linyue-ma/Search-Gen-V).
    """
    text = text.strip()
    listed = _listed(text)
    if listed is not None:
        return _valid(listed)
    lines = text.split("\n")
    bulleted = _valid(line.strip(" \t\r*-") for line in lines)
    if bulleted:
        return bulleted
    if "<label>" in text:
        return _valid(block.inner(text) for block in blocks(text, "label"))
    for mark in (",", "\t"):
        if mark in text:
            return _valid(text.split(mark))
    numbered = _valid(match[1] for line in lines if (match := _NUMBERED.match(line.strip())))
    return numbered or _valid(text.split("|"))


def _listed(text: str) -> Iterable[Any] | None:
    try:
        value = parse_json(text)
    except ValueError:
        return _python_list(text)
    labels = value.get("labels") if isinstance(value, dict) else value
    return labels if isinstance(labels, list) else ()


def _python_list(text: str) -> list[Any] | None:
    if not (text.startswith("[") and text.endswith("]")):
        return None
    try:
        value = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
    return value if isinstance(value, list) else None


def _valid(values: Iterable[Any]) -> list[Label]:
    return [label for value in values if isinstance(value, str) and (label := value.strip()) in LABELS]


# -- layout --------------------------------------------------------------------------------------------------


def has_layout(text: str, layout: str) -> bool:
    """Whether the text of labels looks like `layout`, one of `LAYOUTS`; False for any other name.

    This looks at the surface only, as the released reward does: a text may have the layout `csv` and be no CSV.
    """
    return layout in LAYOUTS and LAYOUTS[layout](text.strip())


def _is_json(text: str) -> bool:
    try:
        value = parse_json(text)
    except ValueError:
        return False
    return isinstance(value.get("labels") if isinstance(value, dict) else value, list)


def _is_xml(text: str) -> bool:
    return text.startswith("<labels>") and text.endswith("</labels>") and "<label>" in text


def _separated(mark: str) -> Callable[[str], bool]:
    return lambda text: mark in text and not text.startswith("[")


def _every_line(holds: Callable[[str], Any]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        lines = [line.lstrip() for line in text.split("\n") if line.strip()]
        return bool(lines) and all(map(holds, lines))

    return check


LAYOUTS: dict[str, Callable[[str], bool]] = {
    "json": _is_json,
    "csv": _separated(","),
    "python_list": lambda text: text.startswith("[") and text.endswith("]"),
    "yaml": _every_line(lambda line: line.startswith("- ")),
    "markdown": _every_line(lambda line: line.startswith("* ")),
    "xml": _is_xml,
    "tsv": lambda text: "\t" in text,
    "numbered": _every_line(_NUMBERED_LAYOUT.match),
    "comma_separated": _separated(", "),
    "pipe_separated": lambda text: "|" in text,
}
