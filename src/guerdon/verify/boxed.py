r"""Answers in `\boxed{…}`, and a strict reward: the last box is the reference, character for character."""

from __future__ import annotations

import re

from guerdon.core.checks import check_count, check_number
from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Abstain, Score
from guerdon.verify.math import reference_texts

_BRACE = re.compile(r"[{}]")
_BOX = "\\boxed{"


def closing_brace(text: str, start: int) -> int | None:
    """Where the brace that opens at `start` is closed; None where it never is."""
    depth = 0
    for brace in _BRACE.finditer(text, start):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return brace.start()
    return None


def last_boxed(text: str) -> str | None:
    r"""Content of the last `\boxed{…}` with balanced braces; None where there is none or the last never closes."""
    start = text.rfind(_BOX)
    end = closing_brace(text, start + len(_BOX) - 1) if start >= 0 else None
    return None if end is None else text[start + len(_BOX) : end]


@register("last_boxed", example="{reward: last_boxed, window: 100}")
class LastBoxed(Reward):
    r"""1 where the last box at the end of the answer holds exactly the reference, else `wrong`.

        outcome = 1 if last_boxed(final turn[-window:]) ∈ references else wrong

    Nothing else counts: no format, no length, no use of tools. Text is compared as it is, so that 204.0 isn't 204; use
    the reward `math` for mathematical equality.

    `window` of at least 1: so many last characters are searched. A box that begins before them is no answer, so a long
    tail behind the answer costs it. · `wrong`: finite, -1 by default. A `wrong` outcome without a box has a note.

    The reference is text, a finite number, or a list of those, any of which is right. Abstains where it is missing, of
    another type, or empty text.

    Jiazhan Feng et al., "ReTool: Reinforcement Learning for Strategic Tool Use in LLMs", arXiv:2504.11536
    (ReTool-RL/ReTool), with the strict verifier of volcengine/verl; the paper speaks of equivalence, for which the
    public recipes compare like this.
    """

    name = "last_boxed"
    uses_context = False

    def __init__(self, window: int = 100, wrong: float = -1.0) -> None:
        check_count(window, "last_boxed.window")
        self.window = window
        self.wrong = check_number(wrong, "last_boxed.wrong")

    def score(self, sample: Chat, context: Context) -> float | Score:
        references = reference_texts(sample.reference)
        if "" in references:
            raise Abstain("reference: expected an answer, got empty text")
        answer = last_boxed(sample.final[-self.window :])
        if answer is None:
            return Score(self.wrong, note=f"no closed box in the last {self.window} characters")
        return 1.0 if answer in references else self.wrong
