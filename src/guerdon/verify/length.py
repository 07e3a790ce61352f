"""Rewards for the length of a completion."""

from __future__ import annotations

import math

from guerdon.core.checks import check_number
from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.verify.units import LengthUnit, TokenSource, check_unit, units_of


def length_band(length: float, low: float, high: float, margin: float) -> float:
    """1 inside [low, high], falling linearly to 0 over `margin` on both sides; see `Length`."""
    distance = max(low - length, length - high, 0.0)
    if not distance:
        return 1.0
    return max(0.0, 1.0 - distance / margin) if margin else 0.0


def overlong_penalty(length: float, maximum: float, buffer: float) -> float:
    """0 up to `maximum - buffer`, falling linearly to -1 at `maximum` and -1 beyond; see `Overlong`."""
    over = length - (maximum - buffer)
    if over <= 0:
        return 0.0
    return -1.0 if length > maximum else -over / buffer


class _LengthReward(Reward):
    uses_context = False

    def __init__(self, unit: LengthUnit, tokenizer: TokenSource) -> None:
        check_unit(unit)
        self.unit: LengthUnit = unit
        self.tokenizer = tokenizer

    def length(self, sample: Chat) -> int:
        return len(units_of(sample, self.unit, self.tokenizer))


@register("unit_count", example="{reward: unit_count, unit: words}")
class UnitCount(_LengthReward):
    """How long a completion is: a count of at least 0, meant as a part of other rewards.

    The length of all assistant turns in `unit` (`characters`, `words` or `tokens`, see `units_of`). Abstains where tokens
    are asked for and there is no source of tokens. Raises `ValueError` for an unknown unit.
    """

    name = "unit_count"

    def __init__(self, unit: LengthUnit = "words", tokenizer: TokenSource = None) -> None:
        super().__init__(unit, tokenizer)

    def score(self, sample: Chat, context: Context) -> float:
        return float(self.length(sample))


@register("length", example="{reward: length, low: 50, high: 200, margin: 50}")
class Length(_LengthReward):
    """How well the length of a completion fits a band, in [0, 1].

        R = max(0, 1 - d / margin)      d = max(low - L, L - high, 0)

    L: length of all assistant turns in `unit` (`characters`, `words` or `tokens`, see `units_of`). Without `low` or
    without `high` that side is open; at least one is needed. With `margin=0`, the default, R is 1 in the band and 0
    outside. `low=limit, margin=limit` is the ratio min(1, L / limit).

    An empty completion has length 0. Abstains where tokens are asked for and there is no source of tokens. Raises
    `ValueError` for a band that is empty, negative or open on both sides, a negative margin or an unknown unit.
    """

    name = "length"

    def __init__(
        self,
        low: float | None = None,
        high: float | None = None,
        margin: float = 0.0,
        unit: LengthUnit = "words",
        tokenizer: TokenSource = None,
    ) -> None:
        super().__init__(unit, tokenizer)
        if low is None and high is None:
            raise ValueError("length: expected low, high or both, got neither")
        self.low = 0.0 if low is None else low
        self.high = math.inf if high is None else high
        if not 0 <= self.low <= self.high:
            raise ValueError(f"length: expected 0 <= low <= high, got low={low}, high={high}")
        self.margin = check_number(margin, "margin", low=0.0)

    def score(self, sample: Chat, context: Context) -> float:
        return length_band(self.length(sample), self.low, self.high, self.margin)


@register("overlong", example="{reward: overlong, maximum: 2048, buffer: 256}")
class Overlong(_LengthReward):
    """Soft penalty for completions that come close to the length limit or pass it, in [-1, 0].

        R =  0                              L ≤ maximum - buffer
            (maximum - buffer - L) / buffer     maximum - buffer < L ≤ maximum
            -1                              L > maximum

    L: length of all assistant turns in `unit`, see `units_of`. `buffer=0` leaves only the step at `maximum`.
    Abstains where tokens are asked for and there is no source of tokens. Raises `ValueError` unless
    0 ≤ buffer ≤ maximum.

    Yu et al., "DAPO: An Open-Source LLM Reinforcement Learning System at Scale", eq. 13, arXiv 2503.14476,
    repository BytedTsinghua-SIA/DAPO.
    """

    name = "overlong"

    def __init__(
        self, maximum: float, buffer: float, unit: LengthUnit = "tokens", tokenizer: TokenSource = None
    ) -> None:
        super().__init__(unit, tokenizer)
        if not 0 <= buffer <= maximum < math.inf:
            raise ValueError(
                f"overlong: expected 0 <= buffer <= maximum, got buffer={buffer}, maximum={maximum}"
            )
        self.maximum, self.buffer = maximum, buffer

    def score(self, sample: Chat, context: Context) -> float:
        return overlong_penalty(self.length(sample), self.maximum, self.buffer)
