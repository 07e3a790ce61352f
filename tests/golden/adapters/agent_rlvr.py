"""Agent-RLVR."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from guerdon.models import implicit_reward_margin, logistic_loss

from .registry import adapter


@adapter("dpo_loss_chosen_rejected_trajectory_pair")
def loss_of_a_pair(inputs: Mapping[str, Any]) -> dict[str, float]:
    names = ("policy_chosen", "policy_rejected", "ref_chosen", "ref_rejected")
    margin = implicit_reward_margin(*(np.asarray([inputs[name]], float) for name in names), inputs["beta"])
    return {"margin": float(margin[0]), "loss": float(logistic_loss(margin)[0])}
