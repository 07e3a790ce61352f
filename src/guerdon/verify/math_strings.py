"""One spelling for short mathematical answers, so that equal answers are mostly equal text."""

from __future__ import annotations

import re

_DROPPED_FIRST = ("\\!", "\\ ")
_DROPPED_MARKS = ("^{\\circ}", "^\\circ", "\\$", "$", "\\text", "x\\in", "\\%", "%")
# A digit before the point is looked behind for, since matching a run of digits from each of its places is quadratic.
_ZEROS_INSIDE = re.compile(r"(?<=\d)\.0+(\D)")
_ZEROS_AT_END = re.compile(r"(?<=\d)\.0+$")
_MBOX = re.compile(r"\\mbox\{.*?\}")
_BARE_SQRT = re.compile(r"\\sqrt(\w+)")
_INTEGER = re.compile(r"0|-?[1-9][0-9]*")


def normalize_answer(text: str) -> str:
    r"""A short mathematical answer in one spelling.

    In this order: whitespace around it, line breaks and final full stops go; `\!` and `\ ` go; `\\` becomes `\`;
    `tfrac` and `dfrac` become `frac`; `\left` and `\right` go; a unit, from the first `\text{` of a text that ends
    in `}`, goes unless nothing would be left; degrees, `$`, `%`, `\text` and `x\in` go; `.5` becomes `0.5`; `\cdot`
    goes; infinity becomes `\infty`; "and", `\mathbf` and `\mbox{…}` go; j becomes i where there is no i; `5.000`
    becomes `5`; with exactly one `=` a left side of at most two characters goes; `\sqrt2` becomes `\sqrt{2}`; spaces
    go; `\frac12` becomes `\frac{1}{2}`; `a/b` of integers or square roots becomes `\frac{a}{b}`.

    "and" goes inside of words too ("Sandra" becomes "Sra"): compare words only with words that were normalised in the
    same way. Time is linear in the length.

    Zhibin Gou et al., "ToRA: A Tool-Integrated Reasoning Agent for Mathematical Problem Solving", arXiv:2309.17452
    (microsoft/ToRA), after the answer normaliser of hendrycks/math.
    """
    text = _without(text.strip().replace("\n", "").rstrip("."), _DROPPED_FIRST)
    text = text.replace("\\\\", "\\").replace("tfrac", "frac").replace("dfrac", "frac")
    text = _without(text, ("\\left", "\\right"))
    if text.endswith("}"):
        text = text.partition("\\text{")[0].strip() or text
    text = _without(text.strip(), _DROPPED_MARKS)
    text = text.replace(" .", " 0.").replace("{.", "{0.").replace("\\cdot", "")
    text = text.replace("infinity", "\\infty")
    if "\\infty" not in text:
        text = text.replace("inf", "\\infty")
    text = _without_mbox(_without(text, ("and", "\\mathbf")))
    if "i" not in text:
        text = text.replace("j", "i")
    text = _ZEROS_AT_END.sub("", _ZEROS_INSIDE.sub(r"\1", text))
    if text.startswith("."):
        text = "0" + text
    left, equals, right = text.partition("=")
    if equals and "=" not in right and len(left) <= 2:
        text = right
    text = _BARE_SQRT.sub(r"\\sqrt{\1}", text).replace(" ", "")
    return _slash_to_frac(_brace_fracs(text))


def _without(text: str, parts: tuple[str, ...]) -> str:
    for part in parts:
        text = text.replace(part, "")
    return text


def _without_mbox(text: str) -> str:
    # Behind the last brace no box closes, and every box that opens there would be followed to the end.
    end = text.rfind("}") + 1
    return _MBOX.sub("", text[:end]) + text[end:]


def _brace_fracs(text: str) -> str:
    head, *tails = text.split("\\frac")
    if any(len(tail) < 2 and not tail.startswith("{") for tail in tails):
        return text
    return head + "".join("\\frac" + _brace_arguments(tail) for tail in tails)


def _brace_arguments(tail: str) -> str:
    if tail.startswith("{"):
        return tail
    denominator = tail[1:] if tail[1] == "{" else f"{{{tail[1]}}}{tail[2:]}"
    return f"{{{tail[0]}}}{denominator}"


def _slash_to_frac(text: str) -> str:
    parts = text.split("/")
    if len(parts) != 2 or not all("sqrt" in part or _INTEGER.fullmatch(part) for part in parts):
        return text
    return f"\\frac{{{parts[0]}}}{{{parts[1]}}}"
