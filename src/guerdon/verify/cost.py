"""What a completion cost."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from guerdon.core.checks import check_choice, check_number
from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Abstain
from guerdon.verify.units import TokenSource, units_of

Spent: TypeAlias = Literal["tool_calls", "tokens", "extra"]


@register("cost", example="{reward: cost, of: tool_calls, price: 0.1}")
class Cost(Reward):
    """Minus the price of what a completion used, at most 0.

        R = -price · count

    `of` says what is counted:
    - `tool_calls`: structured tool calls of all assistant turns; `price` is per call.
    - `tokens`: completion tokens, see `units_of`; `price` is per token.
    - `extra`: the number `extra[key]`, in the caller's own unit (dollars, seconds, …); `price` is per such unit.

    Abstains where the number is missing: no `extra[key]`, no source of tokens, or a completion given as plain text,
    in which tool calls can't be counted. A sample fails where `extra[key]` isn't a finite number of at least 0.
    Raises `ValueError` for an unknown `of`, or a price that isn't a finite number of at least 0.
    """

    name = "cost"
    uses_context = False

    def __init__(
        self, price: float = 1.0, of: Spent = "extra", key: str = "cost", tokenizer: TokenSource = None
    ) -> None:
        check_choice(of, "of", get_args(Spent))
        self.price, self.key, self.tokenizer = check_number(price, "price", low=0.0), key, tokenizer
        self.of: Spent = of

    def score(self, sample: Chat, context: Context) -> float:
        return 0.0 - self.price * self._count(sample)

    def _count(self, sample: Chat) -> float:
        if self.of == "tokens":
            return len(units_of(sample, "tokens", self.tokenizer))
        if self.of == "tool_calls":
            if isinstance(sample.completion, str):
                raise Abstain("cost of tool calls: the completion is plain text, expected messages")
            return len(sample.tool_calls)
        value = sample.extra.get(self.key)
        if value is None:
            raise Abstain(f"extra[{self.key!r}]: missing")
        return check_number(value, f"extra[{self.key!r}]", low=0.0)
