"""How much tools are used, and how much of that is overuse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from guerdon.core.checks import check_choice
from guerdon.verify.reasoning_steps import StepType


def tool_step_counts(types: Sequence[Sequence[StepType]]) -> NDArray[np.int64]:
    """Number of tool steps of each example, (n,); their mean is the "tool used" of the paper.

    `types`: for each example the types of its steps, `ReasoningStep.type`. Raises `ValueError` for an unknown type.

    Cheng Qian et al., "SMART: Self-Aware Agent for Tool Overuse Mitigation", arXiv:2502.11435
    (qiancheng0/Open-SMARTAgent).
    """
    for i, steps in enumerate(types):
        for step in steps:
            check_choice(step, f"types[{i}]", get_args(StepType))
    return np.array([sum(step == "tool" for step in steps) for steps in types], dtype=np.int64)


def tool_overuse(calls: ArrayLike, solved_without: ArrayLike) -> float:
    """Share of the examples that are solved without tools on which a tool is called all the same, in [0, 1].

        Σ_i 1[calls_i > 0 and solved_i] / Σ_i 1[solved_i]

    `calls` (n,): at least 0. · `solved_without` (n,) bool: whether *this* model is right on the example without tools;
    labels of what any model should know are only a proxy. NaN where none is solved without tools.

    Raises `ValueError` where the shapes differ or a count is negative or not finite.

    Cheng Qian et al., "SMART: Self-Aware Agent for Tool Overuse Mitigation", arXiv:2502.11435
    (qiancheng0/Open-SMARTAgent); the definition is recalled from the paper.
    """
    counts = np.asarray(calls, dtype=np.float64)
    solved = np.asarray(solved_without, dtype=bool)
    if counts.ndim != 1 or counts.shape != solved.shape:
        raise ValueError(
            f"calls, solved_without: expected shape (n,) each, got {counts.shape} and {solved.shape}"
        )
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise ValueError(f"calls: expected finite counts of at least 0, got {calls!r}")
    return float((counts[solved] > 0).mean()) if solved.any() else math.nan
