"""Goal-conditioned reward models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.models.goal_conditioned import (
    filter_generation,
    goal_conditioned_loss,
    goal_contrastive_loss,
    goal_values,
    sample_positions,
)

from .registry import adapter

STATES = ("source", "goal", "negative_source", "negative_goal")


@adapter("contrastive_goal_loss_already_sampled_states")
def contrastive(inputs: Mapping[str, Any]) -> float:
    states = [np.array([row[name] for row in inputs["batch"]], dtype=np.float64) for name in STATES]
    return float(goal_contrastive_loss(*states, beta=inputs["beta"]))


@adapter("sampling_positions_counted_back_sequence_end")
def positions(inputs: Mapping[str, Any]) -> NDArray[np.int64]:
    return sample_positions(inputs["uniforms"], inputs["num_actions"], inputs["length"])


@adapter("trajectory_filter_skip_first_k_similarity")
def filtered(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return filter_generation(inputs["similarity"], inputs["threshold"], skip=inputs["skip"])._asdict()


@adapter("goal_state_mean_goal_representations_token")
def values(inputs: Mapping[str, Any]) -> NDArray[np.float64]:
    return goal_values(inputs["hidden"], inputs["goals"])


@adapter("total_reward_model_loss_mean_log_sigmoid_r")
def total(inputs: Mapping[str, Any]) -> float:
    chosen, rejected = (np.array(inputs[name], dtype=np.float64) for name in ("chosen", "rejected"))
    return float(goal_conditioned_loss(chosen, rejected, inputs["contrastive"]))
