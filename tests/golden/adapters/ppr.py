"""PPR."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guerdon.core.function import reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Score
from guerdon.shape.process_outcome import ProcessOutcome

from .registry import adapter


@reward
def process(sample: Chat) -> Score:
    return Score(dense=sample.extra["process"])


@reward
def outcome(sample: Chat) -> float:
    return float(sample.extra["outcome"])


@adapter("renorm_step_rewards_each_process_score_p_0_1")
def renorm(inputs: Mapping[str, Any]) -> list[float]:
    signal = ProcessOutcome(process, outcome, scores_answer=False)([Chat("", "", extra=inputs)])
    assert signal.dense is not None
    return [*signal.dense.row(0).tolist(), float(signal.outcome[0])]
