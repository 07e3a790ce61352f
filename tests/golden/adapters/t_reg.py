"""T-REG."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.models.token_regularisation import (
    contrastive_token_rewards,
    token_regularised_dpo,
    token_regulariser,
)

from .registry import adapter

ROWS = ("policy_chosen", "policy_rejected", "ref_chosen", "ref_rejected", "rhat_chosen", "rhat_rejected")


def _row(values: Any) -> NDArray[np.float64]:
    return np.array([values], dtype=np.float64)


@adapter("self_generated_token_reward_sigmoid_logp")
def token_rewards(inputs: Mapping[str, Any]) -> NDArray[np.float64]:
    return contrastive_token_rewards(_row(inputs["logp_better"]), _row(inputs["logp_worse"]))[0]


@adapter("token_regulariser_sum_t_beta_rhat_t_logp_t")
def regulariser(inputs: Mapping[str, Any]) -> float:
    return float(token_regulariser(_row(inputs["logp"]), _row(inputs["rhat"]), inputs["beta"])[0])


@adapter("dpo_token_regularisation_one_pair_token_log")
def pair(inputs: Mapping[str, Any]) -> dict[str, float]:
    found = token_regularised_dpo(
        *(_row(inputs[name]) for name in ROWS), beta=inputs["beta"], alpha=inputs["alpha"]
    )
    return {
        "dpo": float(found.preference[0]),
        "weight": float(found.weight[0]),
        "reg_chosen": float(found.chosen[0]),
        "reg_rejected": float(found.rejected[0]),
        "total": float(found.total[0]),
    }
