"""Learned rewards: encoders, and losses that rewards are fitted with."""

from guerdon.core.registry import register_method
from guerdon.models.embedding import cosine_similarity, masked_mean
from guerdon.models.encoder import TextEncoder
from guerdon.models.margin import implicit_reward_margin, logistic_loss
from guerdon.models.semantic import SemanticSimilarity
from guerdon.models.trajectory_preference import group_pair_loss, trajectory_scores
from guerdon.models.tree_labels import tree_value_targets

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

__all__ = [
    "SemanticSimilarity",
    "TextEncoder",
    "cosine_similarity",
    "group_pair_loss",
    "implicit_reward_margin",
    "logistic_loss",
    "masked_mean",
    "trajectory_scores",
    "tree_value_targets",
]
