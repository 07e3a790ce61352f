"""A goal-conditioned reward model as a reward: of a completion, of its tokens, and of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_choice, check_count
from guerdon.core.context import Context
from guerdon.core.guarded import explain
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Abstain, Failure, Score, Signal, Value
from guerdon.models.completion_log_probs import TokenRow
from guerdon.models.loading import as_name

if TYPE_CHECKING:
    from guerdon.models.goal_conditioned_model import GoalConditionedModel, GoalPrediction

Granularity: TypeAlias = Literal["token", "step"]


@register(
    "goal_conditioned_reward", example="{reward: goal_conditioned_reward, model: models/goal, dense: step}"
)
class GoalConditionedReward(Reward):
    """Reward of a completion, and how like its states are to those of desirable answers.

        outcome = f(h_last)            unbounded; 0 without `outcome`
        dense_t = cos(h_t, goal)       in [−1, 1]: of each token, or of each step at its last token

    Values of tokens are in the order of the completion's tokens, those of `extra["completion_ids"]` where the sample has
    them, and 0 for tokens of tools. Those of steps have spans in characters of `Chat.text`. Over a causal model they
    don't depend on what follows, and so serve a search over unfinished answers, or `filter_generation`.

    `model`: a `GoalConditionedModel`, or the folder or Hugging Face id of one, which is loaded once a process ·
    `outcome`: whether the reward is the outcome · `dense`: what has a value, by default nothing; what ends a step is
    kept with the model · `batch_tokens`: most tokens in one pass, padding included; a longer sample goes alone.

    Abstains where steps are asked for and the completion has none. A sample fails with its reason where it can't be
    encoded, has more tokens than the model takes, has a step without a token of its own, or gets a value that isn't
    finite. Scored in this process, all samples of a call together. Needs `guerdon[train]`.

    Raises `ValueError` for options out of range, or where neither channel is asked for; a model without a goal has no
    values, and raises it when the values are asked for.

    "Learning Goal-Conditioned Representations for Language Reward Models", arXiv 2407.13887, repository
    vaskarnathscale/goal-conditioned-rm.
    """

    name = "goal_conditioned_reward"
    isolate = False
    uses_context = False

    def __init__(
        self,
        model: str | Path | GoalConditionedModel,
        *,
        outcome: bool = True,
        dense: Granularity | None = None,
        batch_tokens: int = 4096,
    ) -> None:
        if dense is not None:
            check_choice(dense, "dense", get_args(Granularity))
        elif not outcome:
            raise ValueError("outcome, dense: expected at least one of both channels, got neither")
        check_count(batch_tokens, "batch_tokens")
        self.model = as_name(model)
        self.outcome, self.batch_tokens = outcome, batch_tokens
        self.dense: Granularity | None = dense

    def prepare(self) -> None:
        self._model()

    def score(self, sample: Chat, context: Context) -> Value:
        return self.score_batch([sample], context).value(0)

    def score_batch(self, samples: Sequence[Chat], context: Context) -> Signal:
        del context
        model, values = self._model(), list[Value]([None] * len(samples))
        rows = dict[int, _Row]()
        for i, sample in enumerate(samples):
            try:
                rows[i] = self._row(model, sample)
            except Abstain as reason:
                values[i] = reason
            except Exception as error:  # a sample that can't be encoded fails alone, not with its batch
                values[i] = Failure(explain(error))
        found = model.predict([row.tokens for row in rows.values()], batch_tokens=self.batch_tokens)
        for (i, row), prediction in zip(rows.items(), found, strict=True):
            values[i] = self._value(row, prediction)
        return Signal.from_values(values)

    def _row(self, model: GoalConditionedModel, sample: Chat) -> _Row:
        ids, first, tokens = model.encode(sample)
        row = TokenRow(ids, first, tokens.written)
        if self.dense != "step":
            if first == len(ids):
                raise ValueError("completion: expected at least one token, got none")
            if self.dense == "token":
                tokens.check_emitted()
            return _Row(row, None, None)
        _, ends, spans = model.network.steps(sample)
        if not len(ends):
            raise Abstain("completion: has no step")
        return _Row(row, ends - first, spans)

    def _value(self, row: _Row, prediction: GoalPrediction) -> Value:
        outcome = prediction.reward if self.outcome else 0.0
        if self.dense is None:
            return outcome
        assert prediction.values is not None
        if self.dense == "token":
            return Score(outcome, dense=np.where(row.tokens.written, prediction.values, 0.0), unit="token")
        return Score(outcome, dense=prediction.values[row.ends], spans=row.spans, unit="step")

    def _model(self) -> GoalConditionedModel:
        model = _shared(self.model) if isinstance(self.model, str) else self.model
        if self.dense is not None and model.goal is None:
            raise ValueError("model: it has no goal yet; call set_goal or fit_goal_conditioned")
        return model


class _Row(NamedTuple):
    """A sample's tokens; `ends` (k,) of its steps, counted in the completion, with their `spans` (k, 2)."""

    tokens: TokenRow
    ends: NDArray[np.int64] | None
    spans: NDArray[np.int64] | None


@lru_cache(maxsize=4)
def _shared(model: str) -> GoalConditionedModel:
    from guerdon.models.goal_conditioned_model import GoalConditionedModel

    return GoalConditionedModel.from_pretrained(model)
