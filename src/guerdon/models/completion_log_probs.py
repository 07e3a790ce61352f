"""Log-probabilities of completions with their gradient: what losses over a causal language model begin with."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from guerdon.core.extras import need
from guerdon.core.samples import Chat
from guerdon.models.batches import padded, token_log_probs
from guerdon.models.encoding import ChatEncoder

if TYPE_CHECKING:
    from torch import Tensor


class TokenRow(NamedTuple):
    """`ids` of prompt and completion, of which the completion starts at `first`; `written` (T,): the assistant's own."""

    ids: list[int]
    first: int
    written: NDArray[np.bool_]

    @classmethod
    def of(cls, sample: Chat, encode: ChatEncoder) -> TokenRow:
        """Those that the policy emitted, `extra["completion_ids"]`, where the sample has them; else those of its text.

        Raises `ValueError` where `encode` does, and where the ids that were emitted can't be taken, see `ChatEncoder`.
        """
        ids, first, tokens = encode(sample)
        tokens.check_emitted()
        return cls(ids, first, tokens.written)


def completion_log_probs(model: Any, rows: Sequence[TokenRow]) -> tuple[Tensor, Tensor]:
    """`log π(y_t | x, y_<t)` of the completions of a batch, differentiable with respect to the model.

    Args:
        model: a causal language model of the Hugging Face kind. It runs in the mode that it is in, with or without
            dropout, and under the caller's `torch.no_grad`, if any.
        rows: at least one; they are padded to the longest. `length_batches` cuts a large batch.

    Returns:
        Log-probabilities (n, T) float32, 0 behind the end of a row, and their mask (n, T) bool: the tokens that the
        assistant wrote. Results of tools have log-probabilities too, and are False in the mask.

    Raises:
        ValueError: without any row.
    """
    if not rows:
        raise ValueError("rows: expected at least one")
    torch = need("torch", "train")
    ids, mask = padded([row.ids for row in rows], model.device)
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    found = list(token_log_probs(logits, ids, mask, [row.first for row in rows]))
    pad = torch.nn.utils.rnn.pad_sequence
    written = pad([torch.from_numpy(row.written) for row in rows], batch_first=True)
    return pad(found, batch_first=True), written.to(model.device)


@contextmanager
def evaluation_mode(model: Any) -> Generator[None]:
    """The model without dropout, and afterwards in the mode that it was in."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
