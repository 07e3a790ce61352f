"""Policy objectives on top of trainers that exist: TRL's GRPO with a reward and one advantage a token."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from guerdon.core.registry import register_method
from guerdon.train.columns import as_chats
from guerdon.train.flow_balance import flow_balance_loss, log_rewards, token_flow_balance_loss
from guerdon.train.hidden_reward import TokenHiddenReward
from guerdon.train.mixed_policy import mixed_policy_loss, off_policy_loss
from guerdon.train.placement import place
from guerdon.train.replay import ReplayBuffer
from guerdon.train.rollout import Rollout, write_rollout
from guerdon.train.run import TrainConfig, run
from guerdon.train.self_training import Round, SearchedTask, SelfTrained, SelfTraining, ValueExample
from guerdon.train.splicing import Draft, Guide, Recycled, Recycling, Repair, eligible, recycle, text_guide
from guerdon.train.token_rewards import with_token_rewards

if TYPE_CHECKING:
    from guerdon.train.flow_trainer import FlowBalanceTrainer
    from guerdon.train.grpo import GRPOTrainer
    from guerdon.train.recycling import RecyclingGRPOTrainer
    from guerdon.train.token_regularised_dpo import TokenRegularisedDPOTrainer
    from guerdon.train.token_regularised_simpo import TokenRegularisedSimPOTrainer

# These subclass TRL's trainers, which load torch: only where one is asked for.
_LAZY = {
    "FlowBalanceTrainer": "guerdon.train.flow_trainer",
    "GRPOTrainer": "guerdon.train.grpo",
    "RecyclingGRPOTrainer": "guerdon.train.recycling",
    "TokenRegularisedDPOTrainer": "guerdon.train.token_regularised_dpo",
    "TokenRegularisedSimPOTrainer": "guerdon.train.token_regularised_simpo",
}

register_method(
    "gflownet-prm",
    title="Accurate and Diverse LLM Mathematical Reasoning via Automated PRM-Guided GFlowNets",
    arxiv="2504.19981",
    room="train",
    public="guerdon.train.FlowBalanceTrainer",
)

register_method(
    "thr",
    title="Token Hidden Reward: Steering Exploration-Exploitation in Group Relative Deep Reinforcement Learning",
    arxiv="2510.03669",
    room="train",
    public="guerdon.train.TokenHiddenReward",
)

register_method(
    "scope-recycling",
    title="Recycling Failures: Salvaging Exploration in RLVR via Fine-Grained Off-Policy Guidance",
    arxiv="2602.24110",
    room="train",
    public="guerdon.train.recycle",
)
register_method(
    "t-reg",
    title="T-REG: Preference Optimization with Token-Level Reward Regularization",
    arxiv="2412.02685",
    room="train",
    public="guerdon.train.TokenRegularisedDPOTrainer",
)

__all__ = [
    "Draft",
    "FlowBalanceTrainer",
    "GRPOTrainer",
    "Guide",
    "Recycled",
    "Recycling",
    "RecyclingGRPOTrainer",
    "Repair",
    "ReplayBuffer",
    "Rollout",
    "Round",
    "SearchedTask",
    "SelfTrained",
    "SelfTraining",
    "TokenHiddenReward",
    "TokenRegularisedDPOTrainer",
    "TokenRegularisedSimPOTrainer",
    "TrainConfig",
    "ValueExample",
    "as_chats",
    "eligible",
    "flow_balance_loss",
    "log_rewards",
    "mixed_policy_loss",
    "off_policy_loss",
    "place",
    "recycle",
    "run",
    "text_guide",
    "token_flow_balance_loss",
    "with_token_rewards",
    "write_rollout",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
