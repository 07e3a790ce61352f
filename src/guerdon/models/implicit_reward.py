"""The implicit reward of a policy, as a reward of responses, turns, steps or tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from guerdon.core.checks import check_choice, check_number
from guerdon.core.context import Context, Policy
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Failure, Score, Signal, Value
from guerdon.models.loading import as_name
from guerdon.models.log_probs import LogProbPair, LogProbs, paired_log_probs, shared_log_probs
from guerdon.models.log_ratio import token_log_ratios

Granularity: TypeAlias = Literal["response", "turn", "step", "token"]


@register(
    "implicit_reward",
    example="{reward: implicit_reward, model: models/process-reward, reference: models/start, unit: step}",
)
class ImplicitReward(Reward):
    """Log-ratio of a trained model to the one it started from: an outcome reward, and process rewards for free.

        q_t = beta · (log π(y_t | x, y_<t) − log π_ref(y_t | x, y_<t))
        r_k = Σ_{t in part k} q_t,    Σ_k r_k = r(y)        whatever the parts are

    The sum of the first k parts is `beta · log E_ref[exp(r / beta)]` over the continuations that the reference would
    write. `model` is any policy that was trained with a loss of `models.implicit_loss`, such as DPO.

    `unit`: what a part is. `response` gives the outcome, without parts; the others give dense rewards, and 0 as the
    outcome. `turn`: assistant turns · `step`: what `separator` ends in `Chat.text`, spans in its characters · `token`:
    all tokens of the completion, those of `extra["completion_ids"]` where the sample has them, with 0 for what tools and
    the template wrote; in training, `model` needs the policy's tokenizer. A token belongs to the part in which its first character lies; the end of
    a turn to the part before it.

    `model`, `reference`: a folder or Hugging Face id, or a `LogProbs`; the reference any `Policy`, and by default the
    live one of the context, which makes the reward relative to the policy that wrote the samples.

    Ranges: unbounded, of the size of `beta` times nats. A sample that can't be scored, whose tokens differ between the
    two models, or, by token, aren't those that the policy emitted, fails with its reason. Scored in this process, all samples of a call together. Raises `ValueError`
    for an unknown unit, an empty separator or a `beta` that isn't above 0.

    Lifan Yuan et al., "Free Process Rewards without Process Labels", arXiv 2412.01981, repository
    PRIME-RL/ImplicitPRM. Of turns and relative to the live policy: Xiaoqian Liu et al., "Agentic Reinforcement Learning
    with Implicit Step Rewards", arXiv 2509.19199, repository Tongyi-ConvAI/Qwen-Character. Of tokens: Ganqu Cui et al.,
    "Process Reinforcement through Implicit Rewards", arXiv 2502.01456, repository PRIME-RL/PRIME.
    """

    name = "implicit_reward"
    isolate = False

    def __init__(
        self,
        model: str | Path | LogProbs,
        reference: str | Path | Policy | None = None,
        *,
        beta: float = 0.05,
        unit: Granularity = "step",
        separator: str = "\n\n",
    ) -> None:
        check_number(beta, "beta", above=0.0)
        check_choice(unit, "unit", get_args(Granularity))
        if not separator:
            raise ValueError("separator: expected text that ends a step, got empty text")
        self.model = as_name(model)
        self.reference = as_name(reference)
        self.beta, self.separator = beta, separator
        self.unit: Granularity = unit
        self.uses_context = reference is None

    def prepare(self) -> None:
        self._model()
        if self.reference is not None:
            self._reference(Context())

    def score(self, sample: Chat, context: Context) -> Value:
        return self.score_batch([sample], context).value(0)

    def score_batch(self, samples: Sequence[Chat], context: Context) -> Signal:
        reference, emitted = self._reference(context), self.unit == "token"
        pairs = paired_log_probs(self._model(), samples, reference, samples, emitted=emitted)
        values = [
            pair if isinstance(pair, Failure) else self._value(sample, pair)
            for sample, pair in zip(samples, pairs, strict=True)
        ]
        return Signal.from_values(values)

    def _value(self, sample: Chat, pair: LogProbPair) -> Value:
        rewards = token_log_ratios(pair.first, pair.second, self.beta, mask=pair.tokens.written)
        if self.unit == "response":
            return float(rewards.sum())
        if self.unit == "token":
            return Score(dense=rewards, unit="token")
        parts = _turns(sample) if self.unit == "turn" else _split(sample.text, self.separator)
        starts = [place for place, _ in parts]
        part = np.maximum(np.searchsorted(starts, pair.tokens.spans[:, 0], side="right") - 1, 0)
        sums = np.bincount(part, weights=rewards, minlength=len(parts)).astype(np.float64)
        return Score(dense=sums, spans=[span for _, span in parts], unit=self.unit)

    def _model(self) -> LogProbs:
        return shared_log_probs(self.model) if isinstance(self.model, str) else self.model

    def _reference(self, context: Context) -> Policy:
        found: Any = context.policy if self.reference is None else self.reference
        if found is None:
            raise ValueError("reference: not given, and the context has no policy to stand in for it")
        return shared_log_probs(found) if isinstance(found, str) else found


def _turns(sample: Chat) -> list[tuple[int, tuple[int, int]]]:
    """Where each assistant turn starts in `Chat.text`, and its span in messages."""
    parts, at = list[tuple[int, tuple[int, int]]](), 0
    for step in sample.steps():
        parts.append((at, (step.start, step.end)))
        at += len(step.text) + 1
    return parts


def _split(text: str, separator: str) -> list[tuple[int, tuple[int, int]]]:
    """Where each step starts in the text, and its span in characters; a separator ends the step before it."""
    parts, start = list[tuple[int, tuple[int, int]]](), 0
    while start < len(text) or not parts:
        found = text.find(separator, start)
        end = len(text) if found < 0 else found + len(separator)
        parts.append((start, (start, end)))
        start = end
    return parts
