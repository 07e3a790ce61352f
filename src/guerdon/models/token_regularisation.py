"""Preference optimisation that is told which tokens matter.

Token arrays are (n, T) with a mask of the response's tokens; what stands outside the mask, NaN too, has no influence.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import array_api_compat

from guerdon.core.checks import check_choice, check_number
from guerdon.models.checks import check_shapes
from guerdon.models.log_ratio import token_log_ratios
from guerdon.models.margin import Array, logistic_loss, preference_probability

Weighting: TypeAlias = Literal["dynamic", "static"]
Reduction: TypeAlias = Literal["sum", "mean"]
_compat: Any = array_api_compat


class TokenRegularisedLoss(NamedTuple):
    """`total` (n,) `= preference + alpha · weight · (chosen + rejected)`, and what it is made of, all (n,).

    `preference`: the loss of the pair · `weight`: in [0, 1], without gradient · `chosen`, `rejected`: the regulariser
    of either answer.
    """

    total: Array
    preference: Array
    weight: Array
    chosen: Array
    rejected: Array


def contrastive_token_rewards(better: Array, worse: Array, *, mask: Array | None = None) -> Array:
    """Token rewards that a model gives itself: how much likelier a token is when asked to improve than to spoil.

        r̂_t = σ(log p(y_t | x_better, y_<t) − log p(y_t | x_worse, y_<t)) − ½        in [−½, ½]

    Args:
        better, worse: log-probabilities of the same tokens, of any one shape, under the prompt that asks for a better
            response and under the one that asks for a worse one.
        mask: like `better`, tokens that count; others get 0.

    Returns:
        Like `better`; in torch without gradient.

    Raises:
        ValueError: on shapes that don't fit, or where a token that counts has no finite log-probability.

    Wenxuan Zhou et al., "T-REG: Preference Optimization with Token-Level Reward Regularization", arXiv 2412.02685.
    """
    better, worse = _detached(better), _detached(worse)
    difference = token_log_ratios(better, worse, mask=mask)
    xp = _compat.array_namespace(difference)
    if not bool(xp.all(xp.isfinite(difference))):
        raise ValueError("better, worse: expected finite log-probabilities of the tokens that count")
    return xp.tanh(difference / 2) / 2


def token_regulariser(
    log_probs: Array,
    token_rewards: Array,
    beta: float,
    *,
    mask: Array | None = None,
    reduce: Reduction = "sum",
) -> Array:
    """Likelihood of a response, weighted token by token: tokens of positive reward up, of negative reward down.

        L = −Σ_t beta · r̂_t · log π(y_t | x, y_<t)                 "sum", for DPO
        L = −(beta / |y|) · Σ_t r̂_t · log π(y_t | x, y_<t)         "mean", for SimPO

    This is what remains of −Σ_t r̂_t · r_t, with the implicit reward r_t of DPO, without the constants of its reference.
    |y| is the number of tokens that count.

    Args:
        log_probs: (n, T) under the policy.
        token_rewards: (n, T), for example of `contrastive_token_rewards`; no gradient goes into them. All 1 and 0 make
            it the likelihood loss of the chosen answer.
        beta: > 0, that of the preference loss.
        mask: (n, T) tokens that count; all by default.
        reduce: with the sum, long responses weigh more.

    Returns:
        (n,), differentiable in torch.

    Raises:
        ValueError: on shapes that don't fit, an option out of its range, or a mean over a row without a token.

    Wenxuan Zhou et al., "T-REG: Preference Optimization with Token-Level Reward Regularization", arXiv 2412.02685.
    """
    check_number(beta, "beta", above=0.0)
    check_choice(reduce, "reduce", get_args(Reduction))
    _check_tokens(log_probs, "log_probs", token_rewards=token_rewards, mask=mask)
    found = _weighted_likelihood(log_probs, token_rewards, beta, mask)
    return found if reduce == "sum" else found / _lengths(log_probs, "log_probs", mask)


def token_regularised_dpo(
    policy_chosen: Array,
    policy_rejected: Array,
    ref_chosen: Array,
    ref_rejected: Array,
    rewards_chosen: Array,
    rewards_rejected: Array,
    *,
    beta: float = 0.1,
    alpha: float = 0.25,
    mask_chosen: Array | None = None,
    mask_rejected: Array | None = None,
    weighting: Weighting = "dynamic",
) -> TokenRegularisedLoss:
    """DPO whose implicit token rewards are pulled towards given ones.

        r(y)  = beta · Σ_t (log π(y_t) − log π_ref(y_t)),    m = r(y_c) − r(y_r)
        total = −log σ(m) + alpha · w · (L(y_c) + L(y_r)),   L: `token_regulariser`
        w     = σ(−m), the factor of DPO's own gradient, so that both terms fade together; or 1 (`static`)

    At π = π_ref the preference loss is log 2 and w is ½. Both answers may have widths of their own.

    Args:
        policy_chosen, policy_rejected: (n, T) token log-probabilities under the policy.
        ref_chosen, ref_rejected: the same under the reference.
        rewards_chosen, rewards_rejected: the same for the token rewards.
        beta: > 0, 0.01 to 0.1 in the paper.
        alpha: ≥ 0; of 0.1, 0.25 and 0.5 in the paper.
        mask_chosen, mask_rejected: tokens that count; all by default.
        weighting: what w is.

    Returns:
        A loss a pair, differentiable in torch; take the mean.

    Raises:
        ValueError: on shapes that don't fit or an option out of its range.

    Wenxuan Zhou et al., "T-REG: Preference Optimization with Token-Level Reward Regularization", arXiv 2412.02685.
    """
    check_number(beta, "beta", above=0.0)
    _check_tokens(policy_chosen, "policy_chosen", ref=ref_chosen, rewards=rewards_chosen, mask=mask_chosen)
    _check_tokens(
        policy_rejected, "policy_rejected", ref=ref_rejected, rewards=rewards_rejected, mask=mask_rejected
    )
    _check_rows(policy_chosen, policy_rejected)
    xp = _compat.array_namespace(policy_chosen)
    margin = xp.sum(token_log_ratios(policy_chosen, ref_chosen, beta, mask=mask_chosen), axis=-1) - xp.sum(
        token_log_ratios(policy_rejected, ref_rejected, beta, mask=mask_rejected), axis=-1
    )
    chosen = _weighted_likelihood(policy_chosen, rewards_chosen, beta, mask_chosen)
    rejected = _weighted_likelihood(policy_rejected, rewards_rejected, beta, mask_rejected)
    return _regularised(margin, chosen, rejected, alpha, weighting)


def token_regularised_simpo(
    policy_chosen: Array,
    policy_rejected: Array,
    rewards_chosen: Array,
    rewards_rejected: Array,
    *,
    beta: float = 2.5,
    gamma: float = 0.5,
    alpha: float = 0.25,
    mask_chosen: Array | None = None,
    mask_rejected: Array | None = None,
    weighting: Weighting = "dynamic",
) -> TokenRegularisedLoss:
    """SimPO, which has no reference model, with token rewards that are pulled towards given ones.

        r(y)  = (beta / |y|) · Σ_t log π(y_t),    m = r(y_c) − r(y_r) − gamma
        total = −log σ(m) + alpha · w · (L(y_c) + L(y_r)),   L: `token_regulariser` of `reduce="mean"`
        w     = σ(−m) = σ(gamma − (r(y_c) − r(y_r))), the factor of SimPO's own gradient; or 1 (`static`)

    |y| is the number of tokens that count. Both answers may have widths of their own.

    Args:
        policy_chosen, policy_rejected: (n, T) token log-probabilities under the policy.
        rewards_chosen, rewards_rejected: the same for the token rewards.
        beta: > 0, 2.5 to 10 with a length-normalised reward.
        gamma: ≥ 0, by how much the chosen answer is to win, in units of r.
        alpha: ≥ 0; of 0.1, 0.25 and 0.5 in T-REG.
        mask_chosen, mask_rejected: tokens that count; all by default.
        weighting: what w is.

    Returns:
        A loss a pair, differentiable in torch; take the mean.

    Raises:
        ValueError: on shapes that don't fit, an option out of its range, or an answer without any token that counts.

    Yu Meng, Mengzhou Xia, Danqi Chen, "SimPO: Simple Preference Optimization with a Reference-Free Reward", arXiv
    2405.14734. Wenxuan Zhou et al., "T-REG: Preference Optimization with Token-Level Reward Regularization", arXiv
    2412.02685, whose version for SimPO is known from a summary.
    """
    check_number(beta, "beta", above=0.0)
    check_number(gamma, "gamma", low=0.0)
    _check_tokens(policy_chosen, "policy_chosen", rewards=rewards_chosen, mask=mask_chosen)
    _check_tokens(policy_rejected, "policy_rejected", rewards=rewards_rejected, mask=mask_rejected)
    _check_rows(policy_chosen, policy_rejected)
    reward_chosen, chosen = _per_token(policy_chosen, rewards_chosen, beta, mask_chosen, "policy_chosen")
    reward_rejected, rejected = _per_token(
        policy_rejected, rewards_rejected, beta, mask_rejected, "policy_rejected"
    )
    return _regularised(reward_chosen - reward_rejected - gamma, chosen, rejected, alpha, weighting)


def _regularised(
    margin: Array, chosen: Array, rejected: Array, alpha: float, weighting: Weighting
) -> TokenRegularisedLoss:
    check_number(alpha, "alpha", low=0.0)
    check_choice(weighting, "weighting", get_args(Weighting))
    if weighting == "static":
        weight = _compat.array_namespace(margin).ones_like(margin)
    else:
        weight = preference_probability(-_detached(margin))
    loss = logistic_loss(margin)
    return TokenRegularisedLoss(loss + alpha * weight * (chosen + rejected), loss, weight, chosen, rejected)


def _weighted_likelihood(log_probs: Array, rewards: Array, beta: float, mask: Array | None) -> Array:
    xp = _compat.array_namespace(log_probs)
    rewards = _detached(rewards)
    if mask is not None:
        keep = xp.asarray(mask, device=_compat.device(log_probs)) != 0
        log_probs, rewards = xp.where(keep, log_probs, 0.0), xp.where(keep, rewards, 0.0)
    return -beta * xp.sum(rewards * log_probs, axis=-1)


def _per_token(
    log_probs: Array, rewards: Array, beta: float, mask: Array | None, name: str
) -> tuple[Array, Array]:
    """SimPO's reward of each row (n,), which is the regulariser with −1 for every token, and the regulariser (n,)."""
    lengths = _lengths(log_probs, name, mask)
    same = -_compat.array_namespace(log_probs).ones_like(log_probs)
    return (
        _weighted_likelihood(log_probs, same, beta, mask) / lengths,
        _weighted_likelihood(log_probs, rewards, beta, mask) / lengths,
    )


def _lengths(log_probs: Array, name: str, mask: Array | None) -> Array:
    """How many tokens of each row count (n,)."""
    xp = _compat.array_namespace(log_probs)
    counts = xp.ones_like(log_probs)
    if mask is not None:
        counts = xp.where(xp.asarray(mask, device=_compat.device(log_probs)) != 0, counts, 0.0)
    lengths = xp.sum(counts, axis=-1)
    if bool(xp.any(lengths == 0)):
        raise ValueError(f"{name}: expected at least one token that counts in every row")
    return lengths


def _check_tokens(log_probs: Array, name: str, **beside: Array | None) -> None:
    if log_probs.ndim != 2:
        raise ValueError(f"{name}: expected shape (n, T), got {tuple(log_probs.shape)}")
    given = {f"{key} beside {name}": array for key, array in beside.items() if array is not None}
    check_shapes(tuple(log_probs.shape), **given)


def _check_rows(chosen: Array, rejected: Array) -> None:
    if rejected.shape[0] != chosen.shape[0]:
        raise ValueError(f"policy_rejected: expected {chosen.shape[0]} rows, got {rejected.shape[0]}")


def _detached(array: Array) -> Array:
    return array.detach() if _compat.is_torch_array(array) else array
