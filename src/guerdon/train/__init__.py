"""Policy objectives on top of trainers that exist: TRL's GRPO with a reward and one advantage a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guerdon.train.columns import as_chats
from guerdon.train.placement import place
from guerdon.train.rollout import Rollout, write_rollout
from guerdon.train.run import TrainConfig, run

if TYPE_CHECKING:
    from guerdon.train.grpo import GRPOTrainer

__all__ = ["GRPOTrainer", "Rollout", "TrainConfig", "as_chats", "place", "run", "write_rollout"]


def __getattr__(name: str) -> Any:
    # The trainer subclasses TRL's, so it loads torch: only where it is asked for.
    if name == "GRPOTrainer":
        from guerdon.train.grpo import GRPOTrainer

        return GRPOTrainer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
