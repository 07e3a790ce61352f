"""Chains of arithmetic, worked out a line a step, in which every step can be checked exactly."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from guerdon.core.checks import check_count
from guerdon.core.messages import Message
from guerdon.core.registry import register
from guerdon.core.samples import Chat
from guerdon.core.segmenters import lines
from guerdon.lab.world import Task, World

# Nine digits are far more than a value has, and few enough that reading them costs nothing.
_STEP = re.compile(r"(no )?(\d{1,9})([+\-*])(\d{1,9})=(\d{1,9})\s*", re.ASCII)
_ANSWER = re.compile(r"answer (\d{1,9})\s*", re.ASCII)


class Operation(NamedTuple):
    """One of `+`, `-`, `*`, and its right side."""

    symbol: str
    number: int


class Chain(NamedTuple):
    """A problem: begin with `start` and carry out the operations in order, all modulo `modulus`."""

    start: int
    operations: tuple[Operation, ...]
    modulus: int

    @classmethod
    def of(cls, sample: Chat) -> Chain:
        """That of a sample of `Chains`. Raises `KeyError` where a column is missing."""
        extra = sample.extra
        operations = tuple(Operation(symbol, number) for symbol, number in extra["operations"])
        return cls(extra["start"], operations, extra["modulus"])

    def result(self, value: int, operation: Operation) -> int:
        """Of one operation."""
        number = operation.number
        return {"+": value + number, "-": value - number, "*": value * number}[
            operation.symbol
        ] % self.modulus

    @property
    def values(self) -> list[int]:
        """The start, and the value after each operation."""
        found = [self.start]
        for operation in self.operations:
            found.append(self.result(found[-1], operation))
        return found

    @property
    def text(self) -> str:
        """`7 +5 *3 -4`."""
        return " ".join([str(self.start), *(f"{symbol}{number}" for symbol, number in self.operations)])


class StepKind(Enum):
    """What a line is, judged by the lines before it."""

    RIGHT = "right"
    """The next operation on the value at hand, with its right result."""
    SLIP = "slip"
    """The same with a wrong result."""
    TRIVIAL = "trivial"
    """A true equation that changes nothing: `+0`, `-0`, or `*1`."""
    REPAIR = "repair"
    """`no 7+5=2`: the operation before once more, with its right result."""
    ANSWER = "answer"
    """The value at hand as the answer, after the last operation."""
    OTHER = "other"
    """Anything else: another operation, another number, an answer too early, what can't be read."""


class CheckedStep(NamedTuple):
    """A line: its `kind`, and whether the solution is `on_track`, with the right value at hand, after it."""

    kind: StepKind
    on_track: bool


class ChainCheck(NamedTuple):
    """`steps`: each line · `answered`: whether the last line gives the right answer, however it was come by."""

    steps: tuple[CheckedStep, ...]
    answered: bool

    @property
    def solved(self) -> bool:
        """Whether the answer is right."""
        return self.answered

    @property
    def sound(self) -> bool:
        """Whether the answer is right and no line is off the track."""
        return self.answered and self.first_error is None

    @property
    def first_error(self) -> int | None:
        """The first line that is off the track."""
        return next((k for k, step in enumerate(self.steps) if not step.on_track), None)


def check_steps(chain: Chain, text: str) -> ChainCheck:
    """What is right about each line of a solution. Time is linear in the text."""
    progress = Progress(chain)
    steps = tuple(progress.read(text[start:end]) for start, end in lines(text))
    return ChainCheck(steps, progress.answered)


class Progress:
    """How far a solution is.

    `done`: operations carried out · `value`: that at hand · `ended`: with an answer, which is right if `answered` ·
    `before`: what the last line worked on, if it carried out an operation that can still be repaired.
    """

    def __init__(self, chain: Chain) -> None:
        self.chain, self.done, self.value = chain, 0, chain.start
        self.ended = self.answered = False
        self.before: int | None = None
        self._values = chain.values

    @property
    def on_track(self) -> bool:
        """Whether the value at hand is the right one."""
        return self.value == self._values[self.done]

    def read(self, line: str) -> CheckedStep:
        """Judge the next line, and go on from what it says."""
        self.answered = False  # whatever follows an answer spoils it
        before, self.before = self.before, None
        kind = StepKind.OTHER if self.ended else self._kind(line, before)
        return CheckedStep(kind, self.on_track and kind is not StepKind.OTHER)

    def _kind(self, line: str, before: int | None) -> StepKind:
        said = _ANSWER.fullmatch(line)
        if said:
            return self._answer(int(said[1]))
        read = _STEP.fullmatch(line)
        if not read:
            return StepKind.OTHER
        left, operation, result = int(read[2]), Operation(read[3], int(read[4])), int(read[5])
        return (
            self._again(before, left, operation, result) if read[1] else self._step(left, operation, result)
        )

    def _answer(self, said: int) -> StepKind:
        self.ended, self.answered = True, said == self._values[-1]
        complete = self.done == len(self.chain.operations) and said == self.value
        return StepKind.ANSWER if complete else StepKind.OTHER

    def _step(self, left: int, operation: Operation, result: int) -> StepKind:
        if left != self.value:
            return StepKind.OTHER
        if operation in (("+", 0), ("-", 0), ("*", 1)):
            return StepKind.TRIVIAL if result == left else StepKind.OTHER
        if self.done == len(self.chain.operations) or operation != self.chain.operations[self.done]:
            return StepKind.OTHER
        self.done, self.value, self.before = self.done + 1, result, left
        return StepKind.RIGHT if result == self.chain.result(left, operation) else StepKind.SLIP

    def _again(self, before: int | None, left: int, operation: Operation, result: int) -> StepKind:
        if left != before or operation != self.chain.operations[self.done - 1]:
            return StepKind.OTHER
        self.value = result
        return StepKind.REPAIR if result == self.chain.result(left, operation) else StepKind.SLIP


@register("chains", kind="world", example="{world: chains, operations: 3, modulus: 10}")
class Chains(World):
    """Chains of arithmetic: `7 +5 *3 -4`, to be worked out from left to right modulo 10, a line a step.

        7+5=2
        2*3=6
        6-4=2
        answer 2

    `operations` (1 to 20): how many · `modulus` (5 to 100): of all values, which are from 0 to modulus − 1.

    No operation of a problem is trivial. A solution may hold trivial lines (`2+0=2`), and repair the line before
    (`no 7+5=2`). `check` says of every line what it is, see `StepKind`, so that planted mistakes and the labels of a
    process reward model can be compared with the truth. Columns: `start`, `operations` as [symbol, number] pairs,
    `modulus`; the reference is the answer as text.

    A demonstration slips in each operation with probability `habit` / 3, and goes on with the wrong value.

    Equal arguments and seeds give equal tasks. Raises `ValueError` for a setting out of its range.
    """

    def __init__(self, operations: int = 3, modulus: int = 10) -> None:
        check_count(operations, "chains.operations", 1, 20)
        check_count(modulus, "chains.modulus", 5, 100)
        self.operations, self.modulus = operations, modulus

    def draw(self, rng: random.Random) -> Task:
        operations = tuple(
            Operation(symbol, rng.randrange(1 + (symbol == "*"), self.modulus))
            for symbol in rng.choices("+-*", k=self.operations)
        )
        return self.task(Chain(rng.randrange(self.modulus), operations, self.modulus))

    def task(self, chain: Chain) -> Task:
        """The task of a chain."""
        return Task(
            prompt=[{"role": "user", "content": chain.text}],
            solution=[{"role": "assistant", "content": solution(chain)}],
            reference=str(chain.values[-1]),
            extra={
                "start": chain.start,
                "operations": [[symbol, number] for symbol, number in chain.operations],
                "modulus": chain.modulus,
            },
        )

    def check(self, sample: Chat) -> ChainCheck:
        return check_steps(Chain.of(sample), sample.text)

    def demonstrate(self, task: Task, rng: random.Random, habit: float) -> list[Message]:
        chain = Chain.of(task.chat(""))
        slips = [rng.random() < habit / 3 for _ in chain.operations]
        return [*task.prompt, {"role": "assistant", "content": solution(chain, slips, rng)}]


def solution(chain: Chain, slips: Sequence[bool] = (), rng: random.Random | None = None) -> str:
    """A solution that slips where it is told to, to a value drawn by `rng`, and goes on with that."""
    value, written = chain.start, list[str]()
    for k, operation in enumerate(chain.operations):
        result = chain.result(value, operation)
        if k < len(slips) and slips[k] and rng is not None:
            result = (result + rng.randrange(1, chain.modulus)) % chain.modulus
        written.append(f"{value}{operation.symbol}{operation.number}={result}")
        value = result
    return "\n".join([*written, f"answer {value}"])
