"""Losses of generative flow networks over solutions: sample each in proportion to its reward, not only the best.

A solution grows by steps and can stop after any, so that every state has one parent and no backward policy is needed.
"""

from __future__ import annotations

from typing import Any

from guerdon.core.checks import check_number
from guerdon.models.checks import check_shapes
from guerdon.shape.arrays import Array, check_finite, companion, device, floating, namespace


def log_rewards(step_scores: Array, floor: float = 1e-6) -> Array:
    """Log-reward of every state of a solution, from the scores of its steps by a process reward model.

        log R_0 = 0,    log R_k = Σ_{l≤k} log max(p_l, floor)

    Args:
        step_scores: (B, K) in [0, 1]; padding must be a number in there too, 1 say.
        floor: in (0, 1], so that a score of 0 isn't an infinite loss.

    Returns:
        (B, K+1) at most 0.

    Raises:
        ValueError: on another rank, a score outside [0, 1] or a floor out of range.

    Adam Younsi et al., "Accurate and Diverse LLM Mathematical Reasoning via Automated PRM-Guided GFlowNets", arXiv
    2504.19981, repository Adam-yni/GFlowNets-FineTuning.
    """
    check_number(floor, "floor", high=1.0, above=0.0)
    p, xp, dtype = floating(step_scores, "step_scores", ndim=2)
    if not bool(xp.all((p >= 0) & (p <= 1))):
        raise ValueError("step_scores: expected numbers in [0, 1], got one outside or NaN")
    sums = xp.cumulative_sum(xp.log(xp.where(p > floor, p, floor)), axis=1)
    return xp.astype(xp.concat([_zeros(p), sums], axis=1), dtype)


def flow_balance_loss(
    log_forward: Array,
    log_reward: Array,
    log_stop: Array,
    decay: float = 1.0,
    lengths: Array | None = None,
) -> Array:
    """Modified sub-trajectory balance over the steps of each solution, the paper's.

        Δ(i,j) = log R_i + Σ_{k=i+1..j} log P_F(step_k) + log P_F(stop|j) − log R_j − log P_F(stop|i)
        loss   = Σ_{i<j} decay^(j−i) · Δ(i,j)² / Σ_{i<j} decay^(j−i)              over states 0 … K

    It is 0 for a policy that writes solutions in proportion to R. Memory is B · (K+1)² numbers.

    Args:
        log_forward: (B, K) log-probability of each step, summed over its tokens.
        log_reward: (B, K+1) of each state, as `log_rewards` gives; state 0 is the problem.
        log_stop: (B, K+1) log-probability of stopping at each state. Take both log-probabilities at the temperature
            that the solutions were sampled at.
        decay: in (0, 1], λ: below 1 near states count more.
        lengths: (B,) steps of each solution; what stands behind them has no influence. K by default.

    Returns:
        (B,), at least 0 and differentiable in torch; 0 for a solution without a step.

    Raises:
        ValueError: on shapes that don't fit, lengths outside [0, K], a number that isn't finite within the lengths, or
            a decay out of range.

    Adam Younsi et al., "Accurate and Diverse LLM Mathematical Reasoning via Automated PRM-Guided GFlowNets", arXiv
    2504.19981, repository Adam-yni/GFlowNets-FineTuning; modified balance is that of Tristan Deleu et al., "Bayesian
    Structure Learning with Generative Flow Networks", arXiv 2202.13903.
    """
    forward, xp, dtype = floating(log_forward, "log_forward", ndim=2)
    steps = forward.shape[1]
    counts = _lengths(lengths, forward, steps)
    place = xp.arange(steps + 1, device=device(forward))[None, :]
    exists = place <= counts[:, None]
    flows = xp.cumulative_sum(_within(forward, exists[:, 1:], "log_forward"), axis=1)
    flows = xp.concat([_zeros(forward), flows], axis=1)
    reward = _beside(log_reward, forward, exists, "log_reward")
    stop = _beside(log_stop, forward, exists, "log_stop")
    return xp.astype(_pair_loss(reward - flows - stop, exists, decay), dtype)


def token_flow_balance_loss(
    log_probs: Array,
    log_scores: Array,
    log_stop: Array,
    decay: float = 1.0,
    lengths: Array | None = None,
) -> Array:
    """Sub-trajectory balance over pairs of tokens, as the released code has it.

        F_t = Σ_{u≤t} log_probs_u,    R_t = Σ_{u≤t} log_scores_u,    e_t = log_stop_t
        Δ(i,j) = R_i − F_i − e_i − (R_j − F_j − e_j)
        loss   = Σ_{i<j} decay^(j−i) · Δ(i,j)² / Σ_{i<j} decay^(j−i)              over tokens 1 … T

    A step of m tokens counts m times log p in R, so that long steps of a low score are punished m-fold: sampling isn't in
    proportion to the product of step scores, as with `flow_balance_loss`. Memory is B · T² numbers.

    Args:
        log_probs: (B, T) of the tokens.
        log_scores: (B, T) log p of the step that each token belongs to, p kept above 0; `credit.spread_steps` spreads
            scores over tokens.
        log_stop: (B, T) log-probability of the end token in the place after each token.
        decay, lengths: as in `flow_balance_loss`, with tokens for steps.

    Returns:
        (B,), at least 0 and differentiable in torch; 0 for a row of fewer than two tokens.

    Raises:
        ValueError: as `flow_balance_loss`.

    Adam Younsi et al., "Accurate and Diverse LLM Mathematical Reasoning via Automated PRM-Guided GFlowNets", arXiv
    2504.19981, repository Adam-yni/GFlowNets-FineTuning.
    """
    tokens, xp, dtype = floating(log_probs, "log_probs", ndim=2)
    counts = _lengths(lengths, tokens, tokens.shape[1])
    exists = xp.arange(tokens.shape[1], device=device(tokens))[None, :] < counts[:, None]
    flows = xp.cumulative_sum(_within(tokens, exists, "log_probs"), axis=1)
    reward = xp.cumulative_sum(_beside(log_scores, tokens, exists, "log_scores"), axis=1)
    stop = _beside(log_stop, tokens, exists, "log_stop")
    return xp.astype(_pair_loss(reward - flows - stop, exists, decay), dtype)


def _pair_loss(potential: Array, exists: Array, decay: float) -> Array:
    """Weighted mean of the squared differences of all pairs in a row (B,); 0 where there is no pair."""
    check_number(decay, "decay", high=1.0, above=0.0)
    xp = namespace(potential)
    place = xp.arange(potential.shape[1], device=device(potential))
    ahead = place[None, :] - place[:, None]
    pairs = exists[:, :, None] & exists[:, None, :] & (ahead > 0)[None, :, :]
    weight = xp.astype(pairs, potential.dtype) * decay ** xp.astype(xp.abs(ahead), potential.dtype)
    squares = (potential[:, :, None] - potential[:, None, :]) ** 2
    total = xp.sum(weight, axis=(1, 2))
    return xp.sum(weight * squares, axis=(1, 2)) / xp.where(total > 0, total, 1.0)


def _zeros(like: Array) -> Array:
    return namespace(like).zeros((like.shape[0], 1), dtype=like.dtype, device=device(like))


def _lengths(lengths: Any, like: Array, most: int) -> Array:
    xp, shape = namespace(like), (like.shape[0],)
    if lengths is None:
        return xp.full(shape, most, dtype=xp.int64, device=device(like))
    counts = companion(lengths, like, "lengths", shape)
    if not xp.isdtype(counts.dtype, "integral") or bool(xp.any((counts < 0) | (counts > most))):
        raise ValueError(f"lengths: expected integers in [0, {most}], got {lengths!r:.80}")
    return counts


def _beside(array: Array, like: Array, exists: Array, name: str) -> Array:
    """An array of the shape of `exists` in the precision of `like`, with 0 where nothing exists."""
    # Not `companion`: `torch.asarray` cuts the graph in older releases, and stopping is learned through it.
    values = floating(array, name).values
    check_shapes(tuple(exists.shape), **{name: values})
    return _within(namespace(like).astype(values, like.dtype), exists, name)


def _within(array: Array, exists: Array, name: str) -> Array:
    kept = namespace(array).where(exists, array, 0.0)
    check_finite(kept, name)
    return kept
