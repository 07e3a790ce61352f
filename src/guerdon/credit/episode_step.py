"""Advantages of steps: what the episode was worth plus what the step was worth, each relative to the group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_choice, check_number
from guerdon.core.registry import register
from guerdon.core.signal import Signal
from guerdon.credit.estimators import StepEstimator, Steps, check_dtype
from guerdon.credit.group_relative import SINGLETONS, Singleton
from guerdon.credit.spread import spread_steps
from guerdon.shape.arrays import Array, check_finite, floating
from guerdon.shape.statistics import STD_FLOOR, check_normalization, divide_by_std, group_statistics

Relative: TypeAlias = Literal["mean_std", "mean", "leave_one_out"]
RELATIVES: tuple[Relative, ...] = ("mean_std", "mean", "leave_one_out")
Members: TypeAlias = Literal["all", "first"]
MEMBERS: tuple[Members, ...] = ("all", "first")


def pool_relative(
    values: Array,
    groups: Array | int,
    pool: Array | None = None,
    *,
    relative: Relative = "mean_std",
    singleton: Singleton = "zero",
    ddof: int = 1,
    epsilon: float = 1e-6,
    std_floor: float = STD_FLOOR,
) -> Array:
    """Every value relative to those of its group that form the pool.

        mean_std        (x_i − mean_g) / (std_g + epsilon)
        mean            x_i − mean_g
        leave_one_out   (x_i − mean_g) · k_g / (k_g − 1)

    `k_g`, `mean_g` and `std_g` are of the members of g that are in the pool; values outside it are mapped all the
    same. With all in the pool `leave_one_out` is the value less the mean of the others.

    Args:
        values: (m,) finite.
        groups: (m,) integer codes, or the size of groups that are consecutive.
        pool: (m,) mask of the values that enter the statistics; all by default.
        relative: which form.
        singleton: what a group with one value in the pool gets: 0, or with `raw` its values as they are.
        ddof, epsilon, std_floor: as in `group_statistics`; a pool without spread gives 0 with `mean_std`.

    Returns:
        (m,) like `values`, finite; 0 in a group that has nothing in the pool.

    Raises:
        ValueError: on shapes that don't fit, an unknown option, or a value that isn't finite.
    """
    check_choice(relative, "relative", RELATIVES)
    check_choice(singleton, "singleton", SINGLETONS)
    x, xp, dtype = floating(values, "values", ndim=1)
    check_finite(x, "values")
    statistics = group_statistics(x, groups, valid=pool, ddof=ddof, std_floor=std_floor)
    codes = statistics.codes
    k, flat = statistics.count[codes], statistics.flat[codes]
    result = xp.where(k > 1, x - xp.where(k > 1, statistics.mean[codes], 0.0), 0.0)
    if relative == "mean_std":
        result = divide_by_std(result, statistics.std[codes], flat, epsilon)
    elif relative == "leave_one_out":
        result = result * k / xp.where(k > 1, k - 1, 1.0)
    if singleton == "raw":
        result = xp.where(k == 1, x, result)
    return xp.astype(result, dtype)


@register("episode_step", kind="credit", example="credit: episode_step")
@dataclass
class EpisodeStep(StepEstimator):
    """Episode advantage plus step advantage, both relative to the group, one number for all tokens of a step.

        A_{i,t} = A^E_i + step_weight · A^S_{i,k(t)}        k(t): the first step that ends after token t
        A^E     = pool_relative(outcomes)                    over the samples of the group
        A^S     = pool_relative(step rewards)                over steps of all samples of the group

    `members="all"` (default) takes the statistics of A^S over all steps, which is the method of the paper.
    `members="first"` is that of the released code: over the first step of each sample only, so that later steps
    aren't centred. The code also has `singleton="raw"` for a lone trajectory.

    Steps are taken in the order of their ends; a token before or between steps gets the advantage of the next one, a
    token after the last step A^E. Unlike in
    `StepGroupRelative`, a step isn't credited with what came after it. Needs the `spans` of the dense values in
    tokens, unless their unit is `token` or `time_step`. Raises `ValueError` where they are missing or the signal
    has no dense channel though samples were scored.

    Xiaoqian Liu et al., "Agentic Reinforcement Learning with Implicit Step Rewards", arXiv 2509.19199, repository
    Tongyi-ConvAI/Qwen-Character.
    """

    relative: Relative = "mean_std"
    members: Members = "all"
    step_weight: float = 1.0
    singleton: Singleton = "zero"
    ddof: int = 1
    epsilon: float = 1e-6
    std_floor: float = STD_FLOOR
    dtype: str = "float32"

    def __post_init__(self) -> None:
        check_choice(self.relative, "relative", RELATIVES)
        check_choice(self.members, "members", MEMBERS)
        check_choice(self.singleton, "singleton", SINGLETONS)
        check_number(self.step_weight, "step_weight")
        check_normalization(ddof=self.ddof, epsilon=self.epsilon, std_floor=self.std_floor)
        check_dtype(self.dtype)

    def of_steps(
        self, signal: Signal, steps: Steps, groups: NDArray[np.integer[Any]], mask: NDArray[Any]
    ) -> NDArray[np.floating[Any]]:
        ok, episode = signal.ok, np.zeros(len(signal))
        episode[ok] = self._relative(signal.outcome[ok], groups[ok])
        pool = None if self.members == "all" else np.diff(steps.row, prepend=-1) > 0
        values = self.step_weight * self._relative(steps.values, groups[steps.row], pool)
        return spread_steps(values, steps.spans, mask, steps.offsets, base=episode, dtype=self.dtype)

    def _relative(
        self,
        values: NDArray[np.float64],
        groups: NDArray[np.integer[Any]],
        pool: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.float64]:
        return pool_relative(
            values,
            groups,
            pool,
            relative=self.relative,
            singleton=self.singleton,
            ddof=self.ddof,
            epsilon=self.epsilon,
            std_floor=self.std_floor,
        )
