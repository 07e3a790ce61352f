"""Token hidden reward: how far training on a token moves the likelihood of the group's correct responses.

All functions take one group of n responses, whose m tokens lie end to end with row offsets (n+1,).
"""

from __future__ import annotations

import math

from guerdon.core.checks import check_number
from guerdon.shape.arrays import (
    Array,
    boolean,
    check_finite,
    check_offsets,
    companion,
    device,
    floating,
    namespace,
)
from guerdon.shape.rows import by_rows, row_index, row_sum


def prediction_errors(probabilities: Array, tokens: Array) -> Array:
    """What the policy got wrong at each token: `e = onehot(token) − probabilities`.

    Args:
        probabilities: (m, V) of the policy that sampled, over a vocabulary that may be cut to the tokens that occur
            in the group; they aren't renormalised then.
        tokens: (m,) integers in [0, V).

    Returns:
        (m, V) like `probabilities`.

    Raises:
        ValueError: on shapes that don't fit or a token outside the vocabulary.
        TypeError: where tokens aren't integers.
    """
    p, xp, dtype = floating(probabilities, "probabilities", ndim=2)
    chosen = companion(tokens, p, "tokens", (p.shape[0],))
    if not xp.isdtype(chosen.dtype, "integral"):
        raise TypeError(f"tokens: expected integers, got dtype {chosen.dtype}")
    if bool(xp.any((chosen < 0) | (chosen >= p.shape[1]))):
        raise ValueError(f"tokens: expected integers in [0, {p.shape[1]})")
    onehot = chosen[:, None] == xp.arange(p.shape[1], device=device(p))[None, :]
    return xp.astype(xp.astype(onehot, p.dtype) - p, dtype)


def influence_on_correct(
    hidden: Array, errors: Array, offsets: Array, correct: Array, *, length_normalized: bool = True
) -> Array:
    """How much a step on each token raises the likelihood of the group's correct responses, without its sign.

        s_{j,k'} = Σ_{correct i} 1/|y_i| · Σ_k ⟨e_{j,k'}, e_{i,k}⟩ · ⟨h_{j,k'}, h_{i,k}⟩  =  e_{j,k'}ᵀ M h_{j,k'}
        M        = Σ_{correct i} 1/|y_i| · E_iᵀ H_i

    A correct response counts itself. Cost is that of two products with M (V, d), not of all pairs.

    Args:
        hidden: (m, d) last hidden states, each the one that *predicts* the token. Half precision is widened.
        errors: (m, V) `prediction_errors` of the same tokens, over one vocabulary for the whole group.
        offsets: (n+1,) row offsets of the responses.
        correct: (n,) booleans.
        length_normalized: False leaves out 1/|y_i|, as the predecessor of the method has it.

    Returns:
        (m,) in the precision of `hidden`, widened; all 0 where no response is correct.

    Raises:
        ValueError: on shapes that don't fit or numbers that aren't finite.

    Wenlong Deng et al., "Token Hidden Reward: Steering Exploration-Exploitation in Group Relative Deep
    Reinforcement Learning", arXiv 2510.03669.
    """
    h, xp, _ = floating(hidden, "hidden", ndim=2)
    check_finite(h, "hidden")
    m = h.shape[0]
    e = floating(errors, "errors", ndim=2).values
    e = xp.astype(companion(e, h, "errors", (m, e.shape[1])), h.dtype)
    check_finite(e, "errors")
    lengths, row, right = _responses(offsets, correct, h, m)
    weight = xp.astype(right, h.dtype)
    if length_normalized:
        weight = weight / xp.where(lengths > 0, xp.astype(lengths, h.dtype), 1.0)
    matrix = xp.matmul(xp.matrix_transpose(e), weight[row][:, None] * h)
    return xp.sum(xp.matmul(e, matrix) * h, axis=1)


def token_hidden_reward(hidden: Array, errors: Array, offsets: Array, correct: Array) -> Array:
    """Token hidden reward: `THR_{j,k'} = (2 · correct_j − 1) · influence_on_correct_{j,k'}`.

    The training step on a token of a wrong response goes the other way, hence the sign. Above 0 the token makes the
    correct responses at hand likelier (exploitation), below 0 it leaves room for others (exploration).

    Arguments, result and errors as in `influence_on_correct`.

    Wenlong Deng et al., "Token Hidden Reward: Steering Exploration-Exploitation in Group Relative Deep
    Reinforcement Learning", arXiv 2510.03669.
    """
    influence = influence_on_correct(hidden, errors, offsets, correct)
    _, row, right = _responses(offsets, correct, influence, influence.shape[0])
    return namespace(influence).where(right[row], influence, -influence)


def influence_threshold(influence: Array, offsets: Array, correct: Array) -> float:
    """The influence that counts as large: `τ = min over correct i of (mean over k of s_{i,k})`.

    It moves with the norms of the hidden states, as a constant wouldn't. The THR paper is known from a summary, which
    leaves open whether it takes the minimum or the mean over correct responses; this is its predecessor's rule.

    Args:
        influence: (m,) `influence_on_correct`: length-normalised for `steer_advantages`, not so for
            `spare_wrong_tokens`.
        offsets: (n+1,) row offsets of the responses.
        correct: (n,) booleans.

    Returns:
        τ; infinity where no correct response has a token, so that no influence is large.

    Raises:
        ValueError: on shapes that don't fit or numbers that aren't finite.

    Wenlong Deng et al., "On the Effect of Negative Gradient in Group Relative Deep Reinforcement Optimization"
    (NTHR), arXiv 2505.18830.
    """
    s, xp, _ = floating(influence, "influence", ndim=1)
    check_finite(s, "influence")
    lengths, _, right = _responses(offsets, correct, s, s.shape[0])
    anchors = right & (lengths > 0)
    means = row_sum(s, lengths) / xp.where(anchors, xp.astype(lengths, s.dtype), 1.0)
    return float(xp.min(means[anchors])) if bool(xp.any(anchors)) else float("inf")


def steer_advantages(
    advantages: Array, hidden_reward: Array, offsets: Array, threshold: float, p: float = 0.0
) -> Array:
    """Advantages of the dominant tokens alone, tilted towards exploitation or exploration.

        A'_{j,k'} = (1 + p · sign(THR_{j,k'})) · A_j    where |THR_{j,k'}| > threshold, else 0

    Args:
        advantages: (n,) finite, of the responses; the paper's are group-relative with population std and no epsilon.
        hidden_reward: (m,) `token_hidden_reward`.
        offsets: (n+1,) row offsets of the responses.
        threshold: `influence_threshold` of the same influence. Infinity drops every token, below 0 keeps all.
        p: in [−1, 1]; above 0 for exploitation, below 0 for exploration, 0 only selects. The paper has ±0.1.

    Returns:
        (m,) like `advantages`.

    Raises:
        ValueError: on shapes that don't fit, numbers that aren't finite or options out of range.

    Wenlong Deng et al., "Token Hidden Reward: Steering Exploration-Exploitation in Group Relative Deep
    Reinforcement Learning", arXiv 2510.03669.
    """
    check_number(p, "p", -1.0, 1.0)
    if math.isnan(threshold):
        raise ValueError("threshold: expected a number, got NaN")
    a, thr, lengths, dtype = _beside_tokens(advantages, hidden_reward, offsets, "hidden_reward")
    xp = namespace(a)

    def tilt(_: Array, a: Array, thr: Array) -> Array:
        return xp.where(xp.abs(thr) > threshold, (1 + p * xp.sign(thr)) * a, 0.0)

    steered = by_rows(tilt, lengths, (xp.repeat(a, lengths), thr), overwrite=True)
    return xp.astype(steered, dtype, copy=False)


def spare_wrong_tokens(
    advantages: Array, influence: Array, offsets: Array, correct: Array, threshold: float
) -> Array:
    """Soften the penalty on those tokens of wrong responses that correct ones live on.

        A'_{j,k'} = η · A_j    where j is wrong and s_{j,k'} > threshold, else A_j
        η         = 2 · |1/2 − share of correct responses|

    Args:
        advantages: (n,) finite, of the responses.
        influence: (m,) `influence_on_correct` with `length_normalized=False`.
        offsets: (n+1,) row offsets of the responses.
        correct: (n,) booleans.
        threshold: `influence_threshold` of the same influence.

    Returns:
        (m,) like `advantages`.

    Raises:
        ValueError: on shapes that don't fit or numbers that aren't finite.

    Wenlong Deng et al., "On the Effect of Negative Gradient in Group Relative Deep Reinforcement Optimization"
    (NTHR), arXiv 2505.18830.
    """
    a, s, lengths, dtype = _beside_tokens(advantages, influence, offsets, "influence")
    xp = namespace(a)
    right = boolean(correct, a, "correct", tuple(a.shape))
    share = float(xp.mean(xp.astype(right, a.dtype))) if a.shape[0] else 0.0
    spared = xp.repeat(~right, lengths) & (s > threshold)
    return xp.astype(xp.where(spared, 2 * abs(0.5 - share), 1.0) * xp.repeat(a, lengths), dtype)


def _responses(offsets: Array, correct: Array, like: Array, total: int) -> tuple[Array, Array, Array]:
    """Lengths (n,) of the responses, the response of each token (m,), and which are correct (n,)."""
    bounds = check_offsets(offsets, like, "offsets", total)
    lengths = bounds[1:] - bounds[:-1]
    right = boolean(correct, like, "correct", tuple(lengths.shape))
    return lengths, row_index(lengths), right


def _beside_tokens(
    advantages: Array, scores: Array, offsets: Array, name: str
) -> tuple[Array, Array, Array, object]:
    """Advantages (n,), scores (m,), lengths of the responses (n,), and the caller's dtype."""
    a, _, dtype = floating(advantages, "advantages", ndim=1)
    check_finite(a, "advantages")
    s = floating(scores, name, ndim=1).values
    s = companion(s, a, name, tuple(s.shape))
    check_finite(s, name)
    bounds = check_offsets(offsets, a, "offsets", s.shape[0], rows=a.shape[0])
    return a, s, bounds[1:] - bounds[:-1], dtype
