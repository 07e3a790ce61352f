"""Turn rewards from how likely the policy finds the reference answer after each turn."""

from __future__ import annotations

from guerdon.shape.arrays import Array, check_finite, check_offsets, device, floating
from guerdon.shape.rows import row_index, row_sum


def answer_belief(logprobs: Array, offsets: Array) -> Array:
    """Length-normalised probability of the reference answer at each probe.

        p_k = exp( (1/L_k) Σ_j log π(a_j | history_k, a_<j) )          in [0, 1]

    Args:
        logprobs: (m,) at most 0, of the answer's tokens only, all probes end to end.
        offsets: (K+1,) row offsets of the K probes; each has at least one token.

    Returns:
        (K,). In torch the graph is kept: detach where the probability is used as a reward.

    Raises:
        ValueError: on offsets that don't fit, a probe without tokens, or a log-probability that is above 0 or NaN.

    Guoqing Wang et al., "Information Gain-based Policy Optimization: A Simple and Effective Approach for
    Multi-Turn LLM Agents", arXiv 2510.14967, repository GuoqingWang1/IGPO.
    """
    values, xp, dtype = floating(logprobs, "logprobs", ndim=1)
    if bool(xp.any(~(values <= 0))):
        raise ValueError("logprobs: expected numbers of at most 0, got a larger one or NaN")
    bounds = check_offsets(offsets, values, "offsets", values.shape[0])
    lengths = bounds[1:] - bounds[:-1]
    if bool(xp.any(lengths == 0)):
        raise ValueError("offsets: expected at least one answer token in every probe, got none in one")
    return xp.astype(xp.exp(row_sum(values, lengths) / xp.astype(lengths, values.dtype)), dtype)


def information_gain(beliefs: Array, offsets: Array) -> tuple[Array, Array]:
    """What each turn added to the belief in the reference answer.

        r_t = p_t − p_{t−1},    t = 1 … K_i − 1          in [-1, 1]

    Args:
        beliefs: (m,) finite; of each rollout first `p_0`, before any turn, then one after each turn whose
            reward is asked for.
        offsets: (n+1,) row offsets of the rollouts; each has at least one belief.

    Returns:
        The rewards (m − n,) and their row offsets (n+1,).

    Raises:
        ValueError: on offsets that don't fit, a rollout without a belief, or a belief that isn't finite.

    Guoqing Wang et al., "Information Gain-based Policy Optimization: A Simple and Effective Approach for
    Multi-Turn LLM Agents", arXiv 2510.14967, repository GuoqingWang1/IGPO.
    """
    p, xp, dtype = floating(beliefs, "beliefs", ndim=1)
    check_finite(p, "beliefs")
    bounds = check_offsets(offsets, p, "offsets", p.shape[0])
    lengths = bounds[1:] - bounds[:-1]
    if bool(xp.any(lengths == 0)):
        raise ValueError("offsets: expected at least one belief in every rollout, got none in one")
    row = row_index(lengths)
    within = row[1:] == row[:-1]
    gains = (p[1:] - p[:-1])[within]
    return xp.astype(gains, dtype), bounds - xp.arange(bounds.shape[0], device=device(p))
