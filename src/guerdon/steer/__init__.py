"""Inference time: choosing among samples, and searches that a policy proposes to and a reward guides."""

from guerdon.core.registry import register_method
from guerdon.steer.aggregate import AGGREGATIONS, Aggregation, aggregate, aggregate_rows, aggregate_signal
from guerdon.steer.beam import Beams, BeamSearch
from guerdon.steer.causal_proposals import CausalPolicy
from guerdon.steer.chat_proposals import ask_step, chat_proposals
from guerdon.steer.journal import JournalMismatch, SearchJournal
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
from guerdon.steer.sampling import Samples, sample_solutions
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
    "CausalPolicy",
    "Evaluate",
    "JournalMismatch",
    "Node",
    "Partial",
    "Proposal",
    "Propose",
    "Samples",
    "SearchJournal",
    "Spent",
    "Steps",
    "Tree",
    "TreeSearch",
    "Vote",
    "aggregate",
    "aggregate_rows",
    "aggregate_signal",
    "ask_step",
    "back_propagate",
    "best_of_n",
    "chat_proposals",
    "distance_values",
    "maj_at_k",
    "majority_vote",
    "progress_value",
    "rm_at_k",
    "rollout_update",
    "sample_solutions",
    "top_k",
    "uct_scores",
    "value_by",
    "weighted_vote",
]
