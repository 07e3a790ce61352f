"""The network of a goal-conditioned reward model. It loads torch: import it where it is used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, no_grad, stack
from torch.nn import Module
from transformers.utils.hub import cached_file

from guerdon.core.identity import digest
from guerdon.core.samples import Chat
from guerdon.models.batches import length_batches, padded
from guerdon.models.completion_log_probs import TokenRow, evaluation_mode
from guerdon.models.encoding import ChatEncoder, Encoded
from guerdon.models.goal_conditioned import (
    goal_conditioned_loss,
    goal_contrastive_loss,
    goal_values,
    states_at,
)
from guerdon.models.step_head import StepHead

_GOAL = "goal.safetensors"


class GoalPrediction(NamedTuple):
    """`reward` of a completion and `values` (T,) of its tokens, None without a goal; NaN where a state isn't finite."""

    reward: float
    values: NDArray[np.float64] | None


class GoalConditionedModel(Module):
    """A reward model whose hidden states are values too: the more a state is like the goal, the better it looks.

        r   = f(h_last)              reward, unbounded, at the last token of the completion
        V_t = cos(h_t, goal)         value of each token, in [−1, 1], see `goal_values`

    with h (T, d) the last hidden states and f the head of `network`, a `StepHead` of ratings. In a causal network V_t
    doesn't depend on what follows token t. The attribute `goal` (d,) float32 is None until `set_goal` or
    `fit_goal_conditioned` sets it.

    Raises `ValueError` for a network whose output isn't `rating`. As a reward: `GoalConditionedReward`. Needs
    `guerdon[train]`.

    "Learning Goal-Conditioned Representations for Language Reward Models", arXiv 2407.13887, repository
    vaskarnathscale/goal-conditioned-rm.
    """

    goal: Tensor | None

    def __init__(self, network: StepHead) -> None:
        super().__init__()
        if network.output != "rating":
            raise ValueError(f"network: expected one whose output is 'rating', got {network.output!r}")
        self.network = network
        self.register_buffer("goal", None)
        config = network.backbone.config
        self._encode = ChatEncoder.of(network.tokenizer, config)
        self._options = {"use_cache": False} if hasattr(config, "use_cache") else {}

    @classmethod
    def from_pretrained(cls, path: str | Path, *, device: str | None = None) -> GoalConditionedModel:
        """One that `save_pretrained` wrote, in evaluation mode; arguments and errors as of `StepHead.from_pretrained`."""
        model = cls(StepHead.from_pretrained(path, device=device)).eval()
        goal = load_file(str(cached_file(str(path), _GOAL)))["goal"]
        model.goal = goal.to(model.network.backbone.device)
        return model

    def save_pretrained(self, path: str | Path) -> None:
        """Write a folder: what `StepHead` writes, and the goal. Raises `ValueError` where there is none yet."""
        if self.goal is None:
            raise ValueError("goal: there is none yet; call set_goal or fit_goal_conditioned")
        self.network.save_pretrained(path)
        save_file({"goal": self.goal.contiguous()}, Path(path) / _GOAL)

    def fingerprint(self) -> str:
        """Identity for caches: a new one whenever a weight or the goal is another."""
        goal = None if self.goal is None else self.goal.tolist()
        return digest([type(self).__qualname__, self.network.fingerprint(), goal])

    def encode(self, sample: Chat) -> Encoded:
        """Its text as the model reads it. Raises `ValueError` as `ChatEncoder` does."""
        return self._encode(sample)

    def tokens(self, sample: Chat) -> TokenRow:
        """Its tokens, those that the policy emitted where it has them.

        Raises `ValueError` as `TokenRow.of` does, and for a completion without a token.
        """
        row = TokenRow.of(sample, self._encode)
        if row.first == len(row.ids):
            raise ValueError("completion: expected at least one token, got none")
        return row

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        positive: Any,
        negative: Any,
        beta: float,
        average_goals: bool,
    ) -> dict[str, Tensor]:
        """Loss of n pairs, `goal_conditioned_loss`, and the `rewards` (n, 2) float32 of their answers.

        `input_ids`, `attention_mask` (n, 2, T): chosen and rejected, padded behind · `positive` (n, 2, m): where the source
        and the goal states lie in the chosen answer · `negative` (n, 2, m'): where sources lie in the chosen answer and
        goals in the rejected one, all as `states_at` counts · `beta`: ≥ 0; without it, no contrastive term ·
        `average_goals`: see `goal_contrastive_loss`.
        """
        hidden = self._hidden(input_ids.flatten(0, 1), attention_mask.flatten(0, 1))
        last = attention_mask.flatten(0, 1).sum(-1) - 1
        ends = hidden.take_along_dim(last[:, None, None], dim=1)[:, 0]
        rewards = self.network.head(ends)[:, 0].unflatten(0, (-1, 2))
        chosen, rejected = hidden.unflatten(0, (-1, 2)).unbind(1)
        contrastive: Any = 0.0
        if beta:
            contrastive = goal_contrastive_loss(
                states_at(chosen, positive[:, 0]),
                states_at(chosen, positive[:, 1]),
                states_at(chosen, negative[:, 0]),
                states_at(rejected, negative[:, 1]),
                beta=beta,
                average_goals=average_goals,
            )
        loss = goal_conditioned_loss(rewards[:, 0], rewards[:, 1], contrastive)
        return {"loss": loss, "rewards": rewards}

    def set_goal(self, rows: Sequence[TokenRow], *, batch_tokens: int = 4096) -> None:
        """Take as the goal the mean of the states at the last tokens of desirable answers.

        Set it anew after every change of the weights. Raises `ValueError` without rows or where a state isn't finite.
        """
        if not rows:
            raise ValueError("rows: expected at least one desirable answer, got none")
        goal = stack([states[-1] for _, states in self._states(rows, batch_tokens)]).mean(0)
        if not goal.isfinite().all():
            raise ValueError("rows: the hidden state of a last token isn't finite")
        self.goal = goal

    def predict(self, rows: Sequence[TokenRow], *, batch_tokens: int = 4096) -> list[GoalPrediction]:
        """Reward and token values of each row, without dropout; `batch_tokens`: most in one pass, padding included."""
        goals = None if self.goal is None else self.goal.cpu().numpy()[None]
        found = dict[int, GoalPrediction]()
        for i, states in self._states(rows, batch_tokens):
            known, values = bool(states.isfinite().all()), None
            if goals is not None:
                values = goal_values(states.cpu().numpy(), goals) if known else np.full(len(states), np.nan)
            with no_grad():
                reward = float(self.network.head(states[-1])) if known else float("nan")
            found[i] = GoalPrediction(reward, values)
        return [found[i] for i in range(len(rows))]

    def _states(self, rows: Sequence[TokenRow], batch_tokens: int) -> Iterator[tuple[int, Tensor]]:
        """Of each row its number and the states (T_i, d) float32 of its completion."""
        for numbers in length_batches([len(row.ids) for row in rows], batch_tokens):
            ids, mask = padded([rows[i].ids for i in numbers], self.network.backbone.device)
            with no_grad(), evaluation_mode(self):
                hidden = self._hidden(ids, mask)
            for i, states in zip(numbers, hidden, strict=True):
                yield i, states[rows[i].first : len(rows[i].ids)]

    def _hidden(self, ids: Tensor, mask: Tensor) -> Tensor:
        output = self.network.backbone(input_ids=ids, attention_mask=mask, **self._options)
        return output.last_hidden_state.float()
