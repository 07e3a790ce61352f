"""Policy loss over completions of which another author wrote some tokens."""

from __future__ import annotations

import math
from typing import Any

import array_api_compat

from guerdon.core.checks import check_number
from guerdon.models.checks import check_shapes
from guerdon.models.margin import Array, preference_probability

_compat: Any = array_api_compat


def off_policy_loss(
    log_probs: Array,
    advantages: Array,
    behaviour: Array | None = None,
    *,
    gamma: float | None = 0.1,
    weight: float = 1.0,
) -> Array:
    """Loss of tokens that the policy didn't sample, with a shaped importance ratio and without clipping.

        loss_t = −weight · f(u_t) · A_t,    u_t = exp(log π_t − log b_t)
        f(u)   = u / (u + gamma), in (0, 1);   u itself without `gamma`

    Shaping raises the gradient of tokens that the policy finds unlikely: by log π it is gamma · u / (u + gamma)², about
    u / gamma there, in the place of u.

    Args:
        log_probs: under the policy, of any shape.
        advantages: like `log_probs`.
        behaviour: like `log_probs`, log b of the author of each token; NaN where it isn't known, which counts as b =
            1, as it does for all tokens by default.
        gamma: above 0, or None.
        weight: at least 0, of these tokens beside those of the policy.

    Returns:
        Like `log_probs`, differentiable in torch.

    Raises:
        ValueError: on shapes that don't fit or an option out of its range.

    The shaped ratio of "Recycling Failures: Salvaging Exploration in RLVR via Fine-Grained Off-Policy Guidance"
    (SCOPE), arXiv 2602.24110, as far as it is known, is that of Jianhao Yan et al., "Learning to Reason under
    Off-Policy Guidance" (LUFFY), arXiv 2504.14945.
    """
    check_number(weight, "weight", low=0.0)
    shape = tuple(log_probs.shape)
    check_shapes(shape, advantages=advantages, **({} if behaviour is None else {"behaviour": behaviour}))
    xp = _compat.array_namespace(log_probs)
    ratio = log_probs if behaviour is None else log_probs - xp.where(xp.isnan(behaviour), 0.0, behaviour)
    if gamma is None:
        return -weight * xp.exp(ratio) * advantages
    shaped = preference_probability(ratio - math.log(check_number(gamma, "gamma", above=0.0)))
    return -weight * shaped * advantages


def mixed_policy_loss(
    log_probs: Array,
    old_log_probs: Array,
    advantages: Array,
    off_policy: Array,
    behaviour: Array | None = None,
    *,
    clip: float = 0.2,
    gamma: float | None = 0.1,
    weight: float = 1.0,
) -> Array:
    """Clipped surrogate for tokens of the policy, `off_policy_loss` for the others, token by token.

        loss_t = −min(ρ_t · A_t, clip(ρ_t, 1 − clip, 1 + clip) · A_t),    ρ_t = exp(log π_t − log π_old,t)
        loss_t = off_policy_loss                                         where off_policy_t

    What stands in `old_log_probs` for off-policy tokens has no influence: π_old didn't write them.

    Args:
        log_probs, old_log_probs, advantages: (n, T).
        off_policy: (n, T) bool, for example `Segments.sources == Source.OFF_POLICY`.
        behaviour, gamma, weight: as in `off_policy_loss`.
        clip: above 0.

    Returns:
        (n, T), differentiable in torch. Mask and average it as the trainer does.

    Raises:
        ValueError: on shapes that don't fit, an option out of its range, or a ratio ρ of a token of the policy that isn't
            finite. Padding must have numbers in both.

    "Recycling Failures: Salvaging Exploration in RLVR via Fine-Grained Off-Policy Guidance" (SCOPE), arXiv 2602.24110;
    its loss isn't known in detail.
    """
    check_number(clip, "clip", above=0.0)
    shape = tuple(log_probs.shape)
    check_shapes(shape, old_log_probs=old_log_probs, advantages=advantages, off_policy=off_policy)
    other = off_policy_loss(log_probs, advantages, behaviour, gamma=gamma, weight=weight)
    xp = _compat.array_namespace(log_probs)
    # Chosen before exp, so that a token out of reach of π_old gives no infinity, and no NaN in the gradient.
    ratio = xp.exp(xp.where(off_policy, 0.0, log_probs - old_log_probs))
    if not bool(xp.all(xp.isfinite(ratio))):
        raise ValueError(
            "log_probs, old_log_probs: expected a finite ratio of every token of the policy, got another"
        )
    clipped = xp.clip(ratio, 1.0 - clip, 1.0 + clip)
    own = -xp.minimum(ratio * advantages, clipped * advantages)
    return xp.where(off_policy, other, own)
