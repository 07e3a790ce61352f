"""Learned rewards: encoders, implicit rewards of language models, and losses that rewards are fitted with."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from guerdon.core.registry import register_method
from guerdon.models.answer_probability import AnswerProbability, answer_probability
from guerdon.models.completion_log_probs import TokenRow, completion_log_probs
from guerdon.models.contrastive_prompts import ContrastiveTokenReward
from guerdon.models.embedding import cosine_similarity, masked_mean
from guerdon.models.encoder import TextEncoder
from guerdon.models.encoding import ChatEncoder, CompletionTokens
from guerdon.models.endpoint_log_probs import EndpointLogProbs
from guerdon.models.first_error import FirstErrorF1, first_error, first_error_f1
from guerdon.models.goal_conditioned import (
    filter_generation,
    goal_conditioned_loss,
    goal_contrastive_loss,
    goal_values,
    sample_positions,
    sample_source_and_goal,
    states_at,
    survivors,
)
from guerdon.models.goal_conditioned_fitting import fit_goal_conditioned
from guerdon.models.goal_conditioned_reward import GoalConditionedReward
from guerdon.models.hidden_states import CausalStates, TokenStates
from guerdon.models.implicit_loss import dpo_loss, nca_loss, outcome_cross_entropy, paired_kto_loss
from guerdon.models.implicit_reward import ImplicitReward
from guerdon.models.listwise import listwise_ranking_loss
from guerdon.models.log_probs import CausalLogProbs, LogProbs
from guerdon.models.log_ratio import step_rewards, token_log_ratios
from guerdon.models.margin import implicit_reward_margin, logistic_loss, preference_probability
from guerdon.models.online_implicit import OnlineImplicitReward
from guerdon.models.path_faithfulness import PathFaithfulness, aligned_steps, path_faithfulness
from guerdon.models.perplexity import log_perplexity
from guerdon.models.process_reward import ProcessReward
from guerdon.models.rollout_labels import group_label, rollout_labels, rollout_priority, success_rates
from guerdon.models.self_aligned import SelfAligned, self_aligned_reward, without_question
from guerdon.models.semantic import SemanticSimilarity
from guerdon.models.step_examples import StepExample, chain_examples, rated_examples, tree_examples
from guerdon.models.step_fitting import fit_step_head
from guerdon.models.step_labels import StepLabels, first_error_labels
from guerdon.models.step_similarity import similarity_groups, step_similarity
from guerdon.models.step_tokens import StepTokens
from guerdon.models.step_tree import StepTree, compress_node, compress_randomly
from guerdon.models.token_regularisation import (
    TokenRegularisedLoss,
    contrastive_token_rewards,
    token_regularised_dpo,
    token_regularised_simpo,
    token_regulariser,
)
from guerdon.models.training import Fit
from guerdon.models.trajectory_preference import group_pair_loss, trajectory_scores
from guerdon.models.tree_labels import soft_labels, tree_value_targets

if TYPE_CHECKING:
    from guerdon.models.goal_conditioned_model import GoalConditionedModel
    from guerdon.models.step_head import StepHead

# Networks load torch: only where one is asked for.
_LAZY = {
    "GoalConditionedModel": "guerdon.models.goal_conditioned_model",
    "StepHead": "guerdon.models.step_head",
}

register_method(
    "semantic-grpo",
    title="Shaping Explanations: Semantic Reward Modeling with Encoder-Only Transformers for GRPO",
    arxiv="2509.13081",
    room="models",
    public="guerdon.models.SemanticSimilarity",
)
register_method(
    "agent-rlvr",
    title="Agent-RLVR: Training Software Engineering Agents via Guidance and Environment Rewards",
    arxiv="2506.11425",
    room="models",
    public="guerdon.models.implicit_reward_margin",
)

register_method(
    "implicit-prm",
    title="Free Process Rewards without Process Labels",
    arxiv="2412.01981",
    room="models",
    public="guerdon.models.ImplicitReward",
)
register_method(
    "prime",
    title="Process Reinforcement through Implicit Rewards",
    arxiv="2502.01456",
    room="models",
    public="guerdon.models.OnlineImplicitReward",
)
register_method(
    "goal-conditioned-rm",
    title="Learning Goal-Conditioned Representations for Language Reward Models",
    arxiv="2407.13887",
    room="models",
    public="guerdon.models.GoalConditionedReward",
)

register_method(
    "sar",
    title="Self-Aligned Reward: Towards Effective and Efficient Reasoners",
    arxiv="2509.05489",
    room="models",
    public="guerdon.models.SelfAligned",
)
register_method(
    "p2s",
    title="P2S: Probabilistic Process Supervision for General-Domain Reasoning Question Answering",
    arxiv="2601.20649",
    room="models",
    public="guerdon.models.PathFaithfulness",
)

register_method(
    "hrm",
    title="Towards Hierarchical Multi-Step Reward Models for Enhanced Reasoning in Large Language Models",
    arxiv="2503.13551",
    room="models",
    public="guerdon.models.StepTree",
)

__all__ = [
    "AnswerProbability",
    "CausalLogProbs",
    "CausalStates",
    "ChatEncoder",
    "CompletionTokens",
    "ContrastiveTokenReward",
    "EndpointLogProbs",
    "FirstErrorF1",
    "Fit",
    "GoalConditionedModel",
    "GoalConditionedReward",
    "ImplicitReward",
    "LogProbs",
    "OnlineImplicitReward",
    "PathFaithfulness",
    "ProcessReward",
    "SelfAligned",
    "SemanticSimilarity",
    "StepExample",
    "StepHead",
    "StepLabels",
    "StepTokens",
    "StepTree",
    "TextEncoder",
    "TokenRegularisedLoss",
    "TokenRow",
    "TokenStates",
    "aligned_steps",
    "answer_probability",
    "chain_examples",
    "completion_log_probs",
    "compress_node",
    "compress_randomly",
    "contrastive_token_rewards",
    "cosine_similarity",
    "dpo_loss",
    "filter_generation",
    "first_error",
    "first_error_f1",
    "first_error_labels",
    "fit_goal_conditioned",
    "fit_step_head",
    "goal_conditioned_loss",
    "goal_contrastive_loss",
    "goal_values",
    "group_label",
    "group_pair_loss",
    "implicit_reward_margin",
    "listwise_ranking_loss",
    "log_perplexity",
    "logistic_loss",
    "masked_mean",
    "nca_loss",
    "outcome_cross_entropy",
    "paired_kto_loss",
    "path_faithfulness",
    "preference_probability",
    "rated_examples",
    "rollout_labels",
    "rollout_priority",
    "sample_positions",
    "sample_source_and_goal",
    "self_aligned_reward",
    "similarity_groups",
    "soft_labels",
    "states_at",
    "step_rewards",
    "step_similarity",
    "success_rates",
    "survivors",
    "token_log_ratios",
    "token_regularised_dpo",
    "token_regularised_simpo",
    "token_regulariser",
    "trajectory_scores",
    "tree_examples",
    "tree_value_targets",
    "without_question",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
