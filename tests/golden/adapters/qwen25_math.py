"""Qwen2.5-Math."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from guerdon import Chat
from guerdon.credit.prompt_filter import accuracy_filter
from guerdon.models.listwise import listwise_ranking_loss
from guerdon.shape.verified_score import VerifiedScore
from guerdon.steer.select import maj_at_k, rm_at_k
from guerdon.verify import Column

from .registry import adapter


@adapter("shaped_rl_reward_sigmoid_alpha_r_m_r_v_1")
def shaped(inputs: Mapping[str, Any]) -> float:
    reward = VerifiedScore(Column("r_m"), Column("r_v"), scale=inputs["alpha"])
    return float(reward([Chat("", "", extra=inputs)]).outcome[0])


@adapter("listwise_ranking_loss_over_one_prompt_1_k_n")
def listwise(inputs: Mapping[str, Any]) -> float:
    return float(
        listwise_ranking_loss(np.array(inputs["scores"], dtype=np.float64), np.array(inputs["labels"]))
    )


@adapter("rm_k_correctness_highest_scored_first_k")
def best(inputs: Mapping[str, Any]) -> int:
    return rm_at_k(inputs["scores"], inputs["correct"], inputs["k"])


@adapter("maj_k_most_common_answer_among_first_k_first")
def majority(inputs: Mapping[str, Any]) -> int:
    return maj_at_k(inputs["answers"], inputs["correct"], inputs["k"])


@adapter("rl_query_selection_keep_iff_number_correct_8")
def selected(inputs: Mapping[str, Any]) -> bool:
    correct = np.array(inputs["correct"], dtype=np.float64)
    return bool(accuracy_filter(correct, correct.size, low=2 / 8, high=5 / 8)[0])
