"""Advantages of samples relative to the other samples of their group."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from guerdon.core.checks import check_choice
from guerdon.shape.arrays import Array, floating, namespace
from guerdon.shape.statistics import (
    STD_FLOOR,
    GroupStatistics,
    check_normalization,
    divide_by_std,
    group_statistics,
)

Baseline: TypeAlias = Literal["mean", "leave_one_out", "none"]
Scale: TypeAlias = Literal["std", "batch_std", "advantage_std", "none"]
Singleton: TypeAlias = Literal["zero", "raw"]
BASELINES: tuple[Baseline, ...] = ("mean", "leave_one_out", "none")
SCALES: tuple[Scale, ...] = ("std", "batch_std", "advantage_std", "none")
SINGLETONS: tuple[Singleton, ...] = ("zero", "raw")


def group_relative(
    rewards: Array,
    groups: Array | int,
    *,
    valid: Array | None = None,
    baseline: Baseline = "mean",
    scale: Scale = "std",
    singleton: Singleton = "zero",
    ddof: int = 1,
    epsilon: float = 1e-4,
    std_floor: float = STD_FLOOR,
) -> Array:
    """Advantage of each sample relative to its group: `A_i = (r_i − b_i) / s_i`.

    With `g` the group of sample i, `k_g` its number of valid samples and `mean_g`, `std_g` over them:

        baseline   mean            b_i = mean_g
                   leave_one_out   b_i = Σ_{j∈g, j≠i} r_j / (k_g − 1)
                   none            b_i = 0
        scale      std             s_i = std_g + epsilon
                   batch_std       s_i = std of all valid rewards of the batch + epsilon
                   advantage_std   s_i = std of r_j − b_j over all valid samples of the batch + epsilon
                   none            s_i = 1

    The published estimators are choices of these (each std with `ddof=1`):

        GRPO                      mean, std
        Dr. GRPO                  mean, none
        RLOO                      leave_one_out, none
        TRL, scale_rewards=batch  mean, batch_std
        REINFORCE++ with baseline mean, advantage_std

    Degenerate groups have a stated result. A group is flat where its std is at most `std_floor · |mean_g|`,
    which covers equal rewards that differ by rounding residue; all its advantages are 0. A group of one valid
    sample has nothing to compare with: advantage 0, or with `singleton="raw"` the reward itself (mean 0 and
    std 1, as verl and ToolRL have it). With `baseline="none"` groups matter only for `scale="std"`. Where the
    std of a whole batch is at its floor, all advantages are 0.

    Args:
        rewards: (n,) real. NaN marks a sample without a reward.
        groups: (n,) integer codes; or a group size, where groups are consecutive rows.
        valid: (n,) mask, usually `Signal.ok`. Invalid samples get advantage 0 and enter no statistic.
        ddof: degrees of freedom taken off in every std.
        epsilon: added to every std, in units of the reward. TRL has 1e-4, verl 1e-6.
        std_floor: relative floor of a std.

    Returns:
        (n,) advantages in the namespace, dtype and device of `rewards`; finite.

    Raises:
        TypeError: where an argument isn't an array of its kind.
        ValueError: on shapes that don't fit, an infinite reward, or an unknown option.

    Z. Shao et al., "DeepSeekMath", arXiv 2402.03300. Z. Liu et al., "Understanding R1-Zero-like training: a
    critical perspective" (Dr. GRPO), arXiv 2503.20783. A. Ahmadian et al., "Back to basics: revisiting
    REINFORCE style optimization" (RLOO), arXiv 2402.14740. J. Hu et al., "REINFORCE++", arXiv 2501.03262.
    Repositories huggingface/trl, volcengine/verl.
    """
    check_choice(baseline, "baseline", BASELINES)
    check_choice(scale, "scale", SCALES)
    check_choice(singleton, "singleton", SINGLETONS)
    check_normalization(epsilon=epsilon)
    r, xp, dtype = floating(rewards, "rewards", ndim=1)
    statistics = group_statistics(r, groups, valid=valid, ddof=ddof, std_floor=std_floor)
    count = statistics.count[statistics.codes]
    flat = statistics.flat[statistics.codes]

    advantage = _subtract_baseline(r, statistics, baseline)
    if baseline != "none" or scale == "std":
        advantage = xp.where(flat, 0.0, advantage)
    if scale == "std":
        advantage = divide_by_std(advantage, statistics.std[statistics.codes], flat, epsilon)
    elif scale != "none":
        compared = r if scale == "batch_std" else advantage
        batch = group_statistics(
            compared, xp.zeros_like(statistics.codes), valid=statistics.valid, ddof=ddof, std_floor=std_floor
        )
        advantage = divide_by_std(advantage, batch.std[batch.codes], batch.flat[batch.codes], epsilon)
    if singleton == "raw":
        advantage = xp.where(statistics.valid & (count == 1), r, advantage)
    return xp.astype(advantage, dtype)


def _subtract_baseline(r: Array, statistics: GroupStatistics, baseline: Baseline) -> Array:
    xp = namespace(r)
    if baseline == "none":
        return xp.where(statistics.valid, r, 0.0)
    if baseline == "mean":
        return statistics.deviation
    count = statistics.count[statistics.codes]
    return statistics.deviation * count / xp.where(count > 1, count - 1, 1.0)


class ZeroVariance(NamedTuple):
    """`rows` (n,) bool: samples of groups without signal · `share`: such groups among all, in [0, 1]."""

    rows: Array
    share: float


def zero_variance_groups(
    rewards: Array, groups: Array | int, *, valid: Array | None = None, std_floor: float = STD_FLOOR
) -> ZeroVariance:
    """Which groups carry no signal: their group-relative advantages are all 0.

    A group has none where fewer than two of its samples are valid, or where its std is at most
    `std_floor · |mean|`. Arguments and errors as in `group_relative`; the share of an empty batch is 0.
    """
    statistics = group_statistics(rewards, groups, valid=valid, std_floor=std_floor)
    flat = statistics.flat
    share = int(flat.sum()) / flat.shape[0] if flat.shape[0] else 0.0
    return ZeroVariance(flat[statistics.codes], share)
