"""Penalty for repeated n-grams."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.verify.units import LengthUnit, TokenSource, check_unit, units_of


def repeated_share(tokens: Sequence[Hashable], ngram_size: int) -> float:
    """Share of n-grams that occurred before: 1 - unique / total, in [0, 1); 0 where there is no n-gram."""
    total = len(tokens) - ngram_size + 1
    if total <= 0:
        return 0.0
    return 1 - len(set(zip(*(tokens[i:] for i in range(ngram_size)), strict=False))) / total


@register("repetition", example="{reward: repetition, ngram_size: 4, max_penalty: -0.5}")
class Repetition(Reward):
    """Penalty in proportion to the share of repeated n-grams, in (max_penalty, 0].

        R = max_penalty · (1 - unique / total)      unique, total: numbers of n-grams of size `ngram_size`

    n-grams are taken over `unit` (see `units_of`): `words` in lower case, `characters`, or `tokens` as in the paper.
    A completion shorter than `ngram_size` scores 0. Abstains where tokens are asked for and there is no source of
    tokens. Raises `ValueError` unless ngram_size ≥ 1 and max_penalty ≤ 0.

    Yeo, Tong, Niu, Neubig, Yue, "Demystifying Long Chain-of-Thought Reasoning in LLMs", appendix C.2,
    arXiv 2502.03373; `get_repetition_penalty_reward` of repository huggingface/trl gives the same on token ids.
    """

    name = "repetition"
    uses_context = False

    def __init__(
        self,
        ngram_size: int = 3,
        max_penalty: float = -1.0,
        unit: LengthUnit = "words",
        tokenizer: TokenSource = None,
    ) -> None:
        check_unit(unit)
        if ngram_size < 1:
            raise ValueError(f"ngram_size: expected at least 1, got {ngram_size}")
        if not -math.inf < max_penalty <= 0:
            raise ValueError(f"max_penalty: expected a finite number of at most 0, got {max_penalty}")
        self.ngram_size, self.max_penalty = ngram_size, max_penalty
        self.unit: LengthUnit = unit
        self.tokenizer = tokenizer

    def score(self, sample: Chat, context: Context) -> float:
        tokens = units_of(sample, self.unit, self.tokenizer)
        if self.unit == "words":
            tokens = [str(word).lower() for word in tokens]
        return 0.0 + self.max_penalty * repeated_share(tokens, self.ngram_size)
