"""Rewards that prefer the correct answer with fewer tool calls."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from guerdon.core.algebra import Expression, name_parts, reasons_for
from guerdon.core.checks import check_choice, check_number
from guerdon.core.context import Context
from guerdon.core.registry import create, register
from guerdon.core.reward import Reward, Scope
from guerdon.core.samples import Chat
from guerdon.core.signal import Abstain, Score, Signal, Status
from guerdon.core.tagged import blocks

Mode: TypeAlias = Literal["grpo", "ppo"]


def otc_ppo_factor(m: ArrayLike, c: float) -> NDArray[np.float64]:
    """Efficiency of `m` tool calls by themselves: `cos(m·π / (2m + c))`.

    `m`: calls, any shape, at least 0. · `c` > 0: smoothing; a larger one decays more slowly. The result has
    the shape of `m` and is in (0, 1]: 1 for no call, falling towards 0.

    Raises `ValueError` where a count is negative or not finite, or `c` isn't above 0.

    Hongru Wang et al., "Acting Less is Reasoning More! Teaching Model to Act Efficiently", arXiv:2504.14870.
    """
    calls = _counts(m, "m")
    return np.cos(np.pi * calls / (2 * calls + check_number(c, "c", above=0.0)))


def otc_grpo_factor(m: ArrayLike, n: ArrayLike, c: float) -> NDArray[np.float64]:
    """Efficiency of `m` tool calls where `n` are known to suffice.

        cos(m·π / (2m + c))                                    where n = 0
        sin(f·π / (2n)),  f = 2nm / (m + n)                    where n > 0

    The second is `sin(m·π / (m + n))`: 1 for `m = n`, falling towards 0 for more, and 0 for `m = 0`.

    `m`, `n`: calls, at least 0, shapes that broadcast. · `c` > 0: smoothing. The result is in [0, 1].

    Raises `ValueError` where a count is negative or not finite, or `c` isn't above 0.

    Hongru Wang et al., "Acting Less is Reasoning More! Teaching Model to Act Efficiently", arXiv:2504.14870.
    """
    calls, fewest = np.broadcast_arrays(_counts(m, "m"), _counts(n, "n"))
    some = fewest > 0
    angle = np.pi * calls / np.where(some, calls + fewest, 2 * calls + check_number(c, "c", above=0.0))
    return np.where(some, np.sin(angle), np.cos(angle))


def tool_productivity(correct: ArrayLike, calls: ArrayLike) -> float:
    """Correct answers per tool call, `Σ_i 1[correct_i] / Σ_i m_i`; NaN where no call was made at all.

    `correct` (n,): an answer counts as correct where it is above 0. · `calls` (n,): at least 0.

    Raises `ValueError` where the shapes differ or a count is negative or not finite.

    Hongru Wang et al., "Acting Less is Reasoning More! Teaching Model to Act Efficiently", arXiv:2504.14870.
    """
    right, counts = np.asarray(correct, dtype=np.float64), _counts(calls, "calls")
    if right.shape != counts.shape:
        raise ValueError(f"correct, calls: expected equal shapes, got {right.shape} and {counts.shape}")
    total = counts.sum()
    return float((right > 0).sum() / total) if total > 0 else math.nan


@register("tool_count", example="{reward: tool_count, result_tag: information}")
class ToolCount(Reward):
    """How many tool calls were executed: a count of at least 0, meant as a part of other rewards.

    A call counts when there is a result for it: a message of role `tool` (or `function`) in the completion,
    or, where `result_tag` names the tag that the environment puts around a result, a closed block of that tag
    in the assistant's text. So a malformed call that nothing ran isn't counted; `Signal.parts["unanswered"]`
    counts the structured calls without a result.

    A text completion shows no results of its own: without `result_tag` it abstains.
    """

    uses_context = False

    def __init__(self, result_tag: str | None = None) -> None:
        if result_tag is not None and not result_tag:
            raise ValueError("result_tag: expected the name of a tag, got empty text")
        self.name = "tool_count"
        self.result_tag = result_tag

    def score(self, sample: Chat, context: Context) -> Score:
        if self.result_tag is not None:
            executed = len(blocks(sample.text, self.result_tag))
        elif isinstance(sample.completion, str):
            raise Abstain("a text completion shows no tool results; name their tag with result_tag")
        else:
            executed = sum(message["role"] in ("tool", "function") for message in sample.completion)
        unanswered = max(0, len(sample.tool_calls) - executed)
        return Score(float(executed), parts={"unanswered": float(unanswered)})


@register("otc", example="{reward: otc, correct: math, c: 4}")
class ToolEfficiency(Expression):
    """Correctness times the efficiency of the tool calls: a wrong answer gains nothing from calling less.

        r = alpha · r_tool · correct

    `mode="grpo"` (scope `group`): `r_tool = otc_grpo_factor(m, n, c)` with `n` the smallest number of calls
    among the correct samples of the group in this batch. `mode="ppo"` (the scope of the parts):
    `r_tool = otc_ppo_factor(m, c)`.

    `correct`: a reward of at least 0, or the registered name of one, made with `correct_arguments`; a sample
    is correct where it is above 0. · `calls`: a reward that counts executed calls, by default `ToolCount`. ·
    `c` > 0: the largest number of tool turns that the policy is allowed. · `alpha` > 0: scale. Range: [0,
    alpha · max correct].

    `Signal.parts` has both parts by name. Where one of them isn't OK the sample has no value either: it
    abstains if the part abstained, and fails if the part failed or is negative. Such a sample doesn't enter
    `n`. The paper also speaks of keeping the smallest `n` of each question over training; that needs an
    identity of the question that outlives a batch, which a combination of Signals doesn't see, so it isn't
    offered.

    Raises `ValueError` where `c` or `alpha` isn't above 0 or `mode` is unknown.

    Hongru Wang et al., "Acting Less is Reasoning More! Teaching Model to Act Efficiently", arXiv:2504.14870;
    no public code is known. The default of `alpha` and the meaning of `c` are recalled from the paper.
    """

    def __init__(
        self,
        correct: Reward | str,
        *,
        c: float,
        mode: Mode = "grpo",
        alpha: float = 1.0,
        calls: Reward | None = None,
        correct_arguments: Mapping[str, Any] | None = None,
    ) -> None:
        check_choice(mode, "mode", get_args(Mode))
        if correct_arguments is not None and not isinstance(correct, str):
            raise ValueError("correct_arguments: expected only together with the name of a reward")
        base: Reward = create(correct, arguments=correct_arguments) if isinstance(correct, str) else correct
        super().__init__((base, ToolCount() if calls is None else calls), "otc")
        self.mode: Mode = mode
        self.c, self.alpha = check_number(c, "c", above=0.0), check_number(alpha, "alpha", above=0.0)

    @property
    def scope(self) -> Scope:  # pyright: ignore[reportIncompatibleVariableOverride]
        parts = super().scope
        return "group" if self.mode == "grpo" and parts == "sample" else parts

    def options(self) -> dict[str, Any]:
        return {"mode": self.mode, "c": self.c, "alpha": self.alpha}

    def combine(self, signals: Sequence[Signal], groups: NDArray[np.int64], context: Context) -> Signal:
        correct, calls = signals
        status = np.maximum(correct.status, calls.status)
        reasons = reasons_for(status, signals, self.parts)
        for part, signal in zip(self.parts, signals, strict=True):
            for i in np.flatnonzero((status == Status.OK) & (signal.outcome < 0)).tolist():
                status[i] = Status.FAILED
                reasons[i] = f"{part.name}: expected at least 0, got {signal.outcome[i]:g}"
        right = (status == Status.OK) & (np.where(correct.ok, correct.outcome, 0.0) > 0)
        outcome = np.zeros(len(correct))
        if right.any():
            m = calls.outcome[right]
            if self.mode == "grpo":
                factor = otc_grpo_factor(m, _fewest(m, groups[right]), self.c)
            else:
                factor = otc_ppo_factor(m, self.c)
            outcome[right] = self.alpha * factor * correct.outcome[right]
        return Signal(outcome, status, parts=name_parts(self.parts, signals), reasons=reasons)


def _fewest(m: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """For each row the smallest `m` of its group."""
    smallest = np.full(int(groups.max()) + 1, np.inf)
    np.minimum.at(smallest, groups, m)
    return smallest[groups]


def _counts(values: ArrayLike, name: str) -> NDArray[np.float64]:
    counts = np.asarray(values, dtype=np.float64)
    if not (np.isfinite(counts) & (counts >= 0)).all():
        raise ValueError(
            f"{name}: expected finite counts of at least 0, got {counts[~(counts >= 0)].tolist()[:3]}"
        )
    return counts
