"""A discriminative process reward model as a reward: a number for every step of a completion."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from guerdon.core.checks import check_count
from guerdon.core.context import Context
from guerdon.core.guarded import explain
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Abstain, Failure, Score, Signal, Value
from guerdon.models.loading import as_name
from guerdon.models.step_tokens import StepTokens

if TYPE_CHECKING:
    from guerdon.models.step_head import StepHead


@register("process_reward", example="{reward: process_reward, model: models/step-head}")
class ProcessReward(Reward):
    """Probability that a step is right, or its rating, from a model that was trained on labelled steps.

        r_k = σ(f(x, s_1 … s_k))  in [0, 1]            or f itself, unbounded, of a model of ratings

    Dense rewards of unit `step` with spans in characters of `Chat.text`, and 0 as the outcome; `credit` makes advantages
    of them, `steer.aggregate` a score of a solution. Over a causal model, r_k doesn't depend on what follows step k, so the
    same reward serves a search over unfinished solutions.

    `model`: a `StepHead`, or the folder or Hugging Face id of one, which is loaded once a process; what ends a step
    is kept with it · `batch_tokens`: most tokens in one pass, padding included; a longer sample goes alone.

    Abstains where the completion is blank and so has no step. A sample fails with its reason where it has more tokens than
    the model takes, can't be encoded, has a step without a token of its own, or gets a value that isn't finite. A completion
    that was cut off within a step has that part judged as its last step. Scored in this process, all samples of a call
    together. Needs `guerdon[train]`.

    Raises `ValueError` where `batch_tokens` isn't at least 1.

    Hunter Lightman et al., "Let's Verify Step by Step", arXiv 2305.20050, repository openai/prm800k.
    """

    name = "process_reward"
    isolate = False
    uses_context = False

    def __init__(self, model: str | Path | StepHead, *, batch_tokens: int = 4096) -> None:
        check_count(batch_tokens, "batch_tokens")
        self.model = as_name(model)
        self.batch_tokens = batch_tokens

    def prepare(self) -> None:
        self._head()

    def score(self, sample: Chat, context: Context) -> Value:
        return self.score_batch([sample], context).value(0)

    def score_batch(self, samples: Sequence[Chat], context: Context) -> Signal:
        del context
        head, values = self._head(), list[Value]()
        rows = dict[int, StepTokens]()
        for i, sample in enumerate(samples):
            try:
                rows[i] = head.steps(sample)
                values.append(Abstain("completion: has no step"))
            except Exception as error:  # a sample that can't be encoded fails alone, not with its batch
                values.append(Failure(explain(error)))
        rows = {i: row for i, row in rows.items() if len(row.ends)}
        found = head.predict(list(rows.values()), batch_tokens=self.batch_tokens)
        for (i, row), rewards in zip(rows.items(), found, strict=True):
            wrong = np.flatnonzero(~np.isfinite(rewards))
            values[i] = (
                Failure(f"the value of step {wrong[0]} is {rewards[wrong[0]]}")
                if wrong.size
                else Score(dense=rewards, spans=row.spans, unit="step")
            )
        return Signal.from_values(values)

    def _head(self) -> StepHead:
        return _shared(self.model) if isinstance(self.model, str) else self.model


@lru_cache(maxsize=4)
def _shared(model: str) -> StepHead:
    from guerdon.models.step_head import StepHead

    return StepHead.from_pretrained(model)
