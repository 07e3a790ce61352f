"""ReTool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from guerdon.core.samples import Chat
from guerdon.credit.masks import segment_mask
from guerdon.verify.boxed import LastBoxed

from .registry import adapter


@adapter("retool_outcome_reward_strict_last_boxed")
def outcome(inputs: Mapping[str, Any]) -> float:
    return LastBoxed()([Chat("", inputs["response"], reference=inputs["gold"])]).outcome[0]


@adapter("loss_mask_1_policy_tokens_0_interpreter")
def loss_mask(inputs: Mapping[str, Any]) -> Any:
    lengths = np.array([count for _, count in inputs["segments"]], dtype=np.int64)
    return segment_mask(lengths, [kind == "policy" for kind, _ in inputs["segments"]]).astype(np.int64)
