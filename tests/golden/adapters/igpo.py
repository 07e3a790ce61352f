"""IGPO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from guerdon.core.samples import Chat
from guerdon.credit.information_gain import answer_belief, information_gain
from guerdon.credit.turn_group import turn_group_advantages
from guerdon.verify.tagged_answer import TaggedAnswerF1
from tests.golden.ragged import ragged, rows

from .registry import adapter


@adapter("turn_rewards_difference_exp_mean_gold_answer")
def turn_rewards(inputs: Mapping[str, Any]) -> list[float]:
    beliefs = answer_belief(*ragged(inputs["gold_token_logprobs_per_probe"]))
    gains, _ = information_gain(beliefs, np.array([0, beliefs.size]))
    return [*gains.tolist(), inputs["outcome"]]


@adapter("group_advantages_z_score_all_turn_rewards")
def group_advantages(inputs: Mapping[str, Any]) -> list[list[float]]:
    rewards, offsets = ragged(inputs["turn_rewards"])
    advantages = turn_group_advantages(
        rewards,
        offsets,
        np.zeros(offsets.size - 1, dtype=np.int64),
        discount=inputs["gamma"],
        ddof=inputs["std_ddof"],
        epsilon=inputs["eps"],
    )
    return rows(advantages, offsets)


@adapter("outcome_reward_set_tokens_f1_first_answer")
def outcome(inputs: Mapping[str, Any]) -> float:
    return TaggedAnswerF1()([Chat("", inputs["trajectory"], reference=inputs["gold"])]).outcome[0]
