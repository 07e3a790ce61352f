"""An implicit process reward that learns from the outcomes of every batch that it scores."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_choice, check_count, check_number
from guerdon.core.context import EMPTY, Context
from guerdon.core.extras import need
from guerdon.core.guarded import explain
from guerdon.core.registry import create, register
from guerdon.core.reward import Reward, leaves
from guerdon.core.samples import Chat
from guerdon.core.signal import Failure, Score, Signal
from guerdon.models.batches import length_batches
from guerdon.models.completion_log_probs import TokenRow, completion_log_probs, evaluation_mode
from guerdon.models.encoding import ChatEncoder
from guerdon.models.implicit_loss import outcome_cross_entropy
from guerdon.models.loading import loaded_causal
from guerdon.models.log_ratio import token_log_ratios

if TYPE_CHECKING:
    from torch import Tensor

Update: TypeAlias = Literal["after", "before"]
Granularity: TypeAlias = Literal["token", "response"]


@register(
    "online_implicit_reward",
    example="{reward: online_implicit_reward, outcome: math}",
)
class OnlineImplicitReward(Reward):
    """Outcome, and process rewards of a model that is trained on the outcomes of the batch: no step is ever labelled.

        q_t  = log π_φ(y_t | x, y_<t) − log π_ref(y_t | x, y_<t)        the dense channel, 0 for tokens of tools
        loss = mean_i BCE(σ(beta · Σ_t q_{i,t}), outcome_i)             one step of AdamW a batch

    `beta` is in the loss alone; `credit.DenseLeaveOneOut` scales the process rewards, keeps both channels apart and
    makes advantages of them.

    `outcome`: a reward in [0, 1], or the registered name of one, scored in this process; its Signal is the part
    "outcome", and a dense channel of its own isn't kept · `model`: π_φ, a folder or Hugging Face id, loaded in float32,
    or a loaded model with its `tokenizer`, which is trained in place and so can't be the policy itself; by default a copy
    of the context's policy as it is when scoring begins · `reference`: a model likewise; by default a frozen copy of
    `model` as it is then. The live policy's module makes the reward
    relative to the policy · `update`: "after" the rewards are read, which takes one pass, or "before", so that they are
    those of the updated model, read in a second pass · `granularity`: `response` puts Σ_t q_t on the last token that the
    policy wrote · `max_grad_norm`: the gradient is clipped to it · `weight_decay`: of AdamW · `batch_tokens`: most tokens
    in one pass, padding included; gradients of the passes add up to that of the whole batch.

    It learns only where the context says that training is on: it has a `step`, and no `extra["training"]` that is false.
    A plain call, and an evaluation in a trainer that sets the latter, read the rewards and change nothing. Every sample
    that is OK trains; one for which `outcome` abstained or failed does the same here and trains nothing, as does one
    whose outcome leaves [0, 1] or that can't be encoded, which fails. A batch without any other changes nothing. Where
    the gradient isn't finite the batch fails before a weight is written. Prompts that all responses solve or miss teach
    little: filter them before the reward sees them, with `credit.accuracy_filter`.

    Scope `batch`, so one call is one update; it is not cached. `state_dict` holds the weights of the model and the state
    of the optimiser, live as in torch, and the state of `outcome`, but not the reference: make the reward from the same
    start before loading it. Tokens are `extra["completion_ids"]` where the sample has them. Needs `guerdon[train]`.

    Raises `ValueError` for options out of range, and on first use for a reference that is the model itself or where there
    is neither a model nor a policy to copy; `TypeError` there for a loaded model without a tokenizer.

    Ganqu Cui et al., "Process Reinforcement through Implicit Rewards", arXiv 2502.01456, repository PRIME-RL/PRIME.
    """

    name = "online_implicit_reward"
    scope = "batch"
    isolate = False

    def __init__(
        self,
        outcome: Reward | str,
        model: Any = None,
        reference: Any = None,
        *,
        tokenizer: Any = None,
        beta: float = 0.05,
        learning_rate: float = 1e-6,
        update: Update = "after",
        granularity: Granularity = "token",
        max_grad_norm: float = 10.0,
        weight_decay: float = 0.01,
        batch_tokens: int = 4096,
    ) -> None:
        check_choice(update, "update", get_args(Update))
        check_choice(granularity, "granularity", get_args(Granularity))
        check_count(batch_tokens, "batch_tokens")
        self.outcome: Reward = create(outcome) if isinstance(outcome, str) else outcome
        self.model, self.reference, self.tokenizer = model, reference, tokenizer
        self.beta = check_number(beta, "beta", above=0.0)
        self.learning_rate = check_number(learning_rate, "learning_rate", low=0.0)
        self.update: Update = update
        self.granularity: Granularity = granularity
        self.max_grad_norm = check_number(max_grad_norm, "max_grad_norm", above=0.0)
        self.weight_decay = check_number(weight_decay, "weight_decay", low=0.0)
        self.batch_tokens = batch_tokens
        self._learner: _Learner | None = None

    def prepare(self) -> None:
        for leaf in leaves(self.outcome):
            leaf.prepare()
        if self.model is not None:
            self._prepared(EMPTY)

    def score_batch(self, samples: Sequence[Chat], context: Context) -> Signal:
        learner = self._prepared(context)
        signal = self.outcome(samples, context)
        values = [signal.value(i) for i in range(len(samples))]
        rows = dict[int, TokenRow]()
        for i in np.flatnonzero(signal.ok).tolist():
            try:
                check_number(float(signal.outcome[i]), "outcome", 0.0, 1.0)
                rows[i] = TokenRow.of(samples[i], learner.encode)
            except ValueError as error:
                values[i] = Failure(explain(error))
        rewards = self._rewards(rows, signal.outcome, _training(context))
        for i, row in rows.items():
            dense = rewards[i] if self.granularity == "token" else _on_last(rewards[i], row.written)
            values[i] = Score(float(signal.outcome[i]), dense=dense, unit="token")
        return Signal.from_values(values).replace(parts={"outcome": signal})

    def own_state(self) -> dict[str, Any]:
        learner = self._prepared(EMPTY)
        return {
            "model": learner.model.state_dict(),
            "optimizer": learner.optimizer.state_dict(),
            "outcome": self.outcome.state_dict(),
        }

    def load_own_state(self, state: Mapping[str, Any]) -> None:
        learner = self._prepared(EMPTY)
        learner.model.load_state_dict(state["model"])
        learner.optimizer.load_state_dict(state["optimizer"])
        self.outcome.load_state_dict(state["outcome"])

    def _rewards(
        self, rows: Mapping[int, TokenRow], outcome: NDArray[np.float64], training: bool
    ) -> dict[int, NDArray[np.float64]]:
        """Token rewards of each row; in training the model makes its step before or after they are read."""
        learner = self._prepared(EMPTY)
        batches = learner.batches(rows, self.batch_tokens)
        if not batches or not training:
            return learner.read(batches)
        rewards = learner.step(batches, outcome, self.beta, self.max_grad_norm)
        return rewards if self.update == "after" else learner.read(batches)

    def _prepared(self, context: Context) -> _Learner:
        if self._learner is None:
            model, tokenizer = self.model, self.tokenizer
            if model is None:
                model, tokenizer = _copied_policy(context)
            self._learner = _Learner(model, tokenizer, self.reference, self.learning_rate, self.weight_decay)
        return self._learner


class _Batch(NamedTuple):
    """Samples of one pass: their numbers, tokens, and log-probabilities (n, T) under the reference."""

    numbers: list[int]
    rows: list[TokenRow]
    reference: Tensor


class _Learner:
    """The model that is trained, its optimiser, and the model that it is compared with."""

    def __init__(
        self, model: Any, tokenizer: Any, reference: Any, learning_rate: float, weight_decay: float
    ) -> None:
        torch = need("torch", "train")
        if reference is model and not isinstance(model, (str, Path)):
            raise ValueError("reference: expected another model than the one that is trained, got the same")
        # In half precision, steps as small as these would be lost in rounding.
        self.model, tokenizer = loaded_causal(model, tokenizer, dtype=torch.float32)
        self.reference = (
            _copied(self.model)
            if reference is None
            else loaded_causal(reference, tokenizer, dtype=torch.float32)[0]
        )
        self.encode = ChatEncoder(tokenizer, getattr(self.model.config, "max_position_embeddings", None))
        weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimizer: Any = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=weight_decay)

    def batches(self, rows: Mapping[int, TokenRow], batch_tokens: int) -> list[_Batch]:
        torch = need("torch", "train")
        numbers, found = list(rows), list[_Batch]()
        with torch.no_grad(), evaluation_mode(self.reference):
            for places in length_batches([len(row.ids) for row in rows.values()], batch_tokens):
                chosen = [numbers[place] for place in places]
                tokens = [rows[i] for i in chosen]
                log_probs, _ = completion_log_probs(self.reference, tokens)
                found.append(_Batch(chosen, tokens, log_probs.to(self.model.device)))
        return found

    def read(self, batches: Sequence[_Batch]) -> dict[int, NDArray[np.float64]]:
        """Token rewards of the model as it is."""
        torch, rewards = need("torch", "train"), dict[int, NDArray[np.float64]]()
        with torch.no_grad(), evaluation_mode(self.model):
            for batch in batches:
                rewards.update(_by_number(batch, self._ratios(batch)))
        return rewards

    def step(
        self, batches: Sequence[_Batch], outcome: NDArray[np.float64], beta: float, max_grad_norm: float
    ) -> dict[int, NDArray[np.float64]]:
        """One step on all batches together; returns the token rewards from before it."""
        torch, rewards = need("torch", "train"), dict[int, NDArray[np.float64]]()
        total = sum(len(batch.numbers) for batch in batches)
        self.optimizer.zero_grad()
        with torch.enable_grad(), evaluation_mode(self.model):
            for batch in batches:
                ratios = self._ratios(batch)
                labels = torch.as_tensor(outcome[batch.numbers], dtype=ratios.dtype, device=ratios.device)
                loss = outcome_cross_entropy(beta * ratios.sum(-1), labels)
                (loss * (len(batch.numbers) / total)).backward()
                rewards.update(_by_number(batch, ratios.detach()))
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), max_grad_norm, error_if_nonfinite=True)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return rewards

    def _ratios(self, batch: _Batch) -> Tensor:
        log_probs, written = completion_log_probs(self.model, batch.rows)
        return token_log_ratios(log_probs, batch.reference, mask=written)


def _copied(model: Any) -> Any:
    if "forward" not in vars(model):
        return copy.deepcopy(model)
    # A trainer has bound the forward pass of this object to its own weights, and deepcopy would keep that.
    copied = type(model)(copy.deepcopy(model.config)).to(dtype=model.dtype, device=model.device)
    copied.load_state_dict(model.state_dict())
    return copied.train(model.training)


def _copied_policy(context: Context) -> tuple[Any, Any]:
    """The live policy's model, copied, and its tokenizer."""
    policy: Any = context.policy
    if not (hasattr(policy, "model") and hasattr(policy, "tokenizer")):
        raise ValueError(
            f"model: expected one, or a context whose policy is a model in this process, got {type(policy).__name__}"
        )
    return _copied(policy.model), policy.tokenizer


def _by_number(batch: _Batch, ratios: Tensor) -> dict[int, NDArray[np.float64]]:
    values = ratios.cpu().numpy().astype(np.float64)
    return {
        number: values[i, : row.written.size]
        for i, (number, row) in enumerate(zip(batch.numbers, batch.rows, strict=True))
    }


def _on_last(rewards: NDArray[np.float64], written: NDArray[np.bool_]) -> NDArray[np.float64]:
    """All of a response on the last token that the assistant wrote."""
    placed = np.zeros_like(rewards)
    places = np.flatnonzero(written)
    if places.size:
        placed[places[-1]] = rewards.sum()
    return placed


def _training(context: Context) -> bool:
    return context.step is not None and bool(context.extra.get("training", True))
