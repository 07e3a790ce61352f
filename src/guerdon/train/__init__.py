"""Policy objectives on top of trainers that exist: TRL's GRPO with a reward and one advantage a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guerdon.core.registry import register_method
from guerdon.train.columns import as_chats
from guerdon.train.flow_balance import flow_balance_loss, log_rewards, token_flow_balance_loss
from guerdon.train.hidden_reward import TokenHiddenReward
from guerdon.train.placement import place
from guerdon.train.rollout import Rollout, write_rollout
from guerdon.train.run import TrainConfig, run

if TYPE_CHECKING:
    from guerdon.train.grpo import GRPOTrainer

register_method(
    "gflownet-prm",
    title="Accurate and Diverse LLM Mathematical Reasoning via Automated PRM-Guided GFlowNets",
    arxiv="2504.19981",
    room="train",
    public="guerdon.train.flow_balance_loss",
)

register_method(
    "thr",
    title="Token Hidden Reward: Steering Exploration-Exploitation in Group Relative Deep Reinforcement Learning",
    arxiv="2510.03669",
    room="train",
    public="guerdon.train.TokenHiddenReward",
)

__all__ = [
    "TokenHiddenReward",
    "GRPOTrainer",
    "Rollout",
    "TrainConfig",
    "as_chats",
    "flow_balance_loss",
    "log_rewards",
    "place",
    "run",
    "token_flow_balance_loss",
    "write_rollout",
]


def __getattr__(name: str) -> Any:
    # The trainer subclasses TRL's, so it loads torch: only where it is asked for.
    if name == "GRPOTrainer":
        from guerdon.train.grpo import GRPOTrainer

        return GRPOTrainer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
