"""BLEUBERI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from guerdon.shape.combine import zscore_average
from guerdon.verify.bleu import sentence_bleu

from .registry import adapter


@adapter("sentence_bleu_4_13a_tokens_add_one_smoothing")
def bleu(inputs: Mapping[str, Any]) -> float:
    return sentence_bleu(
        inputs["prediction"], inputs["references"], smoothing="add_one", reference_length="shortest"
    )


@adapter("bleu_rm_combined_reward_per_group_z_score")
def combined(inputs: Mapping[str, Any]) -> Any:
    groups = np.arange(len(inputs["bleu"])) // inputs["group_size"]
    parts = [np.asarray(inputs[name], dtype=np.float64) for name in ("bleu", "rm")]
    return zscore_average(parts, groups, ddof=1, epsilon=1e-6)
