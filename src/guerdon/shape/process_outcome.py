"""Rewards of steps from what a judge says of each step and how the trajectory ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from guerdon.core.algebra import Expression, name_parts, reasons_for
from guerdon.core.checks import check_choice
from guerdon.core.context import Context
from guerdon.core.dense import Dense
from guerdon.core.registry import create, register
from guerdon.core.reward import Reward, Scope
from guerdon.core.signal import Signal, Status
from guerdon.shape.arrays import Array, companion, floating
from guerdon.shape.statistics import STD_FLOOR, check_normalization, group_statistics

Strategy: TypeAlias = Literal["renorm", "sum", "product", "zscore", "process", "outcome"]
_UNIT_INTERVAL = ("renorm", "product")


def step_rewards(
    process: Array,
    outcome: Array | float,
    strategy: Strategy = "renorm",
    *,
    ddof: int = 1,
    epsilon: float = 1e-6,
    std_floor: float = STD_FLOOR,
) -> Array:
    """Rewards r_t of the steps before the answer, from process scores p_t and the outcome o.

        renorm    r_t = p_t + o − 1        in [0, 1] where o = 1 and in [−1, 0] where o = 0
        sum       r_t = p_t + o
        product   r_t = p_t · o
        zscore    r_t = (p_t − mean) / (std + epsilon)        over all m scores
        process   r_t = p_t
        outcome   r_t = 0

    With `renorm` a step of a failed trajectory can't look good and a step of a successful one isn't punished;
    the spread of the steps is the same in both.

    Args:
        process: (m,) real, the scores of any number of trajectories end to end.
        outcome: one number, or (m,) the outcome of each step's trajectory.
        ddof, epsilon, std_floor: for `zscore`, see `group_statistics`; scores without spread give 0.

    Returns:
        (m,) in the namespace and dtype of `process`.

    Raises:
        ValueError: for shapes that don't fit, an unknown strategy, or a score or an outcome outside [0, 1]
            with `renorm` and `product`, which mean something else there; NaN is outside.

    "Hybrid Reward Normalization for Process-supervised Non-verifiable Agentic Tasks", arXiv 2509.25598; the
    code is announced and not public. Its `renorm` is recalled, not checked against the text.
    """
    check_choice(strategy, "strategy", get_args(Strategy))
    p, xp, dtype = floating(process, "process", ndim=1)
    o = p * 0 + outcome if isinstance(outcome, (int, float)) else companion(outcome, p, "outcome", p.shape)
    if strategy in _UNIT_INTERVAL:
        for name, values in (("process", p), ("outcome", o)):
            if not bool(xp.all((values >= 0) & (values <= 1))):
                raise ValueError(f"{name}: expected numbers in [0, 1] for {strategy!r}; scale them first")
    if strategy == "renorm":
        result = p + o - 1
    elif strategy == "sum":
        result = p + o
    elif strategy == "product":
        result = p * o
    elif strategy == "zscore":
        everything = xp.zeros_like(p, dtype=xp.int64)
        result = group_statistics(p, everything, ddof=ddof, std_floor=std_floor).z_scores(epsilon)
    else:
        result = p if strategy == "process" else xp.zeros_like(p)
    return xp.astype(result, dtype)


@register("process_outcome", example="{reward: process_outcome, process: toolrl, outcome: math}")
class ProcessOutcome(Expression):
    """Step rewards in which a process reward and the outcome agree.

        dense_t = step_rewards(p_t, o, strategy)  for steps before the answer        outcome = o

    The answer step is paid by the outcome alone, so it has no dense value: credit puts the outcome on the
    last token. With `strategy="process"` the outcome is 0, and the answer step keeps its own score.

    `process`: a reward whose dense channel holds p_t, and whose own outcome is 0. · `outcome`: a reward
    without a dense channel. Either may be the name of a registered reward. · `strategy`: see
    `step_rewards`; `renorm` and `product` need p_t and o in [0, 1], so put `| clip` or `| affine` behind a
    reward that leaves it. `zscore` sees the whole batch. · `scores_answer`: whether the last value of every
    sample is that of the answer step, which is then left out; set it to False for a process reward that
    speaks only of the steps before. · `ddof`, `epsilon`, `std_floor`: for `zscore`.

    A sample abstains where the outcome abstains. Where only the process reward does, the sample has the
    outcome and no steps. A sample fails where a part fails, where a number leaves [0, 1] as above, and
    where the process reward has an outcome of its own, which would be lost. Such samples don't enter the
    statistics of `zscore`.

    Three things to know of `renorm`: a z-score within groups of mixed outcomes takes the signs away again, so
    use an estimator that doesn't; successful trajectories are paid for having more steps and failed ones for
    having fewer, so price the turns; and an outcome between 0 and 1 shifts the steps in proportion.

    Raises `ValueError` for an unknown strategy, and on use where `outcome` has a dense channel.

    "Hybrid Reward Normalization for Process-supervised Non-verifiable Agentic Tasks", arXiv 2509.25598.
    """

    def __init__(
        self,
        process: Reward | str,
        outcome: Reward | str,
        *,
        strategy: Strategy = "renorm",
        scores_answer: bool = True,
        ddof: int = 1,
        epsilon: float = 1e-6,
        std_floor: float = STD_FLOOR,
    ) -> None:
        check_choice(strategy, "strategy", get_args(Strategy))
        check_normalization(ddof=ddof, epsilon=epsilon, std_floor=std_floor)
        self.strategy: Strategy = strategy
        self.scores_answer = scores_answer
        self.ddof, self.epsilon, self.std_floor = ddof, epsilon, std_floor
        parts = [create(part) if isinstance(part, str) else part for part in (process, outcome)]
        super().__init__(parts, "process_outcome")

    @property
    def scope(self) -> Scope:
        return "batch" if self.strategy == "zscore" else super().scope

    def options(self) -> dict[str, Any]:
        names = ("strategy", "scores_answer", "ddof", "epsilon", "std_floor")
        return {name: getattr(self, name) for name in names}

    def combine(self, signals: Sequence[Signal], groups: NDArray[np.int64], context: Context) -> Signal:
        process, outcome = signals
        if outcome.dense is not None:
            raise ValueError(
                f"{self.name}: {self.parts[1].name!r} has a dense channel; reduce it with `total` first"
            )
        status, reasons = self._statuses(process, outcome)
        ok = status == Status.OK
        steps = self._steps(process, ok)
        if steps is not None:
            each = outcome.outcome[steps.row_index]
            values = step_rewards(
                steps.values,
                each,
                self.strategy,
                ddof=self.ddof,
                epsilon=self.epsilon,
                std_floor=self.std_floor,
            )
            steps = Dense(values, steps.offsets, steps.spans, steps.unit)
        return Signal(
            np.zeros(len(outcome)) if self.strategy == "process" else outcome.outcome,
            status,
            dense=steps,
            parts=name_parts(self.parts, signals),
            reasons=reasons,
        )

    def _steps(self, process: Signal, ok: NDArray[np.bool_]) -> Dense | None:
        """The steps before the answer, of the rows that have a value."""
        if process.dense is None:
            return None
        dense = process.dense.keep(ok)
        if not self.scores_answer or self.strategy == "process":
            return dense
        lengths = dense.lengths
        before = np.ones(dense.values.size, dtype=np.bool_)
        before[dense.offsets[1:][lengths > 0] - 1] = False
        offsets = np.concatenate(([0], np.cumsum(np.maximum(lengths - 1, 0))))
        return Dense(
            dense.values[before], offsets, None if dense.spans is None else dense.spans[before], dense.unit
        )

    def _statuses(self, process: Signal, outcome: Signal) -> tuple[NDArray[np.uint8], dict[int, str]]:
        stepless = process.status == Status.ABSTAINED
        status = np.where(stepless, outcome.status, np.maximum(process.status, outcome.status))
        reasons = reasons_for(status, (process, outcome), self.parts)
        for i in np.flatnonzero((status == Status.OK) & ~stepless & (process.outcome != 0)).tolist():
            status[i] = Status.FAILED
            reasons[i] = f"{self.parts[0].name}: expected rewards of steps alone, got an outcome beside them"
        if self.strategy in _UNIT_INTERVAL:
            self._check_interval(process, outcome, status, reasons)
        return status, reasons

    def _check_interval(
        self, process: Signal, outcome: Signal, status: NDArray[np.uint8], reasons: dict[int, str]
    ) -> None:
        outside = np.zeros((2, len(outcome)), dtype=np.bool_)
        if process.dense is not None:
            values = process.dense.values
            outside[0, process.dense.row_index[(values < 0) | (values > 1)]] = True
        outside[1] = (outcome.outcome < 0) | (outcome.outcome > 1)
        for part, rows in zip(self.parts, outside & (status == Status.OK), strict=True):
            for i in np.flatnonzero(rows).tolist():
                status[i] = Status.FAILED
                reasons.setdefault(i, f"{part.name}: {self.strategy!r} needs numbers in [0, 1]")
