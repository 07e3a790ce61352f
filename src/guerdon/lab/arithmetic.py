"""Arithmetic word problems with a calculator: a small world for tool calls, endless and exactly checkable."""

from __future__ import annotations

import ast
import operator
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from guerdon.core.messages import Message, as_messages, tool_calls_of
from guerdon.core.registry import register
from guerdon.core.samples import Chat

Reference: TypeAlias = Literal["answer", "calls"]

SYSTEM = "Solve the problem with the calculator."
MAX_EXPRESSION = 100
MAX_VALUE = 10**12
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

OPERATORS: Mapping[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def evaluate(expression: str) -> Fraction:
    """The exact value of an expression of whole or decimal numbers, `+ - * /` and parentheses.

    Raises `TypeError` where `expression` isn't text, `ZeroDivisionError` on division by zero, and
    `ValueError` where it is longer than `MAX_EXPRESSION` characters, holds anything else, or passes
    `MAX_VALUE` in size on the way.
    """
    return _value(_parse(expression))


def calculator(expression: str) -> str:
    """Work out an arithmetic expression.

    Args:
        expression: Numbers with + - * / and parentheses

    Returns:
        The value
    """
    value = evaluate(expression)
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.6g}"


CALCULATOR: Mapping[str, Any] = {
    "type": "function",
    "function": {
        "name": "calculator",
        "description": "Work out an arithmetic expression.",
        "parameters": {
            "type": "object",
            "properties": {
                "expression": {"type": "string", "description": "Numbers with + - * / and parentheses"}
            },
            "required": ["expression"],
        },
    },
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A question, the expression that solves it and its value."""

    question: str
    expression: str
    answer: int

    @property
    def prompt(self) -> list[Message]:
        """System and user message."""
        return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": self.question}]

    @property
    def tool_call(self) -> Message:
        """The call that solves it, in the OpenAI form."""
        return {
            "type": "function",
            "function": {"name": "calculator", "arguments": {"expression": self.expression}},
        }

    def row(self, reference: Reference = "answer") -> dict[str, Any]:
        """One row of a training set: `prompt`, `reference`, and `expression` and `answer` for `check`.

        The reference is the answer as text, or the list of `calls` that solve the problem.
        """
        return {
            "prompt": self.prompt,
            "reference": str(self.answer) if reference == "answer" else [self.tool_call],
            "expression": self.expression,
            "answer": str(self.answer),
        }

    def chat(self, completion: str | Sequence[Message], reference: Reference = "answer") -> Chat:
        """A sample of this problem, with the columns of `row` and the tools in `extra`."""
        row = self.row(reference)
        prompt, wanted = row.pop("prompt"), row.pop("reference")
        return Chat(prompt, completion, reference=wanted, extra={**row, "tools": [CALCULATOR]})


class Check(NamedTuple):
    """What is right about a completion: the first tool call, and the final answer."""

    call: bool
    answer: bool


def check(sample: Chat) -> Check:
    """Whether the first call works out the numbers of the problem, and whether the last turn has the answer.

    A call counts only if it uses exactly the numbers of `extra["expression"]`: an expression that merely has
    the right value, like the answer itself, doesn't. The answer counts if `extra["answer"]` is the only
    number in the last turn. Raises `KeyError` where `extra` lacks one of them.
    """
    gold, answer = sample.extra["expression"], sample.extra["answer"]
    calls = sample.tool_calls
    right_call = False
    if calls and calls[0].name == "calculator" and calls[0].arguments is not None:
        try:
            given = calls[0].arguments.get("expression", "")
            right_call = _numbers(given) == _numbers(gold) and evaluate(given) == evaluate(gold)
        except (TypeError, ValueError, ZeroDivisionError):
            right_call = False
    words = [word.strip(".,!?") for word in sample.final.split()]
    numbers = [word for word in words if any(c.isdigit() for c in word)]
    return Check(right_call, numbers == [answer])


@register("arithmetic", kind="world", example="{world: arithmetic, operations: 2}")
class Arithmetic:
    """Word problems of `operations` steps, left to right, over whole numbers.

    The first number and what is added or taken away lie in `[low, high]`; factors and divisors in 2 to 9.
    Every value on the way is a positive whole number. Equal arguments and seeds give equal problems.

    Raises `ValueError` where `operations` isn't 1 to 3 or not `2 <= low < high <= 1000`.
    """

    tools: Sequence[Callable[..., Any]] = (calculator,)

    def __init__(self, operations: int = 1, low: int = 2, high: int = 20) -> None:
        if not 1 <= operations <= MAX_OPERATIONS:
            raise ValueError(f"Arithmetic.operations: expected 1 to {MAX_OPERATIONS}, got {operations}")
        if not 2 <= low < high <= 1000:
            raise ValueError(f"Arithmetic: expected 2 <= low < high <= 1000, got low={low}, high={high}")
        self.operations, self.low, self.high = operations, low, high

    def problems(self, n: int, seed: int = 0) -> list[Problem]:
        """The first n problems of that seed."""
        rng = random.Random(seed)
        return [self._problem(rng) for _ in range(n)]

    def rows(self, n: int, seed: int = 0, reference: Reference = "answer") -> list[dict[str, Any]]:
        """The first n problems of that seed as rows of a training set."""
        return [problem.row(reference) for problem in self.problems(n, seed)]

    def make_policy(self, path: str | Path, *, seed: int = 0) -> Path:
        """A checkpoint at `path` that knows the format of this world but is often wrong, see `lab.make_policy`."""
        from guerdon.lab.policy import make_policy

        return make_policy(path, world=self, seed=seed)

    def _problem(self, rng: random.Random) -> Problem:
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
        return Problem(" ".join(sentences), expression, value)

    def _operation(self, rng: random.Random, value: int) -> tuple[str, int]:
        divisors = [d for d in range(2, 10) if value % d == 0]
        possible = ["+", "*"] + ["-"] * (value > self.low) + ["/"] * bool(divisors)
        symbol = rng.choice(possible)
        if symbol == "*":
            return symbol, rng.randint(2, 9)
        if symbol == "/":
            return symbol, rng.choice(divisors)
        return symbol, rng.randint(self.low, self.high if symbol == "+" else min(self.high, value - 1))


class ArithmeticEnv:
    """One problem at a time as an interaction, with the `reset` and `step` of Gymnasium.

    An observation is the list of new messages: the prompt after `reset`, the tool results after a turn that
    calls tools. An action is an assistant message, or its text. A turn without tool calls ends the episode
    with reward 1 where its answer is right and 0 otherwise; `max_turns` turns without an answer truncate it
    with reward 0.
    """

    def __init__(self, world: Arithmetic | None = None, max_turns: int = 4) -> None:
        if max_turns < 1:
            raise ValueError(f"ArithmeticEnv.max_turns: expected at least 1, got {max_turns}")
        self.world = world or Arithmetic()
        self.max_turns = max_turns
        self._rng = random.Random(0)
        self._problem: Problem | None = None
        self._completion: list[Message] = []
        self._done = True

    def reset(self, *, seed: int | None = None) -> tuple[list[Message], dict[str, Any]]:
        """Start the next problem. A seed restarts the sequence of problems."""
        if seed is not None:
            self._rng = random.Random(seed)
        self._problem = self.world.problems(1, self._rng.getrandbits(32))[0]
        self._completion = []
        self._done = False
        return self._problem.prompt, {"problem": self._problem}

    def step(self, action: str | Message) -> tuple[list[Message], float, bool, bool, dict[str, Any]]:
        """Take one assistant turn: observation, reward, terminated, truncated, info.

        Raises `RuntimeError` where no problem is under way, and `ValueError` where the message isn't the
        assistant's.
        """
        if self._problem is None or self._done:
            raise RuntimeError("ArithmeticEnv.step: no problem under way; call reset first")
        message = as_messages(action, "assistant")[0] if isinstance(action, str) else action
        if message.get("role") != "assistant":
            raise ValueError(
                f"ArithmeticEnv.step: expected an assistant message, got role {message.get('role')!r}"
            )
        self._completion.append(message)
        results = [_run_tool(call.name, call.arguments) for call in tool_calls_of(message)]
        self._completion.extend(results)
        turns = sum(m["role"] == "assistant" for m in self._completion)
        terminated = not results
        truncated = not terminated and turns >= self.max_turns
        self._done = terminated or truncated
        verdict = check(self.sample)
        return results, float(terminated and verdict.answer), terminated, truncated, {"check": verdict}

    @property
    def sample(self) -> Chat:
        """The interaction so far. Raises `RuntimeError` before the first turn."""
        if self._problem is None or not self._completion:
            raise RuntimeError("ArithmeticEnv.sample: no turn was taken yet")
        return self._problem.chat(list(self._completion))


def _run_tool(name: str, arguments: Mapping[str, Any] | None) -> Message:
    try:
        if name != "calculator":
            raise ValueError(f"Tool {name} not found.")
        content = calculator(**(arguments or {}))
    except (TypeError, ValueError, ZeroDivisionError) as error:
        content = str({"error": str(error)})
    return {"role": "tool", "name": name, "content": content}


def _parse(expression: str) -> ast.expr:
    if not isinstance(expression, str):
        raise TypeError(f"expression: expected text, got {type(expression).__name__}")
    if len(expression) > MAX_EXPRESSION:
        raise ValueError(f"expression: expected at most {MAX_EXPRESSION} characters, got {len(expression)}")
    try:
        return ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"expression: can't read {expression!r} as arithmetic") from error


def _value(node: ast.expr) -> Fraction:
    if (
        isinstance(node, ast.Constant)
        and isinstance(node.value, (int, float))
        and not isinstance(node.value, bool)
        and abs(node.value) <= MAX_VALUE
    ):
        value = Fraction(str(node.value))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = -_value(node.operand)
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        value = OPERATORS[type(node.op)](_value(node.left), _value(node.right))
    else:
        raise ValueError(
            f"expression: expected numbers up to {MAX_VALUE}, + - * / and parentheses, "
            f"found {type(node).__name__}"
        )
    if abs(value) > MAX_VALUE:
        raise ValueError(f"expression: passes {MAX_VALUE} in size")
    return value


def _numbers(expression: str) -> list[float]:
    nodes = ast.walk(_parse(expression))
    return sorted(n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, (int, float)))
