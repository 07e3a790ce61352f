"""PRM-guided GFlowNets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from guerdon.agents.calculator import evaluate
from guerdon.models.rollout_labels import group_label, rollout_priority
from guerdon.models.step_similarity import step_similarity
from guerdon.train.flow_balance import flow_balance_loss, token_flow_balance_loss

from .registry import adapter


@adapter("step_similarity_gate_label_propagation_0")
def similarity(inputs: Mapping[str, Any]) -> float:
    return step_similarity(inputs["a"], inputs["b"], evaluate)


@adapter("token_pair_sub_trajectory_balance_loss")
def token_balance(inputs: Mapping[str, Any]) -> float:
    scores = np.repeat(np.log(inputs["step_rewards"]), inputs["tokens_per_step"])
    loss = token_flow_balance_loss(
        np.array([inputs["token_logp"]]), scores[None], np.array([inputs["eos_logp"]]), inputs["lam"]
    )
    return float(loss[0])


@adapter("step_level_modified_subtb_over_states_0_n")
def step_balance(inputs: Mapping[str, Any]) -> float:
    names = ("logPF", "logR", "logPstop")
    forward, reward, stop = (np.array([inputs[name]], dtype=np.float64) for name in names)
    return float(flow_balance_loss(forward, reward, stop, inputs["lam"])[0])


@adapter("rollout_selection_score_alpha_1_mc_beta_len")
def selection(inputs: Mapping[str, Any]) -> float:
    return rollout_priority(
        inputs["mc"],
        inputs["length"],
        inputs["visits"],
        inputs["total_visits"],
        alpha=inputs["alpha"],
        beta=inputs["beta"],
        long=inputs["L"],
        exploration=inputs["cpuct"],
    )


@adapter("label_group_similar_steps_1_if_every_rollout")
def label(inputs: Mapping[str, Any]) -> float:
    return group_label(inputs["true"], inputs["false"], inputs["mc"])
