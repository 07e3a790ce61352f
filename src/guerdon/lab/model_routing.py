"""Questions that only experts can answer, each expert with its price and with topics that it knows well."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from guerdon.agents.tool import PricedText, answer_calls, as_tools, spent
from guerdon.core.checks import check_number
from guerdon.core.messages import Message
from guerdon.core.registry import register
from guerdon.core.samples import Chat
from guerdon.core.tagged import last
from guerdon.lab.world import Task, World
from guerdon.verify.qa import exact_match
from guerdon.verify.routing_format import ROUTER_R1_POOL

SYSTEM = "<think>Think</think>, ask an expert, then write <answer>year</answer>. Prices: {prices}."
EXPERTS = tuple(family for family, sizes in ROUTER_R1_POOL.items() if not sizes)
"""Names that `router_r1` knows without options. What they know and cost here is made up."""
TOPICS: Mapping[str, str] = {
    "music": "In which year was symphony no. {n} first played?",
    "law": "In which year was decree no. {n} signed?",
    "space": "In which year was comet no. {n} first seen?",
    "rail": "In which year was station no. {n} opened?",
}
SPECIALIST = 0.9
LEAST, MOST = 0.2, 0.7
YEARS = range(1000, 2000)


class ModelRoutingCheck(NamedTuple):
    """`solved`: whether the answer is right · `asked`: the experts that were called, in order."""

    solved: bool
    asked: tuple[str, ...]


@register("model_routing", kind="world", example="{world: model_routing, experts: 4, price_spread: 20}")
class ModelRouting(World):
    """Questions of four topics, of which the policy can know nothing, and experts that are tools with a price.

        price(i)        = price_spread^(i / (E − 1))                     from 1, the cheapest, up to price_spread
        accuracy(i, t)  = 0.9                     where i mod 4 is the number of the topic t
                          0.2 + 0.5 · i / (E − 1) else

    for the experts i in [0, E). So a cheap specialist beats a dear generalist on its topic and nowhere else.

    `experts` E (2 to 7): with fewer than four, some topic has no specialist. · `price_spread` (1 to 1000): price
    of the dearest against the cheapest; with 1 all cost 1. An expert answers a question always in the same way,
    so asking again doesn't help. The solution asks the cheapest expert that is right on that question; questions
    on which all are wrong aren't posed.

    The reference is the answer. What an expert says comes as `<search>name: question</search>` and
    `<information>`, so that `router_r1` and `routing_format` read a sample as it is; `measured` adds its cost.
    Equal arguments and seeds give equal tasks. Raises `ValueError` for a setting out of its range. Needs
    `guerdon[agents]`.

    Haozhen Zhang, Tao Feng, Jiaxuan You, "Router-R1: Teaching LLMs Multi-Round Routing and Aggregation via
    Reinforcement Learning", arXiv 2506.09033, repository ulab-uiuc/Router-R1: the setting, in miniature.
    """

    def __init__(self, experts: int = 4, price_spread: float = 10.0) -> None:
        if not 2 <= experts <= len(EXPERTS):
            raise ValueError(f"ModelRouting.experts: expected 2 to {len(EXPERTS)}, got {experts!r}")
        check_number(price_spread, "ModelRouting.price_spread", 1.0, 1000.0)
        self.experts = EXPERTS[:experts]
        self.price_spread = float(price_spread)
        self.tools = tuple(map(self._expert_tool, self.experts))
        self._by_name = as_tools(self.tools)

    def price(self, expert: str) -> float:
        """What a question to that expert costs. Raises `ValueError` for an unknown one."""
        return round(self.price_spread ** self._rank(expert), 4)

    def accuracy(self, expert: str, topic: str) -> float:
        """The probability that the expert is right on a question of that topic, in [0, 1].

        Raises `ValueError` for an unknown expert or topic.
        """
        rank = self._rank(expert)
        if list(TOPICS).index(topic) == self.experts.index(expert) % len(TOPICS):
            return SPECIALIST
        return LEAST + (MOST - LEAST) * rank

    def ask(self, expert: str, question: str) -> str:
        """What an expert answers: a year, or that it doesn't understand. Equal questions get equal answers."""
        topic = topic_of(question)
        if topic is None:
            return "I don't understand the question."
        rng = random.Random(f"{expert} {question}")
        right = answer_to(question)
        if rng.random() < self.accuracy(expert, topic):
            return right
        return str(rng.choice([year for year in YEARS if str(year) != right]))

    def draw(self, rng: random.Random) -> Task:
        while True:
            topic = rng.choice(list(TOPICS))
            question = TOPICS[topic].format(n=rng.randint(1, 9999))
            answer = answer_to(question)
            expert = next((name for name in self.experts if self.ask(name, question) == answer), None)
            if expert is not None:
                break
        prices = ", ".join(f"{name} {self.price(name):.2f}" for name in self.experts)
        return Task(
            prompt=[
                {"role": "system", "content": SYSTEM.format(prices=prices)},
                {"role": "user", "content": question},
            ],
            solution=self._dialogue(expert, question),
            reference=answer,
            extra={"answer": answer, "question": question, "topic": topic},
            tools=[one.schema for one in self._by_name.values()],
        )

    def check(self, sample: Chat) -> ModelRoutingCheck:
        """Whether the last `<answer>` of the last turn is `extra["answer"]`. Raises `KeyError` where it is missing."""
        wanted, block = sample.extra["answer"], last(sample.final, "answer")
        asked = tuple(call.name for call in sample.tool_calls if call.name in self.experts)
        return ModelRoutingCheck(block is not None and exact_match(block.inner(sample.final), wanted), asked)

    def measured(self, sample: Chat) -> Chat:
        """The sample with what its calls cost in `extra["cost"]`, where `router_r1` and `cost` look for it."""
        return replace(sample, extra={**sample.extra, "cost": spent(sample.completion_messages)})

    def demonstrate(self, task: Task, rng: random.Random, habit: float) -> list[Message]:
        """The solution, or with probability `habit` the same dialogue with any expert, who is believed."""
        lapse = rng.random() < habit
        if not lapse:
            return [*task.prompt, *task.solution]
        return [*task.prompt, *self._dialogue(rng.choice(self.experts), task.extra["question"])]

    def _dialogue(self, expert: str, question: str) -> list[Message]:
        call = {"type": "function", "function": {"name": expert, "arguments": {"question": question}}}
        turn = {"role": "assistant", "content": "<think>An expert knows.</think>", "tool_calls": [call]}
        text = f"<think>I trust it.</think>\n<answer>{self.ask(expert, question)}</answer>"
        return [turn, *answer_calls(turn, self._by_name), {"role": "assistant", "content": text}]

    def _expert_tool(self, expert: str) -> Callable[[str], str]:
        price = self.price(expert)

        def ask(question: str) -> str:
            """Ask this expert.

            Args:
                question: The question, word for word
            """
            said = self.ask(expert, question)
            text = f"<search>{expert}: {question}</search>\n<information>{said}</information>"
            return PricedText(text, price)

        ask.__name__ = expert
        return ask

    def _rank(self, expert: str) -> float:
        if expert not in self.experts:
            raise ValueError(f"expert: expected one of {', '.join(self.experts)}, got {expert!r}")
        return self.experts.index(expert) / (len(self.experts) - 1)


def topic_of(question: str) -> str | None:
    """The topic of a question of this world, or None for any other text."""
    for topic, template in TOPICS.items():
        before, after = template.split("{n}")
        if re.fullmatch(f"{re.escape(before)}[1-9][0-9]{{0,3}}{re.escape(after)}", question):
            return topic
    return None


def answer_to(question: str) -> str:
    """The right answer, a year: the same for equal questions, and in every process."""
    return str(random.Random(question).choice(YEARS))
