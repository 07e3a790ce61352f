"""Which of several samples to answer with: by reward, by vote, and by votes that rewards weigh.

Where nothing decides, the sample that was drawn first is taken. A score of NaN is that of a sample which couldn't be
scored, such as the outcome of a Signal where a reward abstained or failed: it is never chosen and never votes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeAlias, TypeVar, get_args

import numpy as np
from numpy.typing import ArrayLike

from guerdon.core.checks import check_choice, check_count
from guerdon.steer.inputs import as_vector

Answer = TypeVar("Answer", bound=Hashable)
Judged = TypeVar("Judged")
Weighting: TypeAlias = Literal["sigmoid", "identity"]


@dataclass(frozen=True, slots=True)
class Vote(Generic[Answer]):
    """The outcome of a vote.

    `index`: the first sample that votes for the winner · `answer`: as it is written there · `totals`: what each
    different answer got, in the order of their first votes.
    """

    index: int
    answer: Answer
    totals: dict[Answer, float]


def top_k(scores: ArrayLike, k: int) -> list[int]:
    """Indices of the k highest scores, best first; the lower index first on a tie.

    Fewer where fewer aren't NaN. To choose among some only, such as the samples that give the right answer, set the
    scores of the others to NaN. Raises `ValueError` unless scores are (n,) numbers and k ≥ 1.
    """
    values = as_vector(scores, "scores")
    check_count(k, "k")
    order = np.argsort(-values, kind="stable")
    return [int(i) for i in order[:k] if not np.isnan(values[i])]


def best_of_n(
    scores: ArrayLike,
    answers: Sequence[Answer | None] | None = None,
    *,
    equal: Callable[[Answer, Answer], bool] | None = None,
) -> int:
    """Index of the sample of the highest score.

    A tie goes to the first sample; with `answers`, to the answer that most of the tied samples give, and there to the
    first. `answers` and `equal` are those of `majority_vote`.

    Raises `ValueError` where scores aren't (n,) numbers, all are NaN, or there are not as many answers.

    Sunghwan Kim et al., "Evaluating Robustness of Reward Models for Mathematical Reasoning", arXiv 2410.01729, repository
    kimsh0507/RewardMATH_official, for the vote.
    """
    values = as_vector(scores, "scores")
    if np.isnan(values).all():
        raise ValueError(f"scores: expected at least one that isn't NaN, got {values.size} scores")
    tied: list[int] = np.flatnonzero(values == np.nanmax(values)).tolist()
    if answers is None or len(tied) == 1:
        return tied[0]
    _check_length(answers, "answers", values.size)
    vote = majority_vote([answers[i] for i in tied], equal=equal)
    return tied[0 if vote is None else vote.index]


def majority_vote(
    answers: Sequence[Answer | None],
    weights: ArrayLike | None = None,
    *,
    equal: Callable[[Answer, Answer], bool] | None = None,
) -> Vote[Answer] | None:
    """The answer with the largest total weight: self-consistency.

        total(a) = Σ_{i: answer_i = a} weight_i,    winner = argmax_a total(a)

    The answer that is given first wins a tie.

    Args:
        answers: final answers in the order in which they were drawn; None where there is none: it doesn't vote.
        weights: (n,) ≥ 0, by default 1 each; NaN is no vote.
        equal: whether two answers are one; by default `==`. An answer joins the first set whose first member it equals.

    Returns:
        None where nobody votes.

    Raises:
        ValueError: where weights are negative, infinite, or not as many as answers; and what `equal` raises.

    Xuezhi Wang et al., "Self-Consistency Improves Chain of Thought Reasoning in Language Models", arXiv 2203.11171.
    """
    w = np.ones(len(answers)) if weights is None else as_vector(weights, "weights")
    _check_length(answers, "answers", w.size)
    if (w < 0).any() or np.isinf(w).any():
        raise ValueError("weights: expected finite weights of at least 0, or NaN for no vote")
    totals, first = dict[Answer, float](), dict[Answer, int]()
    for i, answer in enumerate(answers):
        if answer is None or np.isnan(w[i]):
            continue
        written = answer if equal is None else next((a for a in totals if equal(answer, a)), answer)
        totals[written] = totals.get(written, 0.0) + float(w[i])
        first.setdefault(written, i)
    if not totals:
        return None
    winner = max(totals, key=totals.__getitem__)
    return Vote(first[winner], winner, totals)


def weighted_vote(
    answers: Sequence[Answer | None],
    rewards: ArrayLike,
    *,
    weighting: Weighting = "sigmoid",
    equal: Callable[[Answer, Answer], bool] | None = None,
) -> Vote[Answer] | None:
    """The majority vote in which a sample counts for what a reward model gives it.

        weight_i = σ(reward_i)  or  reward_i,    then `majority_vote`

    `weighting`: `sigmoid` for rewards on the scale of logits; `identity` for values and probabilities, which must be at
    least 0. Unlike the choice of a rule for `best_of_n`, the scale of rewards matters here.

    Arguments, result and errors are else those of `majority_vote`.

    Lifan Yuan et al., "Free Process Rewards without Process Labels", arXiv 2412.01981, repository
    PRIME-RL/ImplicitPRM; `identity` over the values of a tree is the voting of Dan Zhang et al., "ReST-MCTS*", arXiv
    2406.03816.
    """
    from scipy.special import expit

    check_choice(weighting, "weighting", get_args(Weighting))
    r = as_vector(rewards, "rewards")
    return majority_vote(answers, expit(r) if weighting == "sigmoid" else r, equal=equal)


def rm_at_k(scores: ArrayLike, correct: Sequence[Judged], k: int) -> Judged:
    """RM@k: the correctness of the best of the first k samples, `correct[best_of_n(scores[:k])]`.

    Raises `ValueError` where lengths differ, there are fewer than k samples, or none of the k has a score.

    An Yang et al., "Qwen2.5-Math Technical Report: Toward Mathematical Expert Model via Self-Improvement", arXiv
    2409.12122, repository QwenLM/Qwen2.5-Math.
    """
    values = as_vector(scores, "scores")
    _check_length(correct, "correct", values.size)
    check_count(k, "k", high=values.size)
    return correct[best_of_n(values[:k])]


def maj_at_k(
    answers: Sequence[Answer | None],
    correct: Sequence[Judged],
    k: int,
    *,
    equal: Callable[[Answer, Answer], bool] | None = None,
) -> Judged:
    """Maj@k: the correctness of the first sample that gives the most frequent answer of the first k samples.

    `answers` and `equal` are those of `majority_vote`: the repository compares written answers as they stand, which is
    the default. Where no sample has an answer, it is that of the first sample.

    Raises `ValueError` where lengths differ or there are fewer than k samples.

    An Yang et al., "Qwen2.5-Math Technical Report: Toward Mathematical Expert Model via Self-Improvement", arXiv
    2409.12122, repository QwenLM/Qwen2.5-Math.
    """
    _check_length(correct, "correct", len(answers))
    check_count(k, "k", high=len(answers))
    vote = majority_vote(answers[:k], equal=equal)
    return correct[0 if vote is None else vote.index]


def _check_length(values: Sequence[object], name: str, length: int) -> None:
    if len(values) != length:
        raise ValueError(f"{name}: expected {length}, one a sample; got {len(values)}")
