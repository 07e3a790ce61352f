"""Group-relative advantages in which all turn rewards of a group are one pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_choice, check_number
from guerdon.core.registry import register
from guerdon.core.signal import Signal
from guerdon.credit.estimators import StepEstimator, Steps, check_dtype, spans_to
from guerdon.credit.returns import discounted_returns
from guerdon.credit.spread import spread_steps
from guerdon.shape.arrays import Array, boolean, check_finite, check_offsets, companion, device, floating
from guerdon.shape.statistics import STD_FLOOR, check_normalization, group_statistics, segment_sum

Pool: TypeAlias = Literal["turns", "positions"]
POOLS: tuple[Pool, ...] = ("turns", "positions")


def turn_group_advantages(
    rewards: Array,
    offsets: Array,
    groups: Array,
    *,
    discount: float = 1.0,
    ddof: int = 1,
    epsilon: float = 1e-6,
    std_floor: float = STD_FLOOR,
) -> Array:
    """One advantage a turn: z-scores over all turn rewards of the group, then their discounted sum to the end.

        z_{i,t} = (r_{i,t} − mean_g) / (std_g + epsilon)      mean and std over all turns of all rollouts in g
        A_{i,t} = z_{i,t} + discount · A_{i,t+1}

    The outcome is the reward of a rollout's last turn, so it shares the pool. A long rollout has more weight in
    mean and std. A group whose rewards are equal up to rounding (`std_floor`), or that has only one, gives 0.

    Args:
        rewards: (m,) finite, turns of all rollouts end to end.
        offsets: (n+1,) row offsets of the rollouts.
        groups: (n,) integer codes.
        discount: in [0, 1]; 0 leaves the plain z-scores.
        ddof, epsilon, std_floor: as in `group_statistics`. The paper is known from memory: which ddof it means
            isn't certain.

    Returns:
        (m,) like `rewards`.

    Raises:
        ValueError: on shapes that don't fit, or a reward that isn't finite.

    Guoqing Wang et al., "Information Gain-based Policy Optimization: A Simple and Effective Approach for
    Multi-Turn LLM Agents", arXiv 2510.14967. The released code does something else: `positional_group_advantages`.
    """
    r, xp, dtype = floating(rewards, "rewards", ndim=1)
    check_finite(r, "rewards")
    bounds = check_offsets(offsets, r, "offsets", r.shape[0])
    codes = companion(groups, r, "groups", (bounds.shape[0] - 1,))
    statistics = group_statistics(
        r, xp.repeat(codes, bounds[1:] - bounds[:-1]), ddof=ddof, std_floor=std_floor
    )
    returns = discounted_returns(statistics.z_scores(epsilon), discount, offsets=bounds)
    return xp.astype(returns, dtype)


def positional_group_advantages(
    rewards: Array, mask: Array, groups: Array, *, discount: float = 1.0
) -> Array:
    """One advantage a token: the return from it, less what the group's rollouts have at the same position.

        G_{i,t} = r_{i,t} + discount · mask_{i,t+1} · G_{i,t+1}
        A_{i,t} = mask_{i,t} · (G_{i,t} − mean_{j∈g} G_{j,t})

    The default estimator of the IGPO repository. Returns stop at tokens outside the mask (tool output), so the
    reward of a turn reaches that turn only; and positions are compared though turns end at different ones.
    It isn't divided by a std. The mean is over all rollouts of the group, with what they have at that position.

    Args:
        rewards: (n, T) finite, a turn's reward at its last token.
        mask: (n, T) tokens of the policy.
        groups: (n,) integer codes.
        discount: in [0, 1].

    Returns:
        (n, T) like `rewards`; 0 outside the mask.

    Raises:
        ValueError: on shapes that don't fit, or a reward that isn't finite.

    Guoqing Wang et al., "Information Gain-based Policy Optimization: A Simple and Effective Approach for
    Multi-Turn LLM Agents", arXiv 2510.14967, repository GuoqingWang1/IGPO.
    """
    r, xp, dtype = floating(rewards, "rewards", ndim=2)
    n, width = r.shape
    keep = xp.astype(boolean(mask, r, "mask", (n, width)), r.dtype)
    codes = companion(groups, r, "groups", (n,))
    check_number(discount, "discount", 0.0, 1.0)
    carried = xp.concat([keep[:, 1:], xp.zeros_like(keep[:, :1])], axis=1)
    returns = discounted_returns(r, discount * carried)
    group = xp.unique_inverse(codes)
    size = group.values.shape[0]
    place = (group.inverse_indices[:, None] * width + xp.arange(width, device=device(r))).reshape(-1)
    sums = segment_sum(returns.reshape(-1), place, size * width)
    members = segment_sum(xp.ones_like(r).reshape(-1), place, size * width)
    means = (sums / xp.where(members > 0, members, 1.0))[place].reshape(n, width)
    return xp.astype(keep * (returns - means), dtype)


@register("turn_group", kind="credit", example="credit: turn_group")
@dataclass
class TurnGroupRelative(StepEstimator):
    """Advantages from turn rewards and the outcome together, normalised over the group.

    The turns of a rollout are its dense values, in the order of their ends, and then the outcome as the reward
    of the last turn, which runs from there to the end of the row. A token gets the advantage of the turn that
    it stands in; one between two turns that of the later.

    `pool="turns"` (default) is the method of the paper, `turn_group_advantages`. `pool="positions"` is that of
    the released code, `positional_group_advantages` with each reward at the last token of its turn that is in
    the mask; `ddof`, `epsilon` and `std_floor` have no meaning there.

    Needs the `spans` of the dense values in tokens, unless their unit is `token` or `time_step`. Raises `ValueError`
    where they are missing or the signal has no dense channel though samples were scored.

    Guoqing Wang et al., "Information Gain-based Policy Optimization: A Simple and Effective Approach for
    Multi-Turn LLM Agents", arXiv 2510.14967, repository GuoqingWang1/IGPO.
    """

    discount: float = 1.0
    pool: Pool = "turns"
    ddof: int = 1
    epsilon: float = 1e-6
    std_floor: float = STD_FLOOR
    dtype: str = "float32"

    def __post_init__(self) -> None:
        check_number(self.discount, "discount", 0.0, 1.0)
        check_choice(self.pool, "pool", POOLS)
        check_normalization(ddof=self.ddof, epsilon=self.epsilon, std_floor=self.std_floor)
        check_dtype(self.dtype)

    def of_steps(
        self, signal: Signal, steps: Steps, groups: NDArray[np.integer[Any]], mask: NDArray[Any]
    ) -> NDArray[np.floating[Any]]:
        ok, result = signal.ok, np.zeros(mask.shape, dtype=self.dtype)
        rewards, turns, offsets = _with_outcome(signal, steps, mask.shape[1])
        groups, mask = groups[ok], mask[ok]
        if self.pool == "turns":
            advantages = turn_group_advantages(
                rewards,
                offsets,
                groups,
                discount=self.discount,
                ddof=self.ddof,
                epsilon=self.epsilon,
                std_floor=self.std_floor,
            )
            result[ok] = spread_steps(advantages, turns, mask, offsets, dtype=self.dtype)
        else:
            at_ends = spread_steps(rewards, turns, mask, offsets, share="last")
            result[ok] = positional_group_advantages(at_ends, mask, groups, discount=self.discount)
        return result


def _with_outcome(
    signal: Signal, steps: Steps, width: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Rewards (m,), spans (m, 2) and row offsets of all turns of the scored rows, the outcome as each row's last."""
    ok = signal.ok
    lengths = np.diff(steps.offsets)[ok] + 1
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    is_outcome = np.zeros(offsets[-1], dtype=bool)
    is_outcome[offsets[1:] - 1] = True
    rewards, ends = np.empty(offsets[-1]), np.full(offsets[-1], width, dtype=np.int64)
    rewards[is_outcome], rewards[~is_outcome] = signal.outcome[ok], steps.values
    ends[~is_outcome] = steps.ends
    return rewards, spans_to(ends, np.repeat(np.arange(lengths.size), lengths)), offsets
