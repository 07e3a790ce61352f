"""Whether a scorer puts the correct solutions of a problem above every incorrect one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Verdict: TypeAlias = Literal["A", "B"]


class Comparison(NamedTuple):
    """What the scores of one problem say: `strict`, `with_ties`, `reciprocal_rank` in (0, 1], `rank_score` in [0, 1]."""

    strict: bool
    with_ties: bool
    reciprocal_rank: float
    rank_score: float


class Benchmark(NamedTuple):
    """Means over `problems` comparisons, each in [0, 1]: `mrr` is that of the reciprocal rank."""

    problems: int
    strict: float
    with_ties: float
    mrr: float
    rank_score: float


def compare_one_to_many(correct: Sequence[float], incorrect: Sequence[float]) -> Comparison:
    """Compare the scores of correct solutions of a problem with those of incorrect ones.

        strict          = min(correct) >  max(incorrect)
        with_ties       = min(correct) >= max(incorrect)
        rank            = 1 + |{w in incorrect: w >= max(correct)}|
        reciprocal_rank = 1 / rank
        rank_score      = (n − rank) / (n − 1),    n = |correct| + |incorrect|

    A tie costs rank: among equal scores the incorrect ones come first. A scorer of few levels, such as a judge with
    integers, ties often, hence both accuracies.

    Raises `ValueError` where either side is empty, isn't a list of numbers, or has a NaN; an infinity is a score.

    Sunghwan Kim et al., "Evaluating Robustness of Reward Models for Mathematical Reasoning", arXiv 2410.01729, repository
    kimsh0507/RewardMATH_official.
    """
    c, w = _scores(correct, "correct"), _scores(incorrect, "incorrect")
    worst, best, rival = c.min(), c.max(), w.max()
    rank = 1 + int(np.count_nonzero(w >= best))
    n = c.size + w.size
    return Comparison(bool(worst > rival), bool(worst >= rival), 1 / rank, (n - rank) / (n - 1))


def summarize(comparisons: Iterable[Comparison]) -> Benchmark:
    """The benchmark's figures: means over problems. Raises `ValueError` where there is no problem."""
    rows = np.array(list(comparisons), dtype=np.float64)
    if not rows.size:
        raise ValueError("comparisons: expected at least one problem")
    return Benchmark(len(rows), *rows.mean(axis=0).tolist())


def scores_of_verdicts(
    verdicts: Sequence[Verdict | None], positions: Sequence[Verdict]
) -> tuple[int, list[int]]:
    """Scores of the correct solution and of its n rivals, from the verdicts of a pairwise judge.

        wins        = |{j: verdict_j = position_j}|
        correct     = wins + 1
        incorrect_j = 1 if beaten, else n + 2

    `positions`: where the correct solution stood in each pair. A missing verdict (None) is a loss, so a judge whose
    replies can't be read gets no credit. The scores suit `compare_one_to_many`: the rank is 1 + losses.

    Raises `ValueError` where there is no pair, the lengths differ, or a letter is neither A nor B.

    Sunghwan Kim et al., "Evaluating Robustness of Reward Models for Mathematical Reasoning", arXiv 2410.01729, repository
    kimsh0507/RewardMATH_official.
    """
    n = len(positions)
    if not n or len(verdicts) != n:
        raise ValueError(f"verdicts: expected one a pair, at least one; got {len(verdicts)} for {n} pairs")
    for name, letters, known in (
        ("verdicts", verdicts, ("A", "B", None)),
        ("positions", positions, ("A", "B")),
    ):
        for letter in letters:
            if letter not in known:
                raise ValueError(f"{name}: expected each among {known}, got {letter!r}")
    beaten = [verdict == position for verdict, position in zip(verdicts, positions, strict=True)]
    return sum(beaten) + 1, [1 if won else n + 2 for won in beaten]


def _scores(values: Sequence[float], name: str) -> NDArray[np.float64]:
    array = np.asarray(values)
    if array.ndim != 1 or not array.size or array.dtype.kind not in "iuf":
        raise ValueError(f"{name}: expected a list of at least one number, got {values!r:.80}")
    if np.isnan(array).any():
        raise ValueError(f"{name}: expected no NaN; leave out what could not be scored, or give it a score")
    return array.astype(np.float64)
