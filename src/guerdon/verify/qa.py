"""Scoring of short answers against reference answers: exact match, cover match and token F1."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache, partial
from typing import Any, Literal, TypeAlias, get_args

from guerdon.core.checks import check_choice
from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Abstain, Score
from guerdon.core.tagged import first, last
from guerdon.verify.overlap import reference_texts

Articles: TypeAlias = Literal["drop", "keep"]
Punctuation: TypeAlias = Literal["delete", "space", "keep"]
Tokens: TypeAlias = Literal["multiset", "set"]
Metric: TypeAlias = Literal["em", "f1", "set_f1", "cover_em"]
Extract: TypeAlias = Literal["turn", "first", "last"]
Normalize: TypeAlias = Callable[[str], str]

CLOSED_ANSWERS = ("yes", "no", "noanswer")
"""Answers that HotpotQA's evaluation compares only as a whole."""

_ARTICLES, _PUNCTUATIONS, _TOKENS = get_args(Articles), get_args(Punctuation), get_args(Tokens)
_ARTICLE_WORD = re.compile(r"\b(?:a|an|the)\b", re.IGNORECASE)
_WITHOUT_PUNCTUATION = {
    "delete": str.maketrans("", "", string.punctuation),
    "space": str.maketrans(string.punctuation, " " * len(string.punctuation)),
}


def normalize_answer(
    text: str, *, lowercase: bool = True, punctuation: Punctuation = "delete", articles: Articles = "drop"
) -> str:
    """Text reduced to what matters in a short answer; the defaults are those of SQuAD.

    In this order: `lowercase`; `punctuation`, the 32 marks of ASCII, is deleted (`well-known` becomes
    `wellknown`), replaced by a space (two tokens) or kept; the English articles a, an, the are dropped as
    whole words, or kept; whitespace is collapsed to single spaces and stripped.

    Raises `TypeError` where `text` isn't text and `ValueError` for an unknown option.

    P. Rajpurkar, J. Zhang, K. Lopyrev, P. Liang, "SQuAD: 100,000+ questions for machine comprehension of
    text", arXiv 1606.05250.
    """
    if not isinstance(text, str):
        raise TypeError(f"text: expected text, got {type(text).__name__}")
    check_choice(punctuation, "punctuation", _PUNCTUATIONS)
    check_choice(articles, "articles", _ARTICLES)
    if lowercase:
        text = text.lower()
    if punctuation != "keep":
        text = text.translate(_WITHOUT_PUNCTUATION[punctuation])
    if articles == "drop":
        text = _ARTICLE_WORD.sub(" ", text)
    return " ".join(text.split())


def exact_match(
    prediction: str, aliases: str | Sequence[str], *, normalize: Normalize = normalize_answer
) -> bool:
    """Whether the normalised prediction equals any of the normalised aliases.

    `aliases`: a reference answer or several. · `normalize`: for other rules give
    `partial(normalize_answer, articles="keep")` or a hashable function of your own; what it makes of the aliases
    is remembered.
    """
    return normalize(prediction) in _normalized(_listed(aliases), normalize)


def cover_match(
    prediction: str,
    aliases: str | Sequence[str],
    *,
    whole_tokens: bool = True,
    normalize: Normalize = normalize_answer,
) -> bool:
    """Whether the normalised prediction contains any of the normalised aliases.

    `whole_tokens`: `no` isn't found in `know`. Set it to False for scripts without spaces, and to reproduce
    code that asks for a substring. An alias of which normalisation leaves nothing is never contained.
    """
    inside, edge = normalize(prediction), " " if whole_tokens else ""
    inside = f"{edge}{inside}{edge}"
    return any(
        alias and f"{edge}{alias}{edge}" in inside for alias in _normalized(_listed(aliases), normalize)
    )


def token_f1(
    prediction: str,
    aliases: str | Sequence[str],
    *,
    kind: Tokens = "multiset",
    closed: Collection[str] = (),
    normalize: Normalize = normalize_answer,
) -> float:
    """F1 of the tokens of a prediction and its best alias, in [0, 1].

        F1 = max_a 2 · |P ∩ A_a| / (|P| + |A_a|)        0 where the prediction or an alias has no token

    `P`, `A_a`: tokens of the normalised texts, split at whitespace, as a `multiset` (a repeated token counts
    as often as both sides have it) or a `set`. · `closed`: normalised answers that match only as a whole,
    such as `CLOSED_ANSWERS`: where either side is one of them and the two differ, that alias gives 0.

    Raises `ValueError` for an unknown `kind`.
    """
    check_choice(kind, "kind", _TOKENS)
    predicted = normalize(prediction)
    found = _count(predicted, kind)
    found_total = found.total()
    best = 0.0
    for alias in _normalized(_listed(aliases), normalize):
        if alias != predicted and (alias in closed or predicted in closed):
            continue
        wanted = _alias_tokens(alias, kind)
        common = sum(min(number, found[token]) for token, number in wanted.items() if token in found)
        if common:
            best = max(best, 2 * common / (found_total + wanted.total()))
    return best


def answer_aliases(reference: Any, normalize: Normalize = normalize_answer) -> list[str]:
    """Reference answers of a sample, a text or a list of texts, without those that can't be told from no answer.

    Raises `Abstain` where the reference is missing, isn't text, or normalisation leaves nothing of any.
    """
    texts = tuple(reference_texts(reference))
    aliases = [text for text, left in zip(texts, _normalized(texts, normalize), strict=True) if left]
    if not aliases:
        raise Abstain("reference: normalisation leaves nothing of it")
    return aliases


@register("qa", example="{reward: qa, metric: f1, extract: last}")
class QuestionAnswer(Reward):
    """Agreement of a short answer with its best reference answer, in [0, 1].

    `metric`:
    - `em`: 1 where they are equal, else 0, see `exact_match`.
    - `f1`, `set_f1`: F1 of the multisets or sets of tokens, see `token_f1`.
    - `cover_em`: 1 where the answer contains the reference, else 0, see `cover_match`. A long answer that
      names many candidates is paid too.

    `extract` says where the answer stands: in the whole last assistant `turn`, or in its `first` or `last`
    block of `tag`; where there is no such block the value is 0, with a note.

    `lowercase`, `punctuation`, `articles`: as in `normalize_answer`. · `whole_tokens`: of `cover_match`. ·
    `closed`: of `token_f1`.

    The reference is a text or a list of aliases. Abstains where it is missing, isn't text, or normalisation
    leaves nothing of it (a reference that is only an article: use `articles="keep"`). Raises `ValueError` for
    an unknown option.
    """

    uses_context = False

    def __init__(
        self,
        metric: Metric = "em",
        *,
        extract: Extract = "turn",
        tag: str = "answer",
        lowercase: bool = True,
        punctuation: Punctuation = "delete",
        articles: Articles = "drop",
        whole_tokens: bool = True,
        closed: Sequence[str] = (),
    ) -> None:
        check_choice(metric, "metric", get_args(Metric))
        check_choice(extract, "extract", get_args(Extract))
        if not tag:
            raise ValueError("tag: expected the name of a tag, got empty text")
        if isinstance(closed, str):
            raise ValueError(f"closed: expected a list of answers, got {closed!r}")
        self.name = "qa"
        self.metric: Metric = metric
        self.extract: Extract = extract
        self.tag, self.whole_tokens, self.closed = tag, whole_tokens, tuple(closed)
        self.lowercase, self.punctuation, self.articles = lowercase, punctuation, articles
        self._normalize = partial(
            normalize_answer, lowercase=lowercase, punctuation=punctuation, articles=articles
        )
        self._normalize("")  # a wrong option raises here rather than in every sample

    def score(self, sample: Chat, context: Context) -> float | Score:
        aliases = answer_aliases(sample.reference, self._normalize)
        text = sample.final
        if self.extract != "turn":
            block = (first if self.extract == "first" else last)(text, self.tag)
            if block is None:
                return Score(0.0, note=f"there is no <{self.tag}> block")
            text = block.inner(text)
        return self._compare(text, aliases)

    def _compare(self, text: str, aliases: Sequence[str]) -> float:
        if self.metric == "em":
            return float(exact_match(text, aliases, normalize=self._normalize))
        if self.metric == "cover_em":
            return float(
                cover_match(text, aliases, whole_tokens=self.whole_tokens, normalize=self._normalize)
            )
        kind: Tokens = "set" if self.metric == "set_f1" else "multiset"
        return token_f1(text, aliases, kind=kind, closed=self.closed, normalize=self._normalize)


def _listed(aliases: str | Sequence[str]) -> tuple[str, ...]:
    return (aliases,) if isinstance(aliases, str) else tuple(aliases)


# The completions of a group share their reference.
@lru_cache(maxsize=1024)
def _normalized(aliases: tuple[str, ...], normalize: Normalize) -> tuple[str, ...]:
    return tuple(map(normalize, aliases))


def _count(text: str, kind: Tokens) -> Counter[str]:
    tokens = text.split()
    return Counter(set(tokens) if kind == "set" else tokens)


_alias_tokens = lru_cache(maxsize=1024)(_count)
