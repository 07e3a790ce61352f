"""Overlap of texts, SQL and graded mathematics, as one writes them in a hurry; see `plain_rewards.py`."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Any

import sqlglot
from plain_rewards import Extra, boxed, longest_common
from sqlglot import exp
from sqlglot.errors import SqlglotError


def ngrams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def rouge1(text: str, reference: str, extra: Extra) -> float:
    ours, theirs = words(text), words(reference)
    return harmonic(sum((ngrams(ours, 1) & ngrams(theirs, 1)).values()), len(ours), len(theirs))


def rouge2(text: str, reference: str, extra: Extra) -> float:
    ours, theirs = ngrams(words(text), 2), ngrams(words(reference), 2)
    return harmonic(sum((ours & theirs).values()), sum(ours.values()), sum(theirs.values()))


def rouge_l(text: str, reference: str, extra: Extra) -> float:
    ours, theirs = words(text), words(reference)
    return harmonic(longest_common(ours, theirs), len(ours), len(theirs))


def harmonic(common: int, ours: int, theirs: int) -> float:
    return 2 * common / (ours + theirs) if common else 0.0


def chrf(text: str, reference: str, extra: Extra) -> float:
    ours, theirs = "".join(text.split()), "".join(reference.split())
    precisions, recalls = [], []
    for n in range(1, 7):
        left, right = ngrams(ours, n), ngrams(theirs, n)
        if left and right:
            common = sum((left & right).values())
            precisions.append(common / sum(left.values()))
            recalls.append(common / sum(right.values()))
    p, r = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    return 5 * p * r / (4 * p + r) if p + r else 0.0


# -- SQL -----------------------------------------------------------------------------------------------------


def query_of(text: str) -> str:
    return re.findall(r"```sql\b(.*?)```", text, re.DOTALL)[-1].strip()


def sql_syntax(text: str, reference: str, extra: Extra) -> float:
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(extra["schema"])
        connection.execute(query_of(text)).fetchone()
    except sqlite3.Error:
        return 0.0
    finally:
        connection.close()
    return 1.0


def sql_ngram(text: str, reference: str, extra: Extra) -> float:
    ours, theirs = (
        {" ".join(gram) for gram in ngrams(tokens(sql), 2)} for sql in (query_of(text), reference)
    )
    return len(ours & theirs) / len(ours | theirs) if ours | theirs else 0.0


def tokens(sql: str) -> list[str]:
    ignored = {"as"}
    try:
        tree = sqlglot.parse_one(sql, read="sqlite")
        sql = tree.sql(dialect="sqlite")
        ignored |= {table.alias.lower() for table in tree.find_all(exp.Table)}
        ignored |= {each.alias.lower() for select in tree.find_all(exp.Select) for each in select.expressions}
    except SqlglotError:
        pass
    return [word for word in re.findall(r"\w+", sql.lower()) if word not in ignored]


def sql_schema(text: str, reference: str, extra: Extra) -> float:
    try:
        ours, theirs = names(query_of(text)), names(reference)
    except SqlglotError:
        return 0.0
    return len(ours & theirs) / len(ours | theirs)


def names(sql: str) -> set[str]:
    tree = sqlglot.parse_one(sql, read="sqlite")
    columns = {column.alias_or_name for column in tree.find_all(exp.Column)}
    return columns | {table.name for table in tree.find_all(exp.Table)}


# -- mathematics ---------------------------------------------------------------------------------------------


def graded(text: str, reference: str, extra: Extra) -> float:
    """What stands in the last box, else in the last output: equal as numbers to a relative 1e-4, else as text."""
    answer = boxed(text)
    if answer is None:
        outputs = re.findall(r"```output(.*?)```", text, re.DOTALL)
        answer = outputs[-1].strip() if outputs else ""
    ours, theirs = plain(answer.split("\n")[0]), plain(reference)
    try:
        p, r = float(ours.replace(",", "")), float(theirs.replace(",", ""))
    except ValueError:
        return float(ours == theirs)
    return float(abs(p - r) <= 1e-4 * max(abs(p), abs(r)))


def plain(text: str) -> str:
    """The answer normaliser of the ToRA release, those of its steps that bear on numbers and fractions."""
    text = text.strip().replace("\n", "").rstrip(".").replace("\\!", "").replace("\\ ", "")
    text = text.replace("\\\\", "\\").replace("tfrac", "frac").replace("dfrac", "frac")
    text = text.replace("\\left", "").replace("\\right", "")
    text = re.sub(r"\\text{.*?}$", "", text).strip() or text
    text = text.replace("^{\\circ}", "").replace("^\\circ", "").replace("\\$", "").replace("$", "")
    text = text.replace("\\text", "").replace("x\\in", "").replace("\\%", "").replace("%", "")
    text = text.replace(" .", " 0.").replace("{.", "{0.").replace("\\cdot", "")
    text = text.replace("infinity", "\\infty").replace("and", "").replace("\\mathbf", "")
    text = re.sub(r"\\mbox{.*?}", "", text)
    text = re.sub(r"(\d+)\.0+([^\d])", r"\1\2", text)
    text = re.sub(r"(\d+)\.0+$", r"\1", text)
    if text.startswith("."):
        text = "0" + text
    if len(text.split("=")) == 2 and len(text.split("=")[0]) <= 2:
        text = text.split("=")[1]
    text = re.sub(r"\\sqrt(\w+)", r"\\sqrt{\1}", text).replace(" ", "")
    fraction: Any = re.fullmatch(r"(-?\d+)/(\d+)", text)
    return f"\\frac{{{fraction[1]}}}{{{fraction[2]}}}" if fraction else text
