"""Signal → advantages: pure functions over NumPy or torch arrays, and the estimators that trainers call.

Arguments are checked on entry; results have the namespace, dtype and device of the first argument.
"""

from guerdon.credit.estimators import (
    Estimator,
    GroupRelative,
    StepGroupRelative,
    batch_std,
    dr_grpo,
    grpo,
    rloo,
)
from guerdon.credit.group_relative import ZeroVariance, group_relative, zero_variance_groups
from guerdon.credit.information_gain import answer_belief, information_gain
from guerdon.credit.masks import segment_mask
from guerdon.credit.returns import discounted_returns, gae, lambda_returns
from guerdon.credit.spans import token_spans
from guerdon.credit.spread import broadcast_outcome, spread_steps
from guerdon.credit.turn_group import TurnGroupRelative, positional_group_advantages, turn_group_advantages

__all__ = [
    "Estimator",
    "GroupRelative",
    "StepGroupRelative",
    "TurnGroupRelative",
    "ZeroVariance",
    "answer_belief",
    "batch_std",
    "broadcast_outcome",
    "discounted_returns",
    "dr_grpo",
    "gae",
    "group_relative",
    "grpo",
    "information_gain",
    "lambda_returns",
    "positional_group_advantages",
    "rloo",
    "segment_mask",
    "spread_steps",
    "token_spans",
    "turn_group_advantages",
    "zero_variance_groups",
]
