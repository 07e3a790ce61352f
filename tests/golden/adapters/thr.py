"""THR."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.credit.group_relative import group_relative
from guerdon.credit.hidden_reward import (
    influence_on_correct,
    influence_threshold,
    prediction_errors,
    steer_advantages,
    token_hidden_reward,
)
from tests.golden.ragged import ragged, rows

from .registry import adapter


def _tokens(inputs: Mapping[str, Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    hidden, offsets = ragged(inputs["hidden"])
    return hidden, ragged(inputs["errors"])[0], offsets, np.array(inputs["rewards"]) > 0


@adapter("token_hidden_reward_every_token_every")
def hidden_reward(inputs: Mapping[str, Any]) -> list[list[float]]:
    hidden, errors, offsets, correct = _tokens(inputs)
    return rows(token_hidden_reward(hidden, errors, offsets, correct), offsets)


@adapter("reweighted_token_advantage_0_when_thr_tau")
def reweighted(inputs: Mapping[str, Any]) -> list[list[float]]:
    scores, offsets = ragged(inputs["thr"])
    advantages = np.array(inputs["advantages"], dtype=np.float64)
    return rows(steer_advantages(advantages, scores, offsets, inputs["tau"], inputs["p"]), offsets)


@adapter("prediction_error_vector_one_hot_token_probs")
def prediction_error(inputs: Mapping[str, Any]) -> NDArray[np.float64]:
    return prediction_errors(np.array([inputs["probs"]]), np.array([inputs["token"]]))[0]


@adapter("anchor_threshold_predecessor_method_minimum")
def anchor(inputs: Mapping[str, Any]) -> float:
    hidden, errors, offsets, correct = _tokens(inputs)
    influence = influence_on_correct(hidden, errors, offsets, correct, length_normalized=False)
    return influence_threshold(influence, offsets, correct)


@adapter("group_normalised_advantage_population_std_no")
def group_advantage(inputs: Mapping[str, Any]) -> NDArray[np.float64]:
    rewards = np.array(inputs["rewards"], dtype=np.float64)
    return group_relative(rewards, rewards.size, ddof=0, epsilon=0.0)
