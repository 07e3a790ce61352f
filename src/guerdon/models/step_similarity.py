"""Whether two written steps say the same, so that what is known of one holds for the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from fractions import Fraction
from typing import TypeAlias

from guerdon.core.checks import check_number

Evaluate: TypeAlias = Callable[[str], Fraction]
"""Works out arithmetic, as `guerdon.agents.evaluate` does; ValueError or ZeroDivisionError where it can't."""

_RIGHT_HAND_SIDE = re.compile(r"=[ ]*([\d+\-*/.()][\d+\-*/.() ]*)", re.ASCII)
_NUMBER = re.compile(r"\d+(?:/\d+)?", re.ASCII)
_DECIMAL = re.compile(r"\d+(?:\.\d+|/\d+)?", re.ASCII)


def step_similarity(a: str, b: str, evaluate: Evaluate, *, decimals: bool = False) -> float:
    """How alike two steps are written, in [0, 1], and 0 where they arrive at different numbers.

        2 · matched characters / all characters        difflib's longest matching blocks of (a, b), unless gated
        0                                              the results differ

    Where both contain "=", and the last right-hand sides of both can be worked out, their values decide. A right-hand
    side is the run of digits, `+ - * / . ( )` and spaces behind the last "=" that such a run follows. Otherwise the last
    numbers decide, compared as text: they must be equal; or, with fewer numbers in a than in b, the last of a be the last
    but one of b, else the last but one of a be the last of b. Numbers in one of the two only differ; in neither, agree.

    The ratio isn't symmetric and costs the product of the lengths at worst: give it sentences.

    Args:
        evaluate: works out a right-hand side.
        decimals: whether 2.5 is one number, where the last numbers decide. In the repository it is 2 and 5, so that
            2.5 and 3.5 agree.

    Raises:
        TypeError: where a step isn't text.

    Adam Younsi et al., "Accurate and Diverse LLM Mathematical Reasoning via Automated PRM-Guided GFlowNets", arXiv
    2504.19981, repository Adam-yni/GFlowNets-FineTuning.
    """
    for name, text in (("a", a), ("b", b)):
        if not isinstance(text, str):
            raise TypeError(f"{name}: expected text, got {type(text).__name__}")
    results = _result(a, evaluate), _result(b, evaluate)
    if None not in results:
        same = results[0] == results[1]
    else:
        number = _DECIMAL if decimals else _NUMBER
        same = _compatible(number.findall(a), number.findall(b))
    return SequenceMatcher(None, a, b).ratio() if same else 0.0


def similarity_groups(
    steps: Sequence[str], evaluate: Evaluate, *, threshold: float = 0.88, decimals: bool = False
) -> list[int]:
    """The group of each step: that of the first group whose first step is similar enough, or a new one.

    Groups are numbered by first appearance. `threshold` in [0, 1] is the least `step_similarity` of the group's first
    step and this one; the repository's script has 0.88, its documentation 0.85.

    Raises `ValueError` where the threshold leaves its range, and as `step_similarity`.

    Adam Younsi et al., "Accurate and Diverse LLM Mathematical Reasoning via Automated PRM-Guided GFlowNets", arXiv
    2504.19981, repository Adam-yni/GFlowNets-FineTuning.
    """
    check_number(threshold, "threshold", 0.0, 1.0)
    firsts, groups = list[str](), list[int]()
    for step in steps:
        alike = (
            group
            for group, first in enumerate(firsts)
            if step_similarity(first, step, evaluate, decimals=decimals) >= threshold
        )
        group = next(alike, len(firsts))
        if group == len(firsts):
            firsts.append(step)
        groups.append(group)
    return groups


def _result(text: str, evaluate: Evaluate) -> Fraction | None:
    """The value of the last right-hand side; None where there is none or it can't be worked out."""
    sides = _RIGHT_HAND_SIDE.findall(text)
    if not sides:
        return None
    try:
        return evaluate(sides[-1].strip())
    except (ValueError, ZeroDivisionError):
        return None


def _compatible(a: list[str], b: list[str]) -> bool:
    if not a or not b:
        return not a and not b
    if a[-1] == b[-1]:
        return True
    if len(a) < len(b):
        return b[-2] == a[-1] or (len(a) > 1 and a[-2] == b[-1])
    return len(a) > 1 and a[-2] == b[-1]
