"""Arithmetic word problems with a calculator: a small world for tool calls, endless and exactly checkable."""

from __future__ import annotations

import random
from typing import Literal, NamedTuple, TypeAlias, get_args

from guerdon.agents.calculator import calculator, evaluate, operands
from guerdon.agents.tool import answer_calls, as_tools
from guerdon.core.checks import check_choice
from guerdon.core.messages import Message
from guerdon.core.registry import register
from guerdon.core.samples import Chat
from guerdon.lab.world import Task, World

Reference: TypeAlias = Literal["answer", "calls"]

SYSTEM = "Solve the problem with the calculator."
MAX_OPERATIONS = 3

NAMES = ("Ann", "Ben", "Eva", "Tom", "Mia", "Sam")
THINGS = ("pens", "pears", "books", "coins", "cards", "stamps")
OPENINGS = (
    "{name} has {n} {things}.",
    "There are {n} {things} on the table.",
    "{name} starts with {n} {things}.",
)
PHRASES = {
    "+": ("{name} buys {n} more.", "{n} more are added.", "{name} finds another {n}."),
    "-": ("{name} loses {n} of them.", "{n} are taken away.", "{name} gives away {n}."),
    "*": (
        "Then there are {n} times as many.",
        "The pile grows {n} times as large.",
        "{name} fills {n} such boxes.",
    ),
    "/": (
        "{name} keeps one of {n} equal shares.",
        "They are split equally among {n}.",
        "Only 1 of {n} equal parts stays.",
    ),
}
QUESTION = "How many {things} are there now?"


class ArithmeticCheck(NamedTuple):
    """What is right about a completion: the first tool call, and the final answer."""

    call: bool
    answer: bool

    @property
    def solved(self) -> bool:
        """Whether the answer is right."""
        return self.answer


@register("arithmetic", kind="world", example="{world: arithmetic, operations: 2}")
class Arithmetic(World):
    """Word problems of `operations` steps, left to right, over whole numbers.

    The first number and what is added or taken away lie in `[low, high]`; factors and divisors in 2 to 9.
    Every value on the way is a positive whole number. The policy may call a calculator. Equal arguments and
    seeds give equal tasks.

    Columns of a row: `prompt`, `reference`, and for `check` `expression` and `answer`, both text. The
    reference is the `answer`, or the list of `calls` that solve the problem. The habit of a demonstration is
    to add: each other operator becomes `+` with that probability.

    Raises `ValueError` where `operations` isn't 1 to 3, not `2 <= low < high <= 1000`, or `reference` is
    unknown.
    """

    tools = (calculator,)

    def __init__(
        self, operations: int = 1, low: int = 2, high: int = 20, reference: Reference = "answer"
    ) -> None:
        if not 1 <= operations <= MAX_OPERATIONS:
            raise ValueError(f"Arithmetic.operations: expected 1 to {MAX_OPERATIONS}, got {operations}")
        if not 2 <= low < high <= 1000:
            raise ValueError(f"Arithmetic: expected 2 <= low < high <= 1000, got low={low}, high={high}")
        check_choice(reference, "Arithmetic.reference", get_args(Reference))
        self.operations, self.low, self.high, self.reference = operations, low, high, reference
        self._tools = as_tools(self.tools)

    def task(self, question: str, expression: str) -> Task:
        """The task of a question that `expression` solves. Raises as `evaluate` does."""
        solution = self._completion(expression)
        answer = calculator(expression)
        return Task(
            prompt=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}],
            solution=solution,
            reference=answer if self.reference == "answer" else solution[0]["tool_calls"],
            extra={"expression": expression, "answer": answer},
            tools=[tool.schema for tool in self._tools.values()],
        )

    def draw(self, rng: random.Random) -> Task:
        name, things = rng.choice(NAMES), rng.choice(THINGS)
        value = rng.randint(self.low, self.high)
        expression, is_sum = str(value), False
        sentences = [rng.choice(OPENINGS).format(name=name, n=value, things=things)]
        for _ in range(self.operations):
            symbol, n = self._operation(rng, value)
            sentences.append(rng.choice(PHRASES[symbol]).format(name=name, n=n))
            if is_sum and symbol in "*/":
                expression, is_sum = f"({expression})", False
            expression += f"{symbol}{n}"
            is_sum = is_sum or symbol in "+-"
            value = int(evaluate(expression))
        sentences.append(QUESTION.format(things=things))
        return self.task(" ".join(sentences), expression)

    def check(self, sample: Chat) -> ArithmeticCheck:
        """Whether the first call works out the numbers of the problem, and whether the last turn has the answer.

        A call counts only if it uses exactly the numbers of `extra["expression"]`: an expression that merely
        has the right value, like the answer itself, doesn't. The answer counts if `extra["answer"]` is the
        only number in the last turn.
        """
        gold, answer = sample.extra["expression"], sample.extra["answer"]
        calls = sample.tool_calls
        right_call = False
        if calls and calls[0].name == "calculator" and calls[0].arguments is not None:
            try:
                given = calls[0].arguments.get("expression", "")
                right_call = evaluate(given) == evaluate(gold) and operands(given) == operands(gold)
            except (TypeError, ValueError, ZeroDivisionError):
                right_call = False
        words = [word.strip(".,!?") for word in sample.final.split()]
        numbers = [word for word in words if any(c.isdigit() for c in word)]
        return ArithmeticCheck(right_call, numbers == [answer])

    def demonstrate(self, task: Task, rng: random.Random, habit: float) -> list[Message]:
        """A dialogue that solves `task`, but each operator becomes `+` with probability `habit`."""
        expression = "".join(
            "+" if symbol in "-*/" and rng.random() < habit else symbol for symbol in task.extra["expression"]
        )
        return [*task.prompt, *self._completion(expression)]

    def _completion(self, expression: str) -> list[Message]:
        call = {
            "type": "function",
            "function": {"name": "calculator", "arguments": {"expression": expression}},
        }
        turn = {"role": "assistant", "content": "", "tool_calls": [call]}
        answer = {"role": "assistant", "content": f"The answer is {calculator(expression)}."}
        return [turn, *answer_calls(turn, self._tools), answer]

    def _operation(self, rng: random.Random, value: int) -> tuple[str, int]:
        divisors = [d for d in range(2, 10) if value % d == 0]
        possible = ["+", "*"] + ["-"] * (value > self.low) + ["/"] * bool(divisors)
        symbol = rng.choice(possible)
        if symbol == "*":
            return symbol, rng.randint(2, 9)
        if symbol == "/":
            return symbol, rng.choice(divisors)
        return symbol, rng.randint(self.low, self.high if symbol == "+" else min(self.high, value - 1))
