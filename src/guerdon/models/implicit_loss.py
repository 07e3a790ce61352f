"""Losses that fit an implicit reward `r(x, y) = beta · log(π(y|x) / π_ref(y|x))` to outcomes or to preferences.

All take sums of log-probabilities over the tokens that the policy wrote, return one number, the mean of a batch, in the
namespace of the inputs, and are differentiable in torch. Whichever is used, `models.log_ratio` reads the reward of any
step off the trained policy.
"""

from __future__ import annotations

from typing import Any

import array_api_compat

from guerdon.core.checks import check_number
from guerdon.models.checks import check_batch, check_shapes
from guerdon.models.margin import Array, implicit_reward_margin, logistic_loss, preference_probability

_compat: Any = array_api_compat


def outcome_cross_entropy(rewards: Array, labels: Array) -> Array:
    """Cross-entropy of implicit rewards against outcomes: needs no pairs and no balance.

        loss = mean_i ( −l_i · log σ(r_i) − (1 − l_i) · log(1 − σ(r_i)) )

    Args:
        rewards: (n,) implicit rewards of whole responses, beta included; the sum of `token_log_ratios`.
        labels: (n,) in [0, 1]: whether the response is right, or how much of it.

    Raises:
        ValueError: on an empty batch, shapes that differ or a label outside [0, 1].

    Lifan Yuan et al., "Free Process Rewards without Process Labels", arXiv 2412.01981, repository
    PRIME-RL/ImplicitPRM. Online, on the accuracies of each batch, it trains the process rewards of Ganqu Cui et al.,
    "Process Reinforcement through Implicit Rewards", arXiv 2502.01456, repository PRIME-RL/PRIME.
    """
    check_batch(rewards, "rewards")
    check_shapes(tuple(rewards.shape), labels=labels)
    return _compat.array_namespace(rewards).mean(logistic_loss(rewards, labels))


def dpo_loss(
    policy_chosen: Array, policy_rejected: Array, ref_chosen: Array, ref_rejected: Array, beta: float = 0.1
) -> Array:
    """Direct preference optimisation: `mean −log σ(r_chosen − r_rejected)`.

    Arguments and errors are those of `implicit_reward_margin`, of at least one pair.

    R. Rafailov et al., "Direct Preference Optimization: Your Language Model is Secretly a Reward Model",
    arXiv 2305.18290.
    """
    check_batch(policy_chosen, "policy_chosen")
    margin = implicit_reward_margin(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta)
    return _compat.array_namespace(margin).mean(logistic_loss(margin))


def paired_kto_loss(
    policy_chosen: Array, policy_rejected: Array, ref_chosen: Array, ref_rejected: Array, beta: float = 0.1
) -> Array:
    """Kahneman–Tversky optimisation where a batch has as many good answers as bad ones.

        KL_c = max(mean(log π(y_c) − log π_ref(y_c)), 0),    KL_r likewise of the rejected
        loss = mean over both halves of   1 − σ(r_c − beta · KL_r)   and   1 − σ(beta · KL_c − r_r)

    The loss is in [0, 1]. The KL terms are estimated from the batch and carry gradient, as in the repository; a batch
    of one pair compares it with itself.

    Arguments and errors are those of `implicit_reward_margin`, of at least one pair.

    Kawin Ethayarajh et al., "KTO: Model Alignment as Prospect Theoretic Optimization", arXiv 2402.01306, in the form of
    Lifan Yuan et al., "Free Process Rewards without Process Labels", arXiv 2412.01981, repository
    PRIME-RL/ImplicitPRM.
    """
    chosen, rejected = _log_ratios(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta)
    xp = _compat.array_namespace(chosen)
    zero = xp.zeros_like(xp.mean(chosen))
    kl_chosen, kl_rejected = xp.maximum(xp.mean(chosen), zero), xp.maximum(xp.mean(rejected), zero)
    lost = xp.concat([beta * (kl_rejected - chosen), beta * (rejected - kl_chosen)])
    return xp.mean(preference_probability(lost))


def nca_loss(
    policy_chosen: Array, policy_rejected: Array, ref_chosen: Array, ref_rejected: Array, beta: float = 0.1
) -> Array:
    """Noise-contrastive alignment of pairs: the reward of the chosen answer is raised itself, not only its lead.

        loss = mean ( −log σ(r_c) − ½ · (log σ(−r_c) + log σ(−r_r)) )

    Arguments and errors are those of `implicit_reward_margin`, of at least one pair.

    Huayu Chen et al., "Noise Contrastive Alignment of Language Models with Explicit Rewards", arXiv 2402.05369, used by
    Lifan Yuan et al., "Free Process Rewards without Process Labels", arXiv 2412.01981.
    """
    chosen, rejected = _log_ratios(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta)
    chosen, rejected = beta * chosen, beta * rejected
    against = 0.5 * (logistic_loss(-chosen) + logistic_loss(-rejected))
    return _compat.array_namespace(chosen).mean(logistic_loss(chosen) + against)


def _log_ratios(
    policy_chosen: Array, policy_rejected: Array, ref_chosen: Array, ref_rejected: Array, beta: float
) -> tuple[Array, Array]:
    check_number(beta, "beta", above=0.0)
    check_batch(policy_chosen, "policy_chosen")
    check_shapes(
        tuple(policy_chosen.shape),
        policy_rejected=policy_rejected,
        ref_chosen=ref_chosen,
        ref_rejected=ref_rejected,
    )
    return policy_chosen - ref_chosen, policy_rejected - ref_rejected
