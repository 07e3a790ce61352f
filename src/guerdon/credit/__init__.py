"""Signal → advantages: pure functions over NumPy or torch arrays, and the estimators that trainers call.

Arguments are checked on entry; results have the namespace, dtype and device of the first argument.
"""

from guerdon.core.registry import register_method
from guerdon.credit.batch_scale import unit_returns, whiten
from guerdon.credit.episode_step import EpisodeStep, pool_relative
from guerdon.credit.estimators import (
    Estimator,
    GroupRelative,
    StepEstimator,
    StepGroupRelative,
    Steps,
    batch_std,
    dr_grpo,
    grpo,
    rloo,
)
from guerdon.credit.group_relative import ZeroVariance, group_relative, zero_variance_groups
from guerdon.credit.hidden_reward import (
    influence_on_correct,
    influence_threshold,
    prediction_errors,
    spare_wrong_tokens,
    steer_advantages,
    token_hidden_reward,
)
from guerdon.credit.hidden_reward_estimator import HiddenRewardSteering
from guerdon.credit.information_gain import answer_belief, information_gain
from guerdon.credit.leave_one_out import (
    DenseLeaveOneOut,
    last_token,
    leave_one_out_average,
    leave_one_out_steps,
    leave_one_out_tokens,
)
from guerdon.credit.masks import segment_mask
from guerdon.credit.min_form import (
    MinForm,
    dense_return_advantages,
    good_minus_bad,
    min_form_returns,
    softmin_rewards,
)
from guerdon.credit.prompt_filter import accuracy_filter
from guerdon.credit.ranking_accuracy import ranking_accuracy
from guerdon.credit.returns import discounted_returns, gae, lambda_returns
from guerdon.credit.spans import token_spans
from guerdon.credit.spread import broadcast_outcome, spread_steps
from guerdon.credit.step_advantage import (
    StepProgress,
    best_of_k_success,
    effective_rewards,
    prover_diagnostics,
    step_advantages,
)
from guerdon.credit.turn_group import TurnGroupRelative, positional_group_advantages, turn_group_advantages

register_method(
    "pure-min-form",
    title="Stop Summation: Min-Form Credit Assignment Is All Process Reward Model Needs for Reasoning",
    arxiv="2504.15275",
    room="credit",
    public="guerdon.credit.MinForm",
)
register_method(
    "oprl-istar",
    title="Agentic Reinforcement Learning with Implicit Step Rewards",
    arxiv="2509.19199",
    room="credit",
    public="guerdon.credit.EpisodeStep",
)

register_method(
    "pav",
    title="Rewarding Progress: Scaling Automated Process Verifiers for LLM Reasoning",
    arxiv="2410.08146",
    room="credit",
    public="guerdon.credit.StepProgress",
)

__all__ = [
    "DenseLeaveOneOut",
    "EpisodeStep",
    "Estimator",
    "GroupRelative",
    "HiddenRewardSteering",
    "MinForm",
    "StepEstimator",
    "StepGroupRelative",
    "StepProgress",
    "Steps",
    "TurnGroupRelative",
    "ZeroVariance",
    "accuracy_filter",
    "answer_belief",
    "batch_std",
    "best_of_k_success",
    "broadcast_outcome",
    "dense_return_advantages",
    "discounted_returns",
    "dr_grpo",
    "effective_rewards",
    "gae",
    "good_minus_bad",
    "group_relative",
    "grpo",
    "influence_on_correct",
    "influence_threshold",
    "information_gain",
    "lambda_returns",
    "last_token",
    "leave_one_out_average",
    "leave_one_out_steps",
    "leave_one_out_tokens",
    "min_form_returns",
    "pool_relative",
    "positional_group_advantages",
    "prediction_errors",
    "prover_diagnostics",
    "ranking_accuracy",
    "rloo",
    "segment_mask",
    "softmin_rewards",
    "spare_wrong_tokens",
    "spread_steps",
    "steer_advantages",
    "step_advantages",
    "token_hidden_reward",
    "token_spans",
    "turn_group_advantages",
    "unit_returns",
    "whiten",
    "zero_variance_groups",
]
