"""Losses of a preference as functions of its margin, by which the chosen answer beats the rejected one."""

from __future__ import annotations

from typing import Any, TypeAlias

import array_api_compat

from guerdon.core.checks import check_number
from guerdon.models.checks import check_shapes

Array: TypeAlias = Any
"""A NumPy array or a torch tensor."""

_compat: Any = array_api_compat


def implicit_reward_margin(
    policy_chosen: Array, policy_rejected: Array, ref_chosen: Array, ref_rejected: Array, beta: float = 0.1
) -> Array:
    """Margin of DPO: the difference of the implicit rewards `beta · log(π / π_ref)`.

        margin = beta · ((log π(y_c|x) − log π_ref(y_c|x)) − (log π(y_r|x) − log π_ref(y_r|x)))

    Args:
        policy_chosen, policy_rejected: (n,) log-probabilities of the chosen and the rejected answer under the
            policy, summed over the tokens that the policy wrote; for an agent's trajectory those of all
            turns, without what the environment answered.
        ref_chosen, ref_rejected: (n,) the same under the reference policy.
        beta: > 0, the strength of the implied KL penalty.

    Returns:
        (n,) in the namespace of the inputs, differentiable in torch. Sums make margins in the hundreds
        ordinary, and answers of unlike length make them large by length alone.

    Raises:
        ValueError: where shapes differ or `beta` isn't above 0. Non-finite log-probabilities pass through,
            so that a training loop sees them.

    R. Rafailov et al., "Direct Preference Optimization: Your Language Model is Secretly a Reward Model",
    arXiv 2305.18290. On pairs of a guided success and a failure: "Agent-RLVR: Training Software Engineering
    Agents via Guidance and Environment Rewards", arXiv 2506.11425, where the guidance is left out of the
    prompt that both are scored under.
    """
    check_number(beta, "beta", above=0.0)
    check_shapes(
        tuple(policy_chosen.shape),
        policy_rejected=policy_rejected,
        ref_chosen=ref_chosen,
        ref_rejected=ref_rejected,
    )
    return beta * ((policy_chosen - ref_chosen) - (policy_rejected - ref_rejected))


def logistic_loss(margin: Array, target: Array | None = None) -> Array:
    """Negative log-likelihood of a preference under the Bradley–Terry model, at least 0.

        loss = −log σ(margin) = log(exp(0) + exp(−margin))
        loss = −target · log σ(margin) − (1 − target) · log σ(−margin)          with a `target`

    `margin` (n,) real, of any size and infinite too: the second form, taken as one operation, neither
    overflows nor loses the tail, and its gradient in torch is `σ(margin) − 1`. The result is like `margin`;
    a NaN stays one.

    `target` (n,) in [0, 1]: how likely it is that the margin should be positive, by default 1. With it this is the
    binary cross-entropy of a logit, of finite margins only.

    Raises `ValueError` where the target has another shape or leaves [0, 1].

    R. A. Bradley, M. E. Terry, "Rank analysis of incomplete block designs", Biometrika 1952.
    """
    xp = _compat.array_namespace(margin)
    won = xp.logaddexp(xp.zeros_like(margin), -margin)
    if target is None:
        return won
    check_shapes(tuple(margin.shape), target=target)
    if not bool(xp.all((target >= 0) & (target <= 1))):
        raise ValueError("target: expected numbers in [0, 1], got one outside or NaN")
    return target * won + (1 - target) * xp.logaddexp(xp.zeros_like(margin), margin)


def preference_probability(margin: Array) -> Array:
    """Probability σ(margin) of a preference under the Bradley–Terry model, exact in both tails.

    `margin` real, of any shape; the result is like it, differentiable in torch. Computed as
    `exp(−logistic_loss(margin))`.

    R. A. Bradley, M. E. Terry, "Rank analysis of incomplete block designs", Biometrika 1952.
    """
    xp = _compat.array_namespace(margin)
    return xp.exp(-logistic_loss(margin))
