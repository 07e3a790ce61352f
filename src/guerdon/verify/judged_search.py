"""Reward for a search agent that judges after each retrieval whether what it got is useful."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from guerdon.core.checks import check_choice, check_number
from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Abstain, Score
from guerdon.core.tagged import blocks, count, last
from guerdon.verify.qa import answer_aliases, exact_match
from guerdon.verify.trajectory import trajectory

Usefulness: TypeAlias = Literal["substring", "similarity"]
Aggregate: TypeAlias = Literal["sum", "mean"]

_JUDGE = re.compile(r"<judge>(yes|no)</judge>", re.IGNORECASE)
_MOST_ANSWER_TAGS = 10


class Judgement(NamedTuple):
    """What was said of an information block: its number among them, its stripped text, and whether it was "Yes"."""

    block: int
    information: str
    yes: bool


class JudgedScore(NamedTuple):
    """`outcome` of the answer in {0, 0.25, 1}; `judgements`: one reward each."""

    outcome: float
    judgements: list[float]


def find_judgements(text: str) -> list[Judgement]:
    """Each `<information>` block with the first `<judge>` tag anywhere behind it.

    A judge tag holds exactly Yes or No, in any case; others are passed over. Blocks without a later judge tag,
    or with nothing in them, are left out; two blocks in a row share the judge tag behind them.
    """
    judges = list(_JUDGE.finditer(text))
    starts = [judge.start() for judge in judges]
    found = list[Judgement]()
    for number, block in enumerate(blocks(text, "information")):
        following = bisect_left(starts, block.end)
        information = block.inner(text).strip()
        if following < len(judges) and information:
            found.append(Judgement(number, information, judges[following][1].lower() == "yes"))
    return found


def substring_judge_reward(yes: bool, useful: bool, correct: bool) -> float:
    """Reward of one judgement where `useful` is whether the information contains a reference answer.

        Yes:  0.4 if correct, else 0.3 if useful, else −0.6
        No:   −0.3 if useful, else 0.4 if correct, else 0.3

    `correct`: whether the final answer is. A Yes before a correct answer is paid without looking at what it was
    said of.
    """
    if yes and not correct and not useful:
        return -0.6
    if not yes and useful:
        return -0.3
    return 0.4 if correct else 0.3


def similarity_judge_reward(
    yes: bool, similar: bool, correct: bool, *, p: float = 0.1, q: float = -0.05
) -> float:
    """Reward of one judgement where `similar` is whether a reranker finds the answer in the information.

    Yes:  p if correct, else q/2 if similar, else q
    No:   q if similar, else p/5
    """
    if yes:
        return p if correct else q / 2 if similar else q
    return q if similar else p / 5


def judged_search_score(
    text: str,
    aliases: str | Sequence[str],
    similarities: Sequence[float | None] | None = None,
    *,
    threshold: float = 0.5,
) -> JudgedScore:
    """Outcome and judgement rewards of a whole trajectory, as `JudgedSearch` explains them.

    `similarities`: of the first alias with each information block, in order, blocks that no judgement speaks of
    included; None where the reranker failed, which counts as 0. Without them usefulness is a substring.

    Raises `ValueError` where their number isn't that of the blocks, or one isn't finite.
    """
    golds = [aliases] if isinstance(aliases, str) else aliases
    similar = None if similarities is None else _similar(similarities, text, threshold)
    block = last(text, "answer")
    answer = "" if block is None else block.inner(text).strip()
    if not answer:
        return JudgedScore(0.0, [])
    correct = exact_match(answer, golds)
    outcome = 0.25 if max(count(text, "answer")) > _MOST_ANSWER_TAGS else 1.0
    rewards = list[float]()
    for judgement in find_judgements(text):
        if similar is None:
            information = judgement.information.lower()
            useful = any(gold.strip().lower() in information for gold in golds if gold.strip())
            rewards.append(substring_judge_reward(judgement.yes, useful, correct))
        else:
            rewards.append(similarity_judge_reward(judgement.yes, similar[judgement.block], correct))
    return JudgedScore(outcome if correct else 0.0, rewards)


@register("reseek", example="{reward: reseek, aggregate: mean}")
class JudgedSearch(Reward):
    """Exact match of the answer, plus a reward for each judgement of what a search brought.

        R = R_outcome + Σ_k R_judge,k          `aggregate="mean"`: the mean over k, 0 where there is none

    The trajectory is the text of all completion messages, tool results included, with blocks `search`,
    `information` (from the environment), `judge` (Yes or No) and `answer`. `R_outcome`: 1 where the last
    answer equals a reference after normalisation (`exact_match`), 0.25 if `<answer>` then opens or closes
    more than 10 times, else 0. Without an answer, or with an empty one, R = 0. Judgements are those of
    `find_judgements`.

    `usefulness` says how a judgement is checked:
    - `substring`: information is useful where it contains a reference, case ignored; see
      `substring_judge_reward`. A short reference such as "no" is found almost everywhere.
    - `similarity`: `extra[key]` holds the similarity of the first reference with each information block (None
      where it couldn't be found, which counts as 0); useful from `threshold` on; see `similarity_judge_reward`.

    The sum of the paper has no bound: on a trajectory with a correct answer every further search with a Yes
    adds 0.4. The mean is in [-0.6, 0.4].

    `Signal.parts`: `outcome` and `judgement`. The reference is a text or a list of texts. Abstains where it is
    missing or isn't text, or `extra[key]` is missing; a sample whose `extra[key]` isn't one number a block
    fails. Raises `ValueError` for an unknown option.

    Shiyu Li, Yang Tang, Yifan Wang, Peiming Li, Xi Chen, "ReSeek: A Self-Correcting Framework for Search Agents
    with Instructive Rewards", arXiv 2510.00568, repository TencentBAC/ReSeek.
    """

    uses_context = False

    def __init__(
        self,
        usefulness: Usefulness = "substring",
        *,
        aggregate: Aggregate = "sum",
        threshold: float = 0.5,
        key: str = "similarities",
    ) -> None:
        check_choice(usefulness, "usefulness", get_args(Usefulness))
        check_choice(aggregate, "aggregate", get_args(Aggregate))
        check_number(threshold, "threshold")
        self.name = "reseek"
        self.usefulness: Usefulness = usefulness
        self.aggregate: Aggregate = aggregate
        self.threshold, self.key = threshold, key

    def score(self, sample: Chat, context: Context) -> Score:
        aliases = answer_aliases(sample.reference)
        similarities = self._similarities(sample) if self.usefulness == "similarity" else None
        outcome, rewards = judged_search_score(
            trajectory(sample), aliases, similarities, threshold=self.threshold
        )
        judgement = math.fsum(rewards)
        if self.aggregate == "mean" and rewards:
            judgement /= len(rewards)
        return Score(outcome + judgement, parts={"outcome": outcome, "judgement": judgement})

    def _similarities(self, sample: Chat) -> Sequence[float | None]:
        found: Any = sample.extra.get(self.key)
        if found is None:
            raise Abstain(f"extra[{self.key!r}]: missing")
        if not isinstance(found, (list, tuple)):
            raise TypeError(f"extra[{self.key!r}]: expected a list of numbers, got {type(found).__name__}")
        return found


def _similar(similarities: Sequence[float | None], text: str, threshold: float) -> list[bool]:
    expected = len(blocks(text, "information"))
    if len(similarities) != expected:
        raise ValueError(
            f"similarities: expected {expected}, one an information block, got {len(similarities)}"
        )
    values = [0.0 if value is None else value for value in similarities]
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"similarities: expected finite numbers, got {similarities!r}")
    return [value >= threshold for value in values]
