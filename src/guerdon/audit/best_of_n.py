"""Best of n: how often the answer that a reward picks is right, and what harder selection does to the true reward."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from guerdon.core.checks import check_number
from guerdon.steer.select import best_of_n, maj_at_k
from guerdon.verify.math_grading import answers_equal
from guerdon.verify.math_strings import normalize_answer

Equal = Callable[[str, str], bool]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Sampled answers to one problem, in the order they were drawn: final `answers`, whether `correct`, and `scores`.

    Raises `ValueError` where the three differ in length, there is none, or a score is NaN.
    """

    answers: Sequence[str]
    correct: Sequence[bool]
    scores: Sequence[float]

    def __post_init__(self) -> None:
        n = len(self.answers)
        if not n or len(self.correct) != n or len(self.scores) != n:
            lengths = f"{n}, {len(self.correct)} and {len(self.scores)}"
            raise ValueError(
                f"Candidates: expected as many answers, correct and scores, at least one; got {lengths}"
            )
        if any(math.isnan(score) for score in self.scores):
            raise ValueError("Candidates.scores: expected no NaN")


class BestOfN(NamedTuple):
    """Shares of problems, in [0, 1], that are solved with the first `n` candidates.

    `reward`: the answer of the highest score is right · `majority`: the most frequent answer is · `oracle`: one of them
    is, which bounds both.
    """

    n: int
    reward: float
    majority: float
    oracle: float


class SelectionPoint(NamedTuple):
    """Means over problems when the best of `n` by proxy is taken; `kl` is the policy's distance from no selection."""

    n: int
    kl: float
    proxy: float
    gold: float


def math_equal(first: str, second: str) -> bool:
    """Whether two written answers are one as mathematics, by `normalize_answer` and `answers_equal`.

    Equal texts are equal without a look at what they mean, so an empty answer equals another empty one. To compare
    two formulas has no time limit of its own.
    """
    if first == second:
        return True
    return answers_equal(normalize_answer(first), normalize_answer(second))


def best_of_n_accuracy(problems: Sequence[Candidates], n: int, equal: Equal = math_equal) -> BestOfN:
    """RM@n, majority@n and pass@n: what selection by reward, by vote and by an oracle solves.

    Of the first n candidates of each problem:

        reward   = mean correct[ vote{i: score_i = max score} ]
        majority = mean correct[ vote{all i} ]
        oracle   = mean max_i correct_i

    `vote` takes the first candidate of the largest set of equal answers, of the first such set on a tie (`best_of_n` and
    `maj_at_k` of `guerdon.steer.select`): a tie at the top score is broken by the answers and not at random. It is the
    figure of one draw of n a problem, not the expectation over draws, which `selection_curve` gives.

    Raises `ValueError` where there is no problem or one has fewer than n candidates; and what `equal` raises.

    Sunghwan Kim et al., "Evaluating Robustness of Reward Models for Mathematical Reasoning", arXiv 2410.01729, repository
    kimsh0507/RewardMATH_official.
    """
    fewest = min((len(problem.answers) for problem in problems), default=0)
    if type(n) is not int or not 1 <= n <= fewest:
        raise ValueError(
            f"n: expected an integer from 1 to {fewest}, the fewest candidates of a problem; got {n!r}"
        )
    solved = np.array([_solved(problem, n, equal) for problem in problems], dtype=np.float64)
    return BestOfN(n, *solved.mean(axis=0).tolist())


def _solved(problem: Candidates, n: int, equal: Equal) -> tuple[bool, bool, bool]:
    answers, correct = problem.answers[:n], problem.correct[:n]
    chosen = best_of_n(problem.scores[:n], answers, equal=equal)
    return bool(correct[chosen]), bool(maj_at_k(answers, correct, n, equal=equal)), any(correct)


def best_of_n_kl(n: int) -> float:
    """The divergence of best-of-n sampling from the policy it samples: `log n − (n − 1)/n`, in nats.

    An upper bound, reached where no two samples have the same score. Raises `ValueError` unless n ≥ 1.
    """
    check_number(n, "n", low=1)
    return math.log(n) - (n - 1) / n


def selection_curve(proxy: ArrayLike, gold: ArrayLike, sizes: Sequence[int]) -> list[SelectionPoint]:
    """How the true reward moves as selection by a proxy gets harder: the over-optimisation curve of best-of-n.

    With N samples a problem, sorted by proxy from the lowest (i = 1) to the highest (i = N), the expectation over all
    subsets of n of them is

        value(n) = Σ_i value_i · C(i − 1, n − 1) / C(N, n)

    for value = proxy and value = gold, then the mean over problems. Samples of one proxy score share the mean gold of
    their tie, so the order of columns doesn't matter. A sound reward's gold rises with n; one that is gamed peaks and
    falls. With gold as its own proxy and 0/1 values it is the unbiased pass@n.

    Args:
        proxy, gold: (problems, N) finite.
        sizes: values of n, each from 1 to N.

    Raises:
        ValueError: on shapes that differ or are empty, numbers that aren't finite, or a size out of range.

    Sunghwan Kim et al., "Evaluating Robustness of Reward Models for Mathematical Reasoning", arXiv 2410.01729, repository
    kimsh0507/RewardMATH_official; the expectation over subsets is that of Reiichiro Nakano et al., "WebGPT", arXiv
    2112.09332.
    """
    p, g = _matrix(proxy, "proxy"), _matrix(gold, "gold")
    if p.shape != g.shape:
        raise ValueError(f"gold: expected the shape of proxy, {p.shape}; got {g.shape}")
    total = p.shape[1]
    order = np.argsort(p, axis=1, kind="stable")
    p = np.take_along_axis(p, order, axis=1)
    g = np.stack([_share(*row) for row in zip(p, np.take_along_axis(g, order, axis=1), strict=True)])
    for n in sizes:
        if type(n) is not int or not 1 <= n <= total:
            raise ValueError(
                f"sizes: expected integers from 1 to {total}, the samples of a problem; got {n!r}"
            )
    return [_point(p, g, n) for n in sizes]


def _point(proxy: NDArray[np.float64], gold: NDArray[np.float64], n: int) -> SelectionPoint:
    total = proxy.shape[1]
    weight = np.array([math.comb(i, n - 1) / math.comb(total, n) for i in range(total)])
    return SelectionPoint(n, best_of_n_kl(n), float((proxy @ weight).mean()), float((gold @ weight).mean()))


def _share(proxy: NDArray[np.float64], gold: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gold with every tie of proxy at its mean."""
    _, tie, count = np.unique(proxy, return_inverse=True, return_counts=True)
    return (np.bincount(tie, weights=gold) / count)[tie]


def _matrix(values: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or not array.size:
        raise ValueError(f"{name}: expected (problems, samples), not empty; got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite values")
    return array
