"""Which source of log-probabilities a reward asks, and the rewards that ask one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from guerdon.core.context import EMPTY, Context
from guerdon.core.reward import Reward
from guerdon.models.loading import as_name
from guerdon.models.log_probs import LogProbs, shared_log_probs


def log_prob_source(model: str | LogProbs | None, context: Context) -> LogProbs:
    """The model that a reward was given, or else the live policy.

    `model`: a folder or Hugging Face id, which is loaded once a process, a `LogProbs`, or None for `context.policy`.
    Raises `ValueError` where that can't tell what its tokens are, or isn't there.
    """
    if isinstance(model, str):
        return shared_log_probs(model)
    source: Any = context.policy if model is None else model
    if not hasattr(source, "completion_tokens"):
        raise ValueError(
            f"model: expected one, or a context whose policy is a LogProbs, got {type(source).__name__}"
        )
    return source


class LogProbReward(Reward):
    """Base of rewards that ask a source of log-probabilities: the `model` that they were given, or the live policy.

    The model exists once, and is loaded before scoring begins; without one, results depend on the context.
    """

    isolate = False

    def __init__(self, model: str | Path | LogProbs | None) -> None:
        self.model = as_name(model)
        self.uses_context = model is None

    def prepare(self) -> None:
        if self.model is not None:
            self.source(EMPTY)

    def source(self, context: Context) -> LogProbs:
        """See `log_prob_source`."""
        return log_prob_source(self.model, context)
