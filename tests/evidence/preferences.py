"""How far rewards order answers as people did: agreement on pairs and rank correlation, with bootstrap intervals."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from guerdon import Chat, Reward
from guerdon.verify import Bleu, BleuRouge, Chrf, Length, QuestionAnswer, Repetition, Rouge

from .verdicts import rows

Scores = NDArray[np.float64]
"""(questions, answers)."""

ANSWERS = ("prediction 1", "prediction 2", "prediction 3", "prediction 4")
LONGEST = 512  # words; no answer here has as many, so `min(1, L/LONGEST)` orders them by length

WITHOUT_REFERENCE: dict[str, Reward] = {
    "length": Length(low=LONGEST, margin=LONGEST),
    "repetition": Repetition(),
}
REWARDS: dict[str, Reward] = {
    "qa, em": QuestionAnswer("em"),
    "qa, cover_em": QuestionAnswer("cover_em"),
    "qa, f1": QuestionAnswer("f1"),
    "qa, set_f1": QuestionAnswer("set_f1"),
    "rouge, rouge1": Rouge("rouge1"),
    "rouge, rouge2": Rouge("rouge2"),
    "rouge, rougeL": Rouge("rougeL"),
    "bleu": Bleu(),
    "bleu_rouge": BleuRouge(),
    "chrf": Chrf(),
    "chrf, word_order 2": Chrf(word_order=2),
    **WITHOUT_REFERENCE,
}


class Questions(NamedTuple):
    """Answers to each question with a reference, and who won each pair: +1 the first, -1 the second, 0 neither."""

    answers: list[list[str]]
    references: list[str]
    pairs: list[tuple[int, int]]
    winners: NDArray[np.int64]

    def restricted(self, answers: set[int]) -> Questions:
        """The same with only the pairs among these answers."""
        kept = [k for k, pair in enumerate(self.pairs) if answers.issuperset(pair)]
        return self._replace(pairs=[self.pairs[k] for k in kept], winners=self.winners[:, kept])


class Estimate(NamedTuple):
    """A mean over questions and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def qa_feedback(folder: Path, reference: str = "gold") -> Questions:
    """Four sampled answers a question. `reference`: `gold`, or `corrected`, a person's correction of the first.

    Without a correction there is no reference, so those questions are left out.
    """
    records = [row for row in rows(folder / "qa_feedback.jsonl.gz") if _reference(row, reference)]
    sign = np.array([0, 1, -1])
    return Questions(
        [[row[name] for name in ANSWERS] for row in records],
        [_reference(row, reference) for row in records],
        list(combinations(range(4), 2)),
        sign[np.array([row["preference"] for row in records])],
    )


def corrections(folder: Path) -> Questions:
    """A person's correction of the first answer beside that answer, where they differ; the reference is the gold answer."""
    pairs = [
        ([row["feedback"]["corrected-prediction"], row["prediction 1"]], row["gold"])
        for row in rows(folder / "qa_feedback.jsonl.gz")
    ]
    kept = [(pair, gold) for pair, gold in pairs if pair[0].strip() not in ("", pair[1].strip())]
    return _first_wins(*map(list, zip(*kept, strict=True)))


def replies(folder: Path) -> Questions:
    """The last reply of the chosen and of the rejected dialogue."""
    pairs = [
        [row[side].rpartition("\n\nAssistant:")[2].strip() for side in ("chosen", "rejected")]
        for row in rows(folder / "hh_harmless_pairs.jsonl.gz")
    ]
    return _first_wins(pairs, [""] * len(pairs))


def summaries(folder: Path) -> Questions:
    """The preferred summary of product reviews and the other one."""
    pairs = list[list[str]]()
    for row in rows(folder / "opinpref_train.jsonl.gz"):
        texts = [row["summary-pairs"][f"summary-{side}"]["summary-text"] for side in ("one", "two")]
        pairs.append(texts if row["preference-data"] == 1 else texts[::-1])
    return _first_wins(pairs, [""] * len(pairs))


def scores(reward: Reward, questions: Questions) -> Scores:
    """The reward of every answer; `ValueError` where one has none."""
    samples = [
        Chat("", text, reference=reference)
        for answers, reference in zip(questions.answers, questions.references, strict=True)
        for text in answers
    ]
    signal = reward(samples)
    if not signal.ok.all():
        raise ValueError(f"{reward.name}: {signal.reasons}")
    return signal.outcome.reshape(len(questions.answers), -1)


def earlier_first(questions: Questions) -> Scores:
    """What a rule says that looks only at the place of an answer in the record."""
    return -np.tile(np.arange(len(questions.answers[0]), dtype=np.float64), (len(questions.answers), 1))


def agreement(found: Scores, questions: Questions, *, place_neutral: bool = False) -> Estimate:
    """Share of the pairs with a winner that the scores order alike; equal scores count ½.

    `place_neutral`: the mean of that share over the pairs won by the earlier answer and over those won by the later
    one, so that the place of an answer in the record can't earn more than ½. The bootstrap draws questions, since
    pairs of one question depend on each other.
    """
    first, second = np.array(questions.pairs).T
    order = np.sign(found[:, first] - found[:, second])
    alike = (order == questions.winners) + 0.5 * (order == 0)
    weight = np.abs(questions.winners).astype(np.float64)
    if place_neutral:
        for winner in (1, -1):
            weight[questions.winners == winner] /= (questions.winners == winner).sum()
    return _bootstrap((alike * weight).sum(axis=1), weight.sum(axis=1))


def rank_correlation(found: Scores, questions: Questions) -> Estimate:
    """Mean over questions of Kendall's τ-b between scores and number of pairs won, where neither winning counts ½.

    Questions without any winner are left out; one whose scores are all equal says nothing of order and counts 0.
    """
    won = np.zeros_like(found)
    for k, (first, second) in enumerate(questions.pairs):
        won[:, first] += (1 + questions.winners[:, k]) / 2
        won[:, second] += (1 - questions.winners[:, k]) / 2
    taus = [
        stats.kendalltau(a, b).statistic if np.ptp(a) > 0 else 0.0
        for a, b in zip(found, won, strict=True)
        if np.ptp(b) > 0
    ]
    return _bootstrap(np.array(taus), np.ones(len(taus)))


def _bootstrap(numerators: Scores, denominators: Scores) -> Estimate:
    def ratio(a: Scores, b: Scores, axis: int = -1) -> Scores:
        return a.sum(axis=axis) / b.sum(axis=axis)

    found = stats.bootstrap(
        (numerators, denominators),
        ratio,
        paired=True,
        vectorized=True,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Estimate(float(ratio(numerators, denominators)), float(found.low), float(found.high))


def _reference(row: dict[str, Any], reference: str) -> str:
    text = row["gold"] if reference == "gold" else row["feedback"]["corrected-prediction"]
    return text.strip()


def _first_wins(answers: list[list[str]], references: list[str]) -> Questions:
    return Questions(answers, references, [(0, 1)], np.ones((len(answers), 1), dtype=np.int64))
