"""Search-Gen-V."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guerdon.verify.nugget_labels import label_text, parse_labels
from guerdon.verify.nuggets import labelling_parts, labelling_score

from .registry import adapter


@adapter("search_gen_v_verifier_training_reward_0_35")
def training_reward(inputs: Mapping[str, Any]) -> float:
    gold = parse_labels(label_text(inputs["ground_truth"]))
    parts = labelling_parts(
        inputs["solution"], gold, inputs["prompt_format_hint"], nuggets=inputs["nuggets_count"]
    )
    return labelling_score(parts)


@adapter("parse_label_list_verifier_text")
def labels(inputs: Mapping[str, Any]) -> list[str]:
    return list(parse_labels(inputs["text"]))
