"""Files of sampled answers with their correctness and reward scores."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

from guerdon.audit.best_of_n import Candidates
from guerdon.audit.rows import read_rows


def read_candidates(path: str | PathLike[str]) -> list[Candidates]:
    """The candidates of every problem in a file in the layout of Qwen2.5-Math's evaluation.

    One row a problem, as JSON lines, JSON or Parquet, gzipped or not: `pred`, the final answers as text; `score`, whether
    each is correct; `pred_score`, what the reward model gave to each, a number or a list of one. Other columns are
    ignored.

    Raises `ValueError`, which names the line, on any other row; `FileNotFoundError`.

    An Yang et al., "Qwen2.5-Math Technical Report", arXiv 2409.12122, repository QwenLM/Qwen2.5-Math.
    """
    return read_rows(path, _candidates)


def _candidates(row: Mapping[str, Any]) -> Candidates:
    scores: list[Any] = [
        one[0] if isinstance(one, list) and len(one) == 1 else one for one in _list(row, "pred_score")
    ]
    answers, correct = _list(row, "pred"), _list(row, "score")
    for column, values, kinds in (
        ("pred", answers, (str,)),
        ("score", correct, (bool,)),
        ("pred_score", scores, (int, float)),
    ):
        for value in values:
            if type(value) not in kinds:
                expected = " or ".join(kind.__name__ for kind in kinds)
                raise ValueError(f"{column}: expected entries of type {expected}, got {value!r:.40}")
    return Candidates(answers, correct, scores)


def _list(row: Mapping[str, Any], column: str) -> list[Any]:
    values = row.get(column)
    if not isinstance(values, list):
        raise ValueError(f"{column}: expected a list, got {type(values).__name__}")
    return values
