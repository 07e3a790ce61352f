"""An implicit process reward that learns from the outcomes of every batch that it scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_choice, check_count, check_number
from guerdon.core.context import EMPTY, Context
from guerdon.core.extras import need
from guerdon.core.guarded import explain
from guerdon.core.registry import create, register
from guerdon.core.reward import Reward, leaves
from guerdon.core.samples import Chat, group_codes
from guerdon.core.segments import assistant_turns
from guerdon.core.signal import Failure, Score, Signal
from guerdon.models.completion_log_probs import TokenRow
from guerdon.models.encoding import ChatEncoder
from guerdon.models.implicit_loss import outcome_cross_entropy
from guerdon.models.online_learner import Batch, LossShare, OnlineLearner, copied, live_policy
from guerdon.models.trajectory_preference import Reduce, group_pair_loss

if TYPE_CHECKING:
    from torch import Tensor

Loss: TypeAlias = Literal["outcome", "pairs"]
Update: TypeAlias = Literal["after", "before"]
Granularity: TypeAlias = Literal["token", "turn", "response"]


@register(
    "online_implicit_reward",
    example="{reward: online_implicit_reward, outcome: math}",
)
class OnlineImplicitReward(Reward):
    """Outcome, and process rewards of a model that is trained on the outcomes of the batch: no step is ever labelled.

        q_t      = log π_φ(y_t | x, y_<t) − log π_ref(y_t | x, y_<t)       0 for tokens of tools
        outcome    loss = mean_i BCE(σ(beta · Σ_t q_{i,t}), outcome_i)
        pairs      loss = mean over pairs (i, j) of a group, i a success, j a failure, of −log σ(s_i − s_j)
                   s_i = beta · Σ_t q_{i,t}, divided by the turns of i with reduce="mean"

    One step of AdamW a batch. `loss="outcome"`, the default, is PRIME's; iStar is `loss="pairs"`, `granularity="turn"`
    and `reference="policy"`, with `credit.EpisodeStep`.

    The dense channel holds q_t in nats, or its sums, and never `beta`, which is in the loss alone. For PRIME,
    `credit.DenseLeaveOneOut` scales them, keeps both channels apart and makes advantages of them. iStar's step reward is
    `beta` times the value of a turn: `credit.EpisodeStep` divides by the standard deviation of a group's turns, where a
    factor cancels, up to its `epsilon`; with its other forms, which don't divide, give it `step_weight=beta`.

    `outcome`: a reward, or the registered name of one, scored in this process; its Signal is the part "outcome", and a
    dense channel of its own isn't kept. In [0, 1] for `loss="outcome"` · `model`: π_φ, a folder or Hugging Face id,
    loaded in float32, or a loaded model with its `tokenizer`, which is trained in place and so can't be the policy
    itself; by default a copy of the context's policy as it is when scoring begins · `reference`: a model likewise; by
    default a frozen copy of `model` as it is then. "policy" is the live policy of each context, which is the one that
    wrote the batch where a trainer scores what it has just sampled; it needs the tokens of `model` · `loss`: see above ·
    `success_above`: an outcome above it is a success, for pairs · `reduce`: "sum" over the turns, as in the paper, where
    the pairs are a Bradley–Terry model with an additive reward; or "mean", as in the released code, where a long
    failure isn't bad by its length · `update`: "after" the rewards are read, or "before", so that they are those of the
    updated model, read in a pass more. Pairs need one more as well, since a group may lie in several passes ·
    `granularity`: `turn` gives Σ_t q_t over each turn of the assistant, with its span in messages; `response` puts that
    over all on the last token that the policy wrote · `max_grad_norm`: the gradient is clipped to it · `weight_decay`:
    of AdamW · `batch_tokens`: most tokens in one pass, padding included; whatever it is, the gradient is that of the
    whole batch.

    It learns only where the context says that training is on: it has a `step`, and no `extra["training"]` that is false.
    A plain call, and an evaluation in a trainer that sets the latter, read the rewards and change nothing. Every sample
    that is OK trains; one for which `outcome` abstained or failed does the same here and trains nothing, as does one
    whose outcome leaves its range, that can't be encoded, or whose turns can't be told apart, which fails. A batch
    without any other, or for pairs without a success and a failure in one group, changes nothing. Where the gradient
    isn't finite the batch fails before a weight is written. Prompts that all responses solve or miss teach little: filter
    them before the reward sees them, with `credit.accuracy_filter`.

    Scope `batch`, so one call is one update; it is not cached. `state_dict` holds the weights of the model and the state
    of the optimiser, live as in torch, and the state of `outcome`, but not the reference: make the reward from the same
    start before loading it. Tokens are `extra["completion_ids"]` where the sample has them, and must be these except for
    turns. Needs `guerdon[train]`.

    Raises `ValueError` for options out of range, and on first use for a reference that is the model itself or where there
    is neither a model nor a policy to copy; `TypeError` there for a loaded model without a tokenizer. Every sample of a
    batch fails where `reference="policy"` and the context has no such policy in this process.

    Ganqu Cui et al., "Process Reinforcement through Implicit Rewards", arXiv 2502.01456, repository PRIME-RL/PRIME. Pairs,
    turns and relative to the live policy: Xiaoqian Liu et al., "Agentic Reinforcement Learning with Implicit Step
    Rewards", arXiv 2509.19199, repository Tongyi-ConvAI/Qwen-Character.
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
        loss: Loss = "outcome",
        success_above: float = 0.0,
        reduce: Reduce = "sum",
        beta: float = 0.05,
        learning_rate: float = 1e-6,
        update: Update = "after",
        granularity: Granularity = "token",
        max_grad_norm: float = 10.0,
        weight_decay: float = 0.01,
        batch_tokens: int = 4096,
    ) -> None:
        check_choice(loss, "loss", get_args(Loss))
        check_choice(reduce, "reduce", get_args(Reduce))
        check_choice(update, "update", get_args(Update))
        check_choice(granularity, "granularity", get_args(Granularity))
        check_count(batch_tokens, "batch_tokens")
        self.outcome: Reward = create(outcome) if isinstance(outcome, str) else outcome
        self.model, self.reference, self.tokenizer = model, reference, tokenizer
        self.loss: Loss = loss
        self.success_above = check_number(success_above, "success_above")
        self.reduce: Reduce = reduce
        self.beta = check_number(beta, "beta", above=0.0)
        self.learning_rate = check_number(learning_rate, "learning_rate", low=0.0)
        self.update: Update = update
        self.granularity: Granularity = granularity
        self.max_grad_norm = check_number(max_grad_norm, "max_grad_norm", above=0.0)
        self.weight_decay = check_number(weight_decay, "weight_decay", low=0.0)
        self.batch_tokens = batch_tokens
        self._learner: OnlineLearner | None = None

    def prepare(self) -> None:
        for leaf in leaves(self.outcome):
            leaf.prepare()
        if self.model is not None:
            self._prepared(EMPTY)

    def score_batch(self, samples: Sequence[Chat], context: Context) -> Signal:
        learner = self._prepared(context)
        reference = learner.reference(context)
        signal = self.outcome(samples, context)
        values = [signal.value(i) for i in range(len(samples))]
        rows = dict[int, TokenRow]()
        for i in np.flatnonzero(signal.ok).tolist():
            try:
                if self.loss == "outcome":
                    check_number(float(signal.outcome[i]), "outcome", 0.0, 1.0)
                rows[i] = self._row(samples[i], learner.encode)
            except Exception as error:  # a sample that can't be encoded fails alone, not with its batch
                values[i] = Failure(explain(error))
        batches = learner.batches(rows, reference, self.batch_tokens)
        if batches and _training(context):
            rewards = self._learn(learner, batches, samples, signal.outcome)
        else:
            rewards = learner.read(batches)
        for i, row in rows.items():
            values[i] = self._value(samples[i], float(signal.outcome[i]), row, rewards[i])
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

    def _prepared(self, context: Context) -> OnlineLearner:
        if self._learner is None:
            model, tokenizer = self.model, self.tokenizer
            if model is None:
                policy, tokenizer = live_policy(context, "model")
                model = copied(policy)
            self._learner = OnlineLearner(
                model,
                tokenizer,
                self.reference,
                learning_rate=self.learning_rate,
                weight_decay=self.weight_decay,
            )
        return self._learner

    def _row(self, sample: Chat, encode: ChatEncoder) -> TokenRow:
        if self.granularity != "turn":
            return TokenRow.of(sample, encode)
        ids, first, tokens = encode(sample)
        assistant_turns(sample, tokens.written)  # those that can't be told apart fail before they train
        return TokenRow(ids, first, tokens.written)

    def _value(self, sample: Chat, outcome: float, row: TokenRow, rewards: NDArray[np.float64]) -> Score:
        if self.granularity == "turn":
            # Between turns, rewards are 0.
            sums = np.add.reduceat(rewards, assistant_turns(sample, row.written)[:, 0])
            return Score(outcome, dense=sums, spans=[step[:2] for step in sample.steps()], unit="turn")
        dense = rewards if self.granularity == "token" else _on_last(rewards, row.written)
        return Score(outcome, dense=dense, unit="token")

    def _learn(
        self,
        learner: OnlineLearner,
        batches: Sequence[Batch],
        samples: Sequence[Chat],
        outcome: NDArray[np.float64],
    ) -> dict[int, NDArray[np.float64]]:
        """Token rewards of each row; the model makes its step before or after they are read."""
        if self.loss == "outcome":
            share = _outcome_share(outcome, self.beta, sum(len(batch.numbers) for batch in batches))
            rewards = learner.step(batches, share, self.max_grad_norm)
        else:
            rewards = learner.read(batches)
            slopes = self._pair_slopes(rewards, samples, outcome)
            if not slopes.any():
                return rewards
            learner.step(batches, _linear_share(slopes), self.max_grad_norm)
        return rewards if self.update == "after" else learner.read(batches)

    def _pair_slopes(
        self,
        rewards: Mapping[int, NDArray[np.float64]],
        samples: Sequence[Chat],
        outcome: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Derivative of the loss of all pairs by Σ_t q_t of each sample (n,); 0 for one that is in no pair."""
        torch, numbers = need("torch", "train"), list(rewards)
        sums = torch.tensor([rewards[i].sum() for i in numbers], dtype=torch.float64, requires_grad=True)
        turns = [len(samples[i].steps()) if self.reduce == "mean" else 1 for i in numbers]
        scores = self.beta * sums / torch.tensor(turns)
        group_pair_loss(
            scores, outcome[numbers] > self.success_above, group_codes(samples)[numbers]
        ).backward()
        slopes = np.zeros(len(samples))
        slopes[numbers] = sums.grad.numpy()
        return slopes


def _outcome_share(outcome: NDArray[np.float64], beta: float, total: int) -> LossShare:
    def share(numbers: list[int], sums: Tensor) -> Tensor:
        return outcome_cross_entropy(beta * sums, _like(sums, outcome[numbers])) * (len(numbers) / total)

    return share


def _linear_share(slopes: NDArray[np.float64]) -> LossShare:
    """A loss with these derivatives: its gradient adds up over passes, though a pair may be split between them."""

    def share(numbers: list[int], sums: Tensor) -> Tensor:
        return (_like(sums, slopes[numbers]) * sums).sum()

    return share


def _like(tensor: Tensor, values: NDArray[np.float64]) -> Tensor:
    return need("torch", "train").as_tensor(values, dtype=tensor.dtype, device=tensor.device)


def _on_last(rewards: NDArray[np.float64], written: NDArray[np.bool_]) -> NDArray[np.float64]:
    """All of a response on the last token that the assistant wrote."""
    placed = np.zeros_like(rewards)
    places = np.flatnonzero(written)
    if places.size:
        placed[places[-1]] = rewards.sum()
    return placed


def _training(context: Context) -> bool:
    return context.step is not None and bool(context.extra.get("training", True))
