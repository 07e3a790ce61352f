"""Programs of five lines with one wrong operator, and a chat model that edits them as a table says."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from guerdon.core.messages import Message, message_text
from guerdon.core.samples import Chat
from guerdon.judges.chat import Reply
from guerdon.lab.tabular import Decision, TabularPolicy
from guerdon.verify.programs import last_program

OPERATORS = ("+", "-", "*", "//", "%")
RIGHT = {"price": "* + - * +", "level": "+ * % + -", "score": "- + * - //"}
"""The operators of each function, line by line."""
BODY = "    c = a {} {}\n    d = c {} b\n    e = d {} {}\n    f = e {} a\n    return f {} {}\n"  # no divisor is 0
OTHERS = len(OPERATORS) - 1
EDITS = 5 * OTHERS
"""Edits of a program: edit i replaces the operator of line `i // 4 + 1` by one of the four others."""
_OPERATOR = re.compile(r"(?<= )(//|[-+*%])(?= )")
_NAMED = re.compile(r"bug is in line (\d)")


def operators(program: str) -> list[str]:
    """The operators of a program, line by line."""
    return _OPERATOR.findall(program)


def function_name(program: str) -> str:
    """What the program defines."""
    return program.removeprefix("def ").partition("(")[0]


def given_program(sample: Chat) -> str:
    """The program that the prompt asks to repair."""
    return last_program(message_text(sample.prompt_messages[-1]))


def fenced(program: str) -> str:
    """A completion that is this program."""
    return f"```python\n{program}```"


def edit(program: str, choice: int) -> str:
    """The program after edit number `choice`."""
    parts, (line, other) = _OPERATOR.split(program), divmod(choice, OTHERS)
    place = 2 * line + 1
    parts[place] = [operator for operator in OPERATORS if operator != parts[place]][other]
    return "".join(parts)


def state_of(program: str) -> str:
    """What the table knows a program by: its name and operators, not its constants."""
    return " ".join([function_name(program), *operators(program)])


def edit_of(sample: Chat) -> Decision:
    """The edit that an attempt made. Raises `ValueError` where it made none, or more than one."""
    before, after = given_program(sample), last_program(sample.final)
    return Decision(state_of(before), [edit(before, i) for i in range(EDITS)].index(after))


def broken_programs(bugs: int, seed: int) -> list[Chat]:
    """Tasks: each function with `bugs` different bugs, which are always the same ones; `seed` decides the constants.

    The reference is what `CodeTests` takes; `extra["line"]` is the line of the bug, from 1.
    """
    fixed, constants = np.random.default_rng(0), np.random.default_rng(seed)
    return [
        _broken(name, signs.split(), choice, constants)
        for name, signs in RIGHT.items()
        for choice in fixed.permutation(EDITS)[:bugs].tolist()
    ]


def _broken(name: str, signs: Sequence[str], choice: int, rng: np.random.Generator) -> Chat:
    """Constants are drawn anew until some input shows the bug."""
    while True:
        first, second, third = rng.integers(2, 10, size=3).tolist()
        body = BODY.format(signs[0], first, signs[1], signs[2], second, signs[3], signs[4], third)
        right = f"def {name}(a, b):\n{body}"
        broken = edit(right, choice)
        expected, found = _values(right), _values(broken)
        tests: dict[bool, list[str]] = {False: [], True: []}
        for (a, b), value in expected.items():
            tests[found[a, b] == value].append(f"assert {name}({a}, {b}) == {value}")
        if tests[False]:
            reference = {"fail_to_pass": tests[False], "pass_to_pass": tests[True]}
            prompt = f"Repair this program.\n{fenced(broken)}"
            return Chat(prompt, "", reference=reference, extra={"line": choice // OTHERS + 1})


def _values(program: str) -> Mapping[tuple[int, int], int]:
    """What a program of this world computes on nine inputs."""
    scope = dict[str, Any]()
    exec(program, scope)
    function = scope[function_name(program)]
    return {(a, b): function(a, b) for a, b in itertools.product((1, 2, 5), repeat=2)}


class Repairer:
    """A `ChatModel` that answers with the program of the last message after one edit, drawn from `policy`.

    Where the message says "bug is in line 3", edits of that line are `trust` times likelier.
    """

    def __init__(self, policy: TabularPolicy, rng: np.random.Generator, trust: float = 20.0) -> None:
        self.policy, self.rng, self.trust = policy, rng, trust

    async def chat(
        self, messages: Sequence[Message], *, tools: Sequence[Mapping[str, Any]] = (), **sampling: Any
    ) -> Reply:
        """The whole program with one edit, in a fence."""
        text = message_text(messages[-1])
        program = last_program(text)
        weights = self.policy.probabilities(state_of(program), EDITS)
        if named := _NAMED.search(text):
            start = (int(named[1]) - 1) * OTHERS
            weights[start : start + OTHERS] *= self.trust
        choice = int(self.rng.choice(EDITS, p=weights / weights.sum()))
        return Reply({"role": "assistant", "content": fenced(edit(program, choice))})
