"""Several rewards on one scale: each is normalised on its own before they are added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from guerdon.core.algebra import Expression, finite, merge_status, name_parts, widest
from guerdon.core.checks import check_choice, check_number
from guerdon.core.context import Context
from guerdon.core.reward import Reward, Scope
from guerdon.core.signal import Signal, Status
from guerdon.shape.arrays import Array, floating
from guerdon.shape.statistics import STD_FLOOR, check_normalization, group_statistics


def zscore_average(
    parts: Sequence[Array],
    groups: Array | int,
    *,
    ddof: int = 1,
    epsilon: float = 1e-6,
    std_floor: float = STD_FLOOR,
) -> Array:
    """Average of several rewards, each as a z-score within its group.

        z_{k,i} = (x_{k,i} − mean_{k,g}) / (std_{k,g} + epsilon)        result_i = mean_k z_{k,i}

    Args:
        parts: K arrays (n,). NaN marks a missing value: it enters no statistic, and row i is averaged over
            the parts that it has; a row without any is NaN.
        groups: (n,) integer codes, or a group size.

    Returns:
        (n,) in the namespace and dtype of the first part. A part gives 0 in a group of one and in a group
        where it is constant (std at most `std_floor · |mean|`).

    Raises:
        ValueError: without parts, or where shapes don't fit.

    Y. Chang et al., "BLEUBERI: BLEU is a surprisingly effective reward for instruction following", arXiv
    2505.11080, repository lilakk/BLEUBERI. Its code takes the whole batch as one group and gives NaN for a
    group of one.
    """
    if not parts:
        raise ValueError("parts: expected at least one array")
    total = count = 0.0
    first, xp, dtype = floating(parts[0], "parts[0]", ndim=1)
    for k, part in enumerate(parts):
        x, _, _ = floating(part, f"parts[{k}]", ndim=1)
        if x.shape != first.shape:
            raise ValueError(
                f"parts[{k}]: expected shape {tuple(first.shape)} as parts[0], got {tuple(x.shape)}"
            )
        statistics = group_statistics(x, groups, ddof=ddof, std_floor=std_floor)
        total = total + statistics.z_scores(epsilon)
        count = count + xp.astype(statistics.valid, first.dtype)
    return xp.astype(xp.where(count > 0, total / xp.where(count > 0, count, 1.0), xp.nan), dtype)


class NormalizedSum(Expression):
    """Weighted sum of parts that are each normalised on their own; see `normalized_sum`."""

    def __init__(
        self,
        parts: Sequence[Reward],
        weights: Sequence[float],
        *,
        over: Literal["group", "batch"] = "group",
        ddof: int = 1,
        epsilon: float = 1e-6,
        std_floor: float = STD_FLOOR,
        name: str | None = None,
    ) -> None:
        if not parts:
            raise ValueError("normalized_sum: expected at least one reward")
        if len(weights) != len(parts):
            raise ValueError(f"normalized_sum: expected {len(parts)} weights, got {len(weights)}")
        check_choice(over, "normalized_sum.over", ("group", "batch"))
        self.weights = tuple(check_number(weight, "normalized_sum weight") for weight in weights)
        check_normalization(ddof=ddof, epsilon=epsilon, std_floor=std_floor)
        self.over: Literal["group", "batch"] = over
        self.ddof, self.epsilon, self.std_floor = ddof, epsilon, std_floor
        super().__init__(parts, name)

    def spelled(self) -> str:
        return f"normalized_sum({', '.join(part.name for part in self.parts)})"

    @property
    def scope(self) -> Scope:
        return widest([self.over, *(part.scope for part in self.parts)])

    def options(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in ("weights", "over", "ddof", "epsilon", "std_floor")}

    def combine(self, signals: Sequence[Signal], groups: NDArray[np.int64], context: Context) -> Signal:
        status, reasons = merge_status(signals, self.parts)
        codes = groups if self.over == "group" else np.zeros_like(groups)
        outcome = np.zeros(status.shape[0])
        for weight, part, signal in zip(self.weights, self.parts, signals, strict=True):
            if signal.dense is not None:
                raise ValueError(
                    f"{self.name}: {part.name!r} has a dense channel; reduce it with `total` first"
                )
            statistics = group_statistics(
                signal.outcome, codes, valid=status == Status.OK, ddof=self.ddof, std_floor=self.std_floor
            )
            outcome += weight * statistics.z_scores(self.epsilon)
        return finite(outcome, status, reasons, parts=name_parts(self.parts, signals))


def normalized_sum(
    *parts: Reward,
    weights: Sequence[float] | None = None,
    over: Literal["group", "batch"] = "group",
    ddof: int = 1,
    epsilon: float = 1e-6,
    std_floor: float = STD_FLOOR,
) -> NormalizedSum:
    """Normalise each reward within its group, then weight and add.

        result_i = Σ_k weight_k · (x_{k,i} − mean_{k,g}) / (std_{k,g} + epsilon)

    A plain sum lets the part with the largest spread decide and maps different combinations of parts to one
    total; here every part keeps its own spread. Weights are 1 each by default; 1/K each gives the average of
    z-scores. A part gives 0 in a group of one and in a group where it is constant (std at most `std_floor ·
    |mean|`). A part that abstains in a row is left out of that row's sum; a row in which any part failed
    fails, and enters no part's statistics. `over="batch"` takes the whole batch as one group.

    For the published method put `| BatchNormalize()` behind it, which keeps the size of the result apart from
    the number of rewards.

    Raises `ValueError` without parts, for weights that don't fit, and on use where a part has a dense
    channel.

    S.-Y. Liu et al., "GDPO: Group reward-Decoupled Normalization Policy Optimization for Multi-reward RL
    Optimization", arXiv 2601.05242. The average of two z-scores is BLEUBERI's, arXiv 2505.11080.
    """
    return NormalizedSum(
        parts, weights or [1.0] * len(parts), over=over, ddof=ddof, epsilon=epsilon, std_floor=std_floor
    )
