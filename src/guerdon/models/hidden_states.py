"""What a causal language model knew when it wrote a token: its last hidden state, and what else it might have said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_count
from guerdon.core.extras import need
from guerdon.core.samples import Chat
from guerdon.models.batches import length_batches, padded
from guerdon.models.completion_log_probs import TokenRow, evaluation_mode
from guerdon.models.encoding import ChatEncoder

if TYPE_CHECKING:
    from torch import Tensor


class TokenStates(NamedTuple):
    """Of the T tokens of a completion, float32 on the model's device and without gradient.

    `hidden` (T, d): the last hidden state that *predicts* each token, so that of the position before it · `probabilities`
    (T, V): what the model gave to each token of a vocabulary in its place.
    """

    hidden: Tensor
    probabilities: Tensor


class CausalStates:
    """Hidden states and probabilities under a causal language model of the Hugging Face kind.

    `model`: a loaded one, whose last of `hidden_states` is what its output layer reads · `tokenizer`: its own, a fast one
    · `batch_tokens`: most tokens in one pass, padding included; a longer sample goes alone. The model runs without
    dropout, and is left in the mode that it was in.

    Raises `ValueError` for a slow tokenizer or `batch_tokens` below 1.
    """

    def __init__(self, model: Any, tokenizer: Any, *, batch_tokens: int = 4096) -> None:
        check_count(batch_tokens, "batch_tokens")
        self.model, self.batch_tokens = model, batch_tokens
        self._encode = ChatEncoder.of(tokenizer, model.config)

    @classmethod
    def of(cls, source: Any) -> CausalStates:
        """Those of a source of log-probabilities that shows its `model` and `tokenizer`, as `CausalLogProbs` does.

        Raises `ValueError` for one that doesn't, such as a server: hidden states don't leave it.
        """
        model, tokenizer = getattr(source, "model", None), getattr(source, "tokenizer", None)
        if model is None or tokenizer is None:
            raise ValueError(
                f"source: expected one with a model and a tokenizer in this process, got {type(source).__name__}"
            )
        return cls(model, tokenizer, batch_tokens=getattr(source, "batch_tokens", 4096))

    def tokens(self, sample: Chat) -> TokenRow:
        """The tokens of a sample, see `TokenRow.of`. Raises `ValueError` for one that can't be encoded."""
        return TokenRow.of(sample, self._encode)

    def __call__(
        self, rows: Sequence[TokenRow], vocabulary: Sequence[int] | NDArray[np.integer[Any]]
    ) -> list[TokenStates]:
        """Of every completion token of `rows`, tokens of tools included.

        `vocabulary` (V,): token ids to give probabilities of. They aren't renormalised.
        """
        torch = need("torch", "train")
        columns = torch.as_tensor(np.asarray(vocabulary, dtype=np.int64), device=self.model.device)
        found = dict[int, TokenStates]()
        with evaluation_mode(self.model), torch.no_grad():
            for batch in length_batches([len(row.ids) for row in rows], self.batch_tokens):
                states = self._states([rows[i] for i in batch], columns)
                found.update(zip(batch, states, strict=True))
        return [found[i] for i in range(len(rows))]

    def _states(self, rows: Sequence[TokenRow], columns: Tensor) -> list[TokenStates]:
        ids, mask = padded([row.ids for row in rows], self.model.device)
        output = self.model(input_ids=ids, attention_mask=mask, use_cache=False, output_hidden_states=True)
        found = list[TokenStates]()
        for i, row in enumerate(rows):
            places = slice(row.first - 1, len(row.ids) - 1)
            probabilities = output.logits[i, places].float().softmax(-1)[:, columns]
            found.append(TokenStates(output.hidden_states[-1][i, places].float(), probabilities))
        return found
