"""A preference between trajectories that are scored turn by turn."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import array_api_compat

from guerdon.core.checks import check_choice
from guerdon.models.checks import row_offsets
from guerdon.models.margin import Array, logistic_loss

Reduce: TypeAlias = Literal["sum", "mean"]
_compat: Any = array_api_compat


def trajectory_scores(
    turn_rewards: Array, offsets: Array, active: Array | None = None, *, reduce: Reduce = "sum"
) -> Array:
    """Score of each trajectory from the implicit rewards `beta · log(π / π_ref)` of its turns.

        sum    s_i = Σ_t r_{i,t}                        a Bradley–Terry model with an additive reward, the paper's
        mean   s_i = Σ_t r_{i,t} / active turns of i     the released code's; a long failure isn't bad by length

    Args:
        turn_rewards: (m,) real, turns of all trajectories end to end.
        offsets: (n+1,) row offsets.
        active: (m,) booleans; turns that don't count are left out whatever their reward. All by default.
        reduce: which form.

    Returns:
        (n,) in the namespace of the rewards, differentiable in torch; NaN for a trajectory without an active turn.

    Raises:
        ValueError: on shapes that don't fit or an unknown form.

    Xiaoqian Liu et al., "Agentic Reinforcement Learning with Implicit Step Rewards", arXiv 2509.19199, repository
    Tongyi-ConvAI/Qwen-Character.
    """
    check_choice(reduce, "reduce", ("sum", "mean"))
    xp = _compat.array_namespace(turn_rewards)
    if turn_rewards.ndim != 1:
        raise ValueError(f"turn_rewards: expected shape (m,), got {tuple(turn_rewards.shape)}")
    m = turn_rewards.shape[0]
    bounds = row_offsets(offsets, "offsets", m).tolist()
    counts = xp.ones_like(turn_rewards, dtype=xp.bool) if active is None else xp.asarray(active) != 0
    if tuple(counts.shape) != (m,):
        raise ValueError(f"active: expected shape ({m},), got {tuple(counts.shape)}")
    scores = list[Array]()
    for i in range(len(bounds) - 1):
        turns = slice(bounds[i], bounds[i + 1])
        kept = turn_rewards[turns][counts[turns]]
        score = xp.sum(kept) if kept.shape[0] else xp.sum(kept) + xp.nan
        scores.append(score / max(kept.shape[0], 1) if reduce == "mean" else score)
    return xp.stack(scores) if scores else turn_rewards[:0]


def group_pair_loss(scores: Array, success: Array, groups: Array) -> Array:
    """Logistic loss of every pair of a success and a failure of one group, averaged over all pairs.

        loss = mean over (i, j): group_i = group_j, success_i, not success_j   of   −log σ(s_i − s_j)

    Args:
        scores: (n,) real; a trajectory whose score is NaN is in no pair.
        success: (n,) booleans.
        groups: (n,) integer codes.

    Returns:
        A number in the namespace of the scores, at least 0 and differentiable in torch; 0 where there is no pair.

    Raises:
        ValueError: on shapes that don't fit.

    Xiaoqian Liu et al., "Agentic Reinforcement Learning with Implicit Step Rewards", arXiv 2509.19199, repository
    Tongyi-ConvAI/Qwen-Character, which pairs so; the text speaks of one failure for each success.
    """
    xp = _compat.array_namespace(scores)
    won, codes = xp.asarray(success) != 0, xp.asarray(groups)
    for name, array in (("success", won), ("groups", codes)):
        if tuple(array.shape) != tuple(scores.shape):
            raise ValueError(f"{name}: expected shape {tuple(scores.shape)}, got {tuple(array.shape)}")
    known = ~xp.isnan(scores)
    pairs = (codes[:, None] == codes[None, :]) & (won & known)[:, None] & (~won & known)[None, :]
    better, worse = xp.nonzero(pairs)
    total = xp.sum(logistic_loss(scores[better] - scores[worse]))
    return total / max(better.shape[0], 1)
