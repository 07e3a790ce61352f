"""Which source of log-probabilities a reward asks."""

from __future__ import annotations

from typing import Any

from guerdon.core.context import Context
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
