"""Inference time: choosing among samples, and searches that a policy proposes to and a reward guides."""

from guerdon.core.registry import register_method
from guerdon.steer.aggregate import AGGREGATIONS, Aggregation, aggregate, aggregate_rows
from guerdon.steer.beam import Beams, BeamSearch
from guerdon.steer.proposals import (
    Budget,
    Evaluate,
    Partial,
    Proposal,
    Propose,
    Spent,
    Steps,
    progress_value,
    value_by,
)
from guerdon.steer.select import (
    Vote,
    best_of_n,
    maj_at_k,
    majority_vote,
    rm_at_k,
    top_k,
    weighted_vote,
)
from guerdon.steer.step_distance import distance_values
from guerdon.steer.tree_search import (
    Node,
    Tree,
    TreeSearch,
    back_propagate,
    rollout_update,
    uct_scores,
)

register_method(
    "rest-mcts",
    title="ReST-MCTS*: LLM Self-Training via Process Reward Guided Tree Search",
    arxiv="2406.03816",
    room="steer",
    public="guerdon.steer.TreeSearch",
)

__all__ = [
    "AGGREGATIONS",
    "Aggregation",
    "BeamSearch",
    "Beams",
    "Budget",
    "Evaluate",
    "Node",
    "Partial",
    "Proposal",
    "Propose",
    "Spent",
    "Steps",
    "Tree",
    "TreeSearch",
    "Vote",
    "aggregate",
    "aggregate_rows",
    "back_propagate",
    "best_of_n",
    "distance_values",
    "maj_at_k",
    "majority_vote",
    "progress_value",
    "rm_at_k",
    "rollout_update",
    "top_k",
    "uct_scores",
    "value_by",
    "weighted_vote",
]
