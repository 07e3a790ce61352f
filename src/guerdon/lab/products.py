"""Products of long numbers, worked out in the head or by a program that is really run: a world for a table policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from guerdon.agents.python import python_tool
from guerdon.agents.tool import ToolError
from guerdon.core.samples import Chat
from guerdon.lab.tabular import Decision, Rollout, TabularPolicy

WORK, NUMBER, BOX, PROGRAM, MISCOPIED, SILENT, RUN, OPEN, FAULT, CLOSE = CODE = (
    *("work", "number", "box", "program", "miscopied program", "silent program"),
    *("</code>", "<interpreter>", "fault", "</interpreter>"),
)
"""The tokens of a policy that can write and run programs."""
PLAIN = (WORK, NUMBER, BOX)
"""The tokens of one that can't."""
PROGRAMS = (PROGRAM, MISCOPIED, SILENT)
LONGEST = 12
"""After how many tokens of its own a policy is stopped."""
# Logits of the untrained policy; it knows the form and mostly works in its head. Other tokens are unlikely.
HABITS: Mapping[str, Mapping[str, float]] = {
    "": {WORK: 2.0, NUMBER: 1.0, PROGRAM: 0.5, MISCOPIED: 0.0, SILENT: 0.0},
    WORK: {WORK: 1.0, NUMBER: 2.0},
    NUMBER: {BOX: 2.0, WORK: 0.0},
    **{program: {RUN: 3.0} for program in PROGRAMS},
    CLOSE: {BOX: 2.0, PROGRAM: 0.0},
}
UNLIKELY = -3.0
# How often a product of two digits goes wrong in the head, after 0, 1, 2, and more spells of work.
SLIPS = (0.08, 0.03, 0.02, 0.015)
_PYTHON = python_tool()


class Problem(NamedTuple):
    """The product of two numbers of so many digits."""

    digits: int
    left: int
    right: int

    @property
    def answer(self) -> int:
        """The product."""
        return self.left * self.right

    def program(self, token: str) -> str:
        """What stands for one of `PROGRAMS`: it is right, has another last digit, or prints nothing."""
        right = self.right ^ 1 if token == MISCOPIED else self.right
        return f"{self.left} * {right}" if token == SILENT else f"print({self.left} * {right})"


def problems(per_length: int, lengths: Sequence[int], seed: int) -> list[Problem]:
    """So many of each length; equal arguments give equal problems."""
    rng = np.random.default_rng(seed)
    drawn = [(d, rng.integers(10 ** (d - 1), 10**d, size=(per_length, 2))) for d in lengths]
    return [Problem(d, int(left), int(right)) for d, pairs in drawn for left, right in pairs]


@cache
def interpret(program: str) -> str:
    """What a program prints, or why it failed. Remembered: programs recur, and starting a sandbox takes long."""
    try:
        return str(_PYTHON(code=program))
    except ToolError as error:
        return str(error)


def habits(state: Any, options: int) -> NDArray[np.float64]:
    """The prior of a `TabularPolicy` over `CODE` or `PLAIN`, see `HABITS`."""
    _, last = state
    return np.array([HABITS.get(last, {}).get(token, UNLIKELY) for token in CODE[:options]])


def play(problem: Problem, policy: TabularPolicy, rng: np.random.Generator) -> Rollout:
    """Write tokens of `CODE` up to a box. Behind `</code>` after a program, what the interpreter says is put in."""
    return _play(problem, policy, rng, CODE)


def play_plain(problem: Problem, policy: TabularPolicy, rng: np.random.Generator) -> Rollout:
    """Write tokens of `PLAIN` up to a box."""
    return _play(problem, policy, rng, PLAIN)


def _play(
    problem: Problem, policy: TabularPolicy, rng: np.random.Generator, vocabulary: Sequence[str]
) -> Rollout:
    """The sample's extra columns: `segments`, as (tokens, whether the policy wrote them) · `stray`, interpreter tags
    of the policy's own · `calls`, programs that were run."""
    transcript = _Transcript(problem, policy, vocabulary)
    segments, stray, calls = list[tuple[int, bool]](), 0, 0
    for _ in range(LONGEST):
        ready = transcript.last in PROGRAMS
        token = transcript.decide(rng)
        segments.append((1, True))
        stray += token in (OPEN, CLOSE)
        if token == RUN and ready:
            segments.append((transcript.insert(), False))
            calls += 1
        if token == BOX:
            break
    extra = {"segments": segments, "stray": stray, "calls": calls, "digits": problem.digits}
    prompt, answer = f"What is {problem.left} * {problem.right}?", str(problem.answer)
    return Rollout(Chat(prompt, transcript.text, reference=answer, extra=extra), transcript.decisions)


class _Transcript:
    """The text so far, and the decision that stands for each of its tokens."""

    def __init__(self, problem: Problem, policy: TabularPolicy, vocabulary: Sequence[str]) -> None:
        self.problem, self.policy, self.vocabulary = problem, policy, vocabulary
        self.decisions = list[Decision]()
        self.text = self.last = self.known = self.program = ""
        self.spells = 0

    def decide(self, rng: np.random.Generator) -> str:
        """Let the policy write a token. It sees how long the numbers are, and the last token."""
        token = self.vocabulary[
            self.policy.choose((self.problem.digits, self.last), len(self.vocabulary), rng)
        ]
        self.spells += token == WORK
        if token == NUMBER:
            self.known = str(self._in_the_head(rng))
        if token in PROGRAMS:
            self.program = self.problem.program(token)
        self._append(token, self._spell(token))
        return token

    def insert(self) -> int:
        """Put in what the interpreter says of the program, in its tags; how many tokens that are."""
        output = interpret(self.program)
        if output.isdigit():
            self.known = output
        inserted = {OPEN: "<interpreter>\n", NUMBER if output.isdigit() else FAULT: output}
        inserted[CLOSE] = "</interpreter>\n\n"
        for token, text in inserted.items():
            # A trainer without a mask needs the policy's own probability of these tokens too.
            self.policy.probabilities((self.problem.digits, self.last), len(self.vocabulary))
            self._append(token, text)
        return len(inserted)

    def _append(self, token: str, text: str) -> None:
        self.decisions.append(Decision((self.problem.digits, self.last), self.vocabulary.index(token)))
        self.text += text
        self.last = token

    def _in_the_head(self, rng: np.random.Generator) -> int:
        slip = SLIPS[min(self.spells, len(SLIPS) - 1)]
        right = rng.random() < (1.0 - slip) ** self.problem.digits**2
        return self.problem.answer + (0 if right else int(rng.integers(1, 1000)))

    def _spell(self, token: str) -> str:
        """The text of a token that the policy writes."""
        if token in PROGRAMS:
            return f"<code>\n```python\n{self.program}\n```\n"
        return {
            WORK: "Digit by digit, then the sum. ",
            NUMBER: f"That makes {self.known}. ",
            BOX: f"<answer>\\boxed{{{self.known}}}</answer>",
            RUN: "</code>\n",
            OPEN: "<interpreter>\n",
            FAULT: "[no output]",
            CLOSE: "</interpreter>\n\n",
        }[token]
