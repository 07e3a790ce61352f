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
from guerdon.credit.returns import discounted_returns, gae, lambda_returns
from guerdon.credit.spans import token_spans
from guerdon.credit.spread import broadcast_outcome, spread_steps

__all__ = [
    "Estimator",
    "GroupRelative",
    "StepGroupRelative",
    "ZeroVariance",
    "batch_std",
    "broadcast_outcome",
    "discounted_returns",
    "dr_grpo",
    "gae",
    "group_relative",
    "grpo",
    "lambda_returns",
    "rloo",
    "spread_steps",
    "token_spans",
    "zero_variance_groups",
]
