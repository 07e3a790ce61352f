"""Where log-probabilities come from: the protocol, and a causal language model in this process."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_number
from guerdon.core.context import Policy
from guerdon.core.extras import need
from guerdon.core.guarded import explain
from guerdon.core.samples import Chat
from guerdon.core.signal import Failure
from guerdon.models.batches import length_batches, padded
from guerdon.models.encoding import ChatEncoder, CompletionTokens, Encoded


class LogProbs(Policy, Protocol):
    """A source of log-probabilities that says what its tokens are. Each is also a `Policy`, as a `Context` has it."""

    def completion_tokens(self, sample: Chat) -> CompletionTokens:
        """What the values of `log_probs` belong to. Raises `ValueError` for a sample that can't be scored."""
        ...


class CausalLogProbs:
    """Log-probabilities under a causal language model of the Hugging Face kind: `log π(y_t | x, y_<t)`.

    `model`: a folder, a Hugging Face id, or a loaded model, which then needs its `tokenizer` · `batch_tokens`: most
    tokens in one pass, padding included; a longer sample goes alone · `device`: for a model that is loaded here, by
    default a GPU where there is one.

    Samples are encoded by `ChatEncoder`, and those of similar length are scored together. `log_probs` raises what it
    raises. Needs `guerdon[train]`.

    Raises `TypeError` for a loaded model without a tokenizer, and `ValueError` for a slow tokenizer, which doesn't know
    where its tokens stand, or `batch_tokens` below 1.
    """

    def __init__(
        self, model: Any, tokenizer: Any = None, *, batch_tokens: int = 4096, device: str | None = None
    ) -> None:
        torch, transformers = need("torch", "train"), need("transformers", "train")
        check_number(batch_tokens, "batch_tokens", low=1)
        self._fixed = isinstance(model, (str, Path))
        self.name = str(model) if self._fixed else f"{type(model).__name__} {uuid.uuid4().hex}"
        if self._fixed:
            tokenizer = tokenizer or transformers.AutoTokenizer.from_pretrained(model)
            model = transformers.AutoModelForCausalLM.from_pretrained(model, dtype="auto")
            model = model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        elif tokenizer is None:
            raise TypeError("tokenizer: a model that is loaded already needs one")
        self.batch_tokens = batch_tokens
        self._model = model
        self._encode = ChatEncoder(tokenizer, getattr(model.config, "max_position_embeddings", None))

    def fingerprint(self) -> str:
        """Identity for caches: of a model that was given loaded, a new one whenever its weights are written."""
        written = 0 if self._fixed else sum(weight._version for weight in self._model.parameters())
        return f"{self.name} {written}"

    def log_probs(self, samples: Sequence[Any]) -> list[NDArray[np.float64]]:
        """Of every completion token (T_i,), tokens of tools included; one array a sample."""
        encoded = [self._encode(sample) for sample in samples]
        found = [np.empty(0)] * len(encoded)
        was_training = self._model.training
        self._model.eval()
        try:
            for rows in length_batches([len(one.ids) for one in encoded], self.batch_tokens):
                for i, values in zip(rows, self._score([encoded[i] for i in rows]), strict=True):
                    found[i] = values
        finally:
            self._model.train(was_training)
        return found

    def completion_tokens(self, sample: Chat) -> CompletionTokens:
        """Where each token of the completion stands. Raises `ValueError` as `log_probs` does."""
        return self._encode(sample).tokens

    def _score(self, batch: Sequence[Encoded]) -> list[NDArray[np.float64]]:
        torch = need("torch", "train")
        found = list[NDArray[np.float64]]()
        ids, mask = padded([one.ids for one in batch], self._model.device)
        with torch.inference_mode():
            logits = self._model(input_ids=ids, attention_mask=mask, use_cache=False).logits
            for row, one in enumerate(batch):
                # One row at a time in float32: a copy of all logits would be the largest thing in memory.
                scores = logits[row, one.first - 1 : len(one.ids) - 1].float().log_softmax(-1)
                taken = scores.gather(-1, ids[row, one.first : len(one.ids), None])[:, 0]
                found.append(taken.cpu().numpy().astype(np.float64))
        return found


@lru_cache(maxsize=4)
def shared_log_probs(model: str) -> CausalLogProbs:
    """One `CausalLogProbs` a process for each model, so that rewards of one model load it once."""
    return CausalLogProbs(model)


class LogProbPair(NamedTuple):
    """The same tokens (T,) scored twice."""

    tokens: CompletionTokens
    first: NDArray[np.float64]
    second: NDArray[np.float64]


def paired_log_probs(
    model: LogProbs, samples: Sequence[Chat], reference: Policy, others: Sequence[Chat]
) -> list[LogProbPair | Failure]:
    """Completions under `model`, and the same completions of `others`, in other contexts or not, under `reference`.

    A row is a `Failure` with its reason where the model can't score the sample or the other one, where both don't have
    equally many tokens, or where the log-probability of a token that the assistant wrote isn't finite.
    """
    found = dict[int, LogProbPair | Failure]()
    tokens = dict[int, CompletionTokens]()
    for i, (sample, other) in enumerate(zip(samples, others, strict=True)):
        try:
            own = model.completion_tokens(sample)
            if other is not sample:
                model.completion_tokens(other)
            tokens[i] = own
        except Exception as error:  # a sample that can't be encoded fails alone, not with its batch
            found[i] = Failure(explain(error))
    if tokens:
        first = model.log_probs([samples[i] for i in tokens])
        second = reference.log_probs([others[i] for i in tokens])
        for (i, own), a, b in zip(tokens.items(), first, second, strict=True):
            found[i] = _pair(own, a, b)
    return [found[i] for i in range(len(samples))]


def _pair(
    tokens: CompletionTokens, first: NDArray[np.float64], second: NDArray[np.float64]
) -> LogProbPair | Failure:
    if not first.shape == second.shape == tokens.written.shape:
        return Failure(
            f"the completion has {first.size} tokens on one side of the ratio, {second.size} on the other"
        )
    if not np.isfinite(np.where(tokens.written, first + second, 0.0)).all():
        return Failure("the log-probability of a token is not finite")
    return LogProbPair(tokens, first, second)
