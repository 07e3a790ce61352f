"""A causal language model that is trained on what it scores, and the model that it is compared with."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from guerdon.core.context import Context
from guerdon.core.extras import need
from guerdon.models.batches import length_batches
from guerdon.models.completion_log_probs import TokenRow, completion_log_probs, evaluation_mode
from guerdon.models.encoding import ChatEncoder
from guerdon.models.loading import loaded_causal
from guerdon.models.log_ratio import token_log_ratios

if TYPE_CHECKING:
    from torch import Tensor

POLICY = "policy"

LossShare: TypeAlias = "Callable[[list[int], Tensor], Tensor]"
"""From the numbers of some samples and the sums (n,) of their token rewards to what they add to the loss of the batch."""


class Batch(NamedTuple):
    """Samples of one pass: their numbers, tokens, and log-probabilities (n, T) under the reference."""

    numbers: list[int]
    rows: list[TokenRow]
    reference: Tensor


class OnlineLearner:
    """A model, its optimiser, and log-ratios `log π_φ(y_t | x, y_<t) − log π_ref(y_t | x, y_<t)` to a reference.

    `model`: a folder or Hugging Face id, loaded in float32, or a loaded model with its `tokenizer`, which is trained in
    place · `reference`: a model likewise, by default a frozen copy of `model`, or "policy", the live policy of each
    context · `learning_rate`, `weight_decay`: of AdamW.

    The attribute `encode` gives the tokens of a sample. Token rewards are a float64 array (T_i,) for each number of a
    sample, 0 for tokens that the assistant didn't write. Needs `guerdon[train]`.

    Raises `ValueError` for a reference that is the model itself, and `TypeError` for a loaded model without a tokenizer.
    """

    def __init__(
        self, model: Any, tokenizer: Any, reference: Any, *, learning_rate: float, weight_decay: float
    ) -> None:
        torch = need("torch", "train")
        if not isinstance(model, (str, Path)):
            _check_other(reference, model)
        # In half precision, steps as small as these would be lost in rounding.
        self.model, self._tokenizer = loaded_causal(model, tokenizer, dtype=torch.float32)
        if reference is None:
            reference = copied(self.model)
        elif reference != POLICY:
            reference, _ = loaded_causal(reference, self._tokenizer, dtype=torch.float32)
        self._reference = reference
        self.encode = ChatEncoder.of(self._tokenizer, self.model.config)
        weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimizer: Any = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=weight_decay)

    def reference(self, context: Context) -> Any:
        """The model that rewards of this context are relative to.

        Raises `ValueError` where that is the live policy, and the context has none in this process, or one that is the
        model itself or has other tokens.
        """
        if not isinstance(self._reference, str):
            return self._reference
        policy, tokenizer = live_policy(context, "reference")
        _check_other(policy, self.model)
        if tokenizer is not self._tokenizer and tokenizer.get_vocab() != self._tokenizer.get_vocab():
            raise ValueError("reference: expected a policy with the tokens of the model, got one with others")
        return policy

    def batches(self, rows: Mapping[int, TokenRow], reference: Any, batch_tokens: int) -> list[Batch]:
        """Rows of similar length, at most `batch_tokens` in one pass."""
        torch = need("torch", "train")
        numbers, found = list(rows), list[Batch]()
        with torch.no_grad(), evaluation_mode(reference):
            for places in length_batches([len(row.ids) for row in rows.values()], batch_tokens):
                chosen = [numbers[place] for place in places]
                tokens = [rows[i] for i in chosen]
                log_probs, _ = completion_log_probs(reference, tokens)
                found.append(Batch(chosen, tokens, log_probs.to(self.model.device)))
        return found

    def read(self, batches: Sequence[Batch]) -> dict[int, NDArray[np.float64]]:
        """Token rewards of the model as it is."""
        torch, rewards = need("torch", "train"), dict[int, NDArray[np.float64]]()
        with torch.no_grad(), evaluation_mode(self.model):
            for batch in batches:
                rewards.update(_by_number(batch, self._ratios(batch)))
        return rewards

    def step(
        self, batches: Sequence[Batch], share: LossShare, max_grad_norm: float
    ) -> dict[int, NDArray[np.float64]]:
        """One step on all batches together, on the sum of their shares; returns the token rewards from before it.

        Raises `RuntimeError` where the gradient isn't finite, before a weight is written.
        """
        torch, rewards = need("torch", "train"), dict[int, NDArray[np.float64]]()
        self.optimizer.zero_grad()
        with torch.enable_grad(), evaluation_mode(self.model):
            for batch in batches:
                ratios = self._ratios(batch)
                share(batch.numbers, ratios.sum(-1)).backward()
                rewards.update(_by_number(batch, ratios.detach()))
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), max_grad_norm, error_if_nonfinite=True)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return rewards

    def _ratios(self, batch: Batch) -> Tensor:
        log_probs, written = completion_log_probs(self.model, batch.rows)
        return token_log_ratios(log_probs, batch.reference, mask=written)


def copied(model: Any) -> Any:
    """Another model with the same weights, also where a trainer wraps the forward pass of this one."""
    if "forward" not in vars(model):
        return copy.deepcopy(model)
    # A trainer has bound the forward pass of this object to its own weights, and deepcopy would keep that.
    other = type(model)(copy.deepcopy(model.config)).to(dtype=model.dtype, device=model.device)
    other.load_state_dict(model.state_dict())
    return other.train(model.training)


def live_policy(context: Context, name: str) -> tuple[Any, Any]:
    """The model of the context's policy and its tokenizer, for the argument `name`.

    Raises `ValueError` where there isn't one, or it isn't a model in this process.
    """
    policy: Any = context.policy
    if not (hasattr(policy, "model") and hasattr(policy, "tokenizer")):
        raise ValueError(
            f"{name}: expected a context whose policy is a model in this process, got {type(policy).__name__}"
        )
    return policy.model, policy.tokenizer


def _check_other(reference: Any, model: Any) -> None:
    if reference is model:
        raise ValueError("reference: expected another model than the one that is trained, got the same")


def _by_number(batch: Batch, ratios: Tensor) -> dict[int, NDArray[np.float64]]:
    values = ratios.cpu().numpy().astype(np.float64)
    return {
        number: values[i, : row.written.size]
        for i, (number, row) in enumerate(zip(batch.numbers, batch.rows, strict=True))
    }
