"""SAR."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from guerdon import Chat
from guerdon.models.perplexity import log_perplexity
from guerdon.models.self_aligned import self_aligned_reward
from guerdon.shape.relative_length import saving_among_correct, saving_over_mean
from guerdon.verify import Column

from .registry import adapter


@adapter("self_aligned_reward_implemented_max_ppl_ppl")
def self_aligned(inputs: Mapping[str, Any]) -> float:
    compared, divided = inputs.get("use_comparison", True), inputs.get("use_denominator", True)
    if divided and not compared:
        raise ValueError("use_denominator: expected False without a comparison")
    cap = inputs.get("clip_value", 0)
    reward = self_aligned_reward(
        np.log(np.float64(inputs["ppl_given_question"])),
        np.log(np.float64(inputs["ppl_alone"])),
        form="relative" if divided else "difference" if compared else "absolute",
        use_log=inputs.get("use_log", False),
        cap=cap if cap > 1 else None,
    )
    return float(reward)


@adapter("perplexity_exp_mean_log_prob_over_answer")
def perplexity(inputs: Mapping[str, Any]) -> float:
    return float(np.exp(log_perplexity(np.array(inputs["logprobs"], dtype=np.float64))))


@adapter("o1_pruner_baseline_clip_len_mean_len_group")
def over_mean(inputs: Mapping[str, Any]) -> float:
    lengths = np.array(inputs["lengths"], dtype=np.float64)
    return float(saving_over_mean(lengths, np.zeros(lengths.size, dtype=np.int64))[inputs["index"]])


@adapter("efficient_reasoner_baseline_0_if_incorrect")
def among_correct(inputs: Mapping[str, Any]) -> float:
    lengths = np.array(inputs["lengths"], dtype=np.float64)
    correct = np.array(inputs["correct"]) > 0
    return float(
        saving_among_correct(lengths, correct, np.zeros(lengths.size, dtype=np.int64))[inputs["index"]]
    )


@adapter("composite_reward_r_r_verifiable_alpha_r_sa")
def composite(inputs: Mapping[str, Any]) -> float:
    reward = Column("verifiable") + inputs["alpha"] * Column("self_aligned")
    return float(reward([Chat("", "", extra=inputs)]).outcome[0])
