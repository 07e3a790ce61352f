"""A tool that asks other models, at a price."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from guerdon.agents.tool import PricedText, Tool, ToolError, tool
from guerdon.core.checks import check_number
from guerdon.core.messages import message_text
from guerdon.judges.chat import ChatModel, Usage, ask, check_sampling


class RoutedModel(NamedTuple):
    """A model that may be asked. Prices are per 1000 tokens, in the caller's unit: of what it writes, and of what it reads."""

    client: ChatModel
    price: float
    prompt_price: float = 0.0

    def cost(self, usage: Usage | None) -> float:
        """What a reply cost. Raises `ToolError` where the model has a price and its usage isn't known."""
        if not (self.price or self.prompt_price):
            return 0.0
        if usage is None:
            raise ToolError("the model replied without its number of tokens, so the reply can't be charged")
        return (self.price * usage.completion_tokens + self.prompt_price * usage.prompt_tokens) / 1000


def router_tool(
    models: Mapping[str, RoutedModel | tuple[ChatModel, float]], *, name: str = "ask_model", **sampling: Any
) -> Tool:
    """A tool with which a policy chooses a model and asks it.

        cost = (price · completion tokens + prompt_price · prompt tokens) / 1000

    `models`: by the name that the policy uses, a client and its price · `sampling`: how each reply is drawn, see
    `guerdon.judges.chat.Sampling`. The answer is a `PricedText`: its cost is in the `cost` of the tool message, and
    `spent` of a completion is what `RoutedAnswer` and `Cost` expect in `extra["cost"]`.

    Calling it raises `ModelError` where the model gives no reply, and `ToolError` where its cost isn't known. Raises
    `ValueError` for no models, a negative price or a sampling option out of range, `TypeError` for an unknown one.

    Haozhen Zhang, Tao Feng, Jiaxuan You, "Router-R1: Teaching LLMs Multi-Round Routing and Aggregation via
    Reinforcement Learning", arXiv 2506.09033, repository ulab-uiuc/Router-R1, where `prompt_price` is 0.
    """
    if not models:
        raise ValueError("models: expected at least one, got none")
    check_sampling(sampling)
    pool = {
        known: entry if isinstance(entry, RoutedModel) else RoutedModel(*entry)
        for known, entry in models.items()
    }
    for known, routed in pool.items():
        check_number(routed.price, f"models[{known!r}].price", low=0.0)
        check_number(routed.prompt_price, f"models[{known!r}].prompt_price", low=0.0)

    def ask_model(model: str, question: str) -> PricedText:
        routed = pool[model]
        reply = ask(routed.client, question, **sampling)
        return PricedText(message_text(reply.message), routed.cost(reply.usage))

    prices = ", ".join(f"{known} ({routed.price:g} per 1000 tokens)" for known, routed in pool.items())
    ask_model.__annotations__["model"] = Literal[tuple(pool)]
    ask_model.__doc__ = f"""Ask another model a question.

        Args:
            model: The model to ask, one of {prices}
            question: The question, with everything that is needed to answer it
        """
    return tool(ask_model, name=name)
