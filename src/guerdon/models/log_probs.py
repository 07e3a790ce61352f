"""Where log-probabilities come from: the protocol, and a causal language model in this process."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_number
from guerdon.core.context import Policy
from guerdon.core.extras import need
from guerdon.core.guarded import explain
from guerdon.core.samples import Chat
from guerdon.core.signal import Failure
from guerdon.models.batches import length_batches, padded, token_log_probs
from guerdon.models.completion_log_probs import evaluation_mode
from guerdon.models.encoding import ChatEncoder, CompletionTokens, Encoded
from guerdon.models.endpoint_log_probs import SomeFailed
from guerdon.models.loading import loaded_causal
from guerdon.models.prefix_reuse import PrefixCache, SharedPrefix, reuse_obstacle, shared_prefixes
from guerdon.models.recent_encodings import RecentEncodings
from guerdon.models.weights import weight_digest

_WORTH = 0.25
_Row: TypeAlias = tuple[int, NDArray[np.float64]]


class LogProbs(Policy, Protocol):
    """A source of log-probabilities that says what its tokens are. Each is also a `Policy`, as a `Context` has it."""

    def completion_tokens(self, sample: Chat) -> CompletionTokens:
        """What the values of `log_probs` belong to. Raises `ValueError` for a sample that can't be scored."""
        ...


class CausalLogProbs:
    """Log-probabilities under a causal language model of the Hugging Face kind: `log π(y_t | x, y_<t)`.

    `model`: a folder, a Hugging Face id, or a loaded model, which then needs its `tokenizer` · `batch_tokens`: most
    tokens in one pass, padding and a reused prompt included; a longer sample goes alone · `device`: for a model that
    is loaded here, by default a GPU where there is one · `reuse`: compute what samples have in common before their
    completions once, in the same call, where that saves a quarter of their tokens. Values are those of a plain pass up
    to rounding. The attribute `reuse` is False where the model doesn't allow it: with a sliding window, a recurrent
    state, or in a wrapper, see `reuse_obstacle`.

    Samples are encoded by `ChatEncoder`, and those of similar length are scored together. `log_probs` raises what it
    raises. The attributes `model` and `tokenizer` are the loaded ones. Needs `guerdon[train]`.

    Raises `TypeError` for a loaded model without a tokenizer, and `ValueError` for a slow tokenizer, which doesn't know
    where its tokens stand, or `batch_tokens` below 1.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        *,
        batch_tokens: int = 4096,
        device: str | None = None,
        reuse: bool = True,
    ) -> None:
        check_number(batch_tokens, "batch_tokens", low=1)
        self._fixed = isinstance(model, (str, Path))
        self.name = str(model) if self._fixed else f"{type(model).__name__} {uuid.uuid4().hex}"
        model, tokenizer = loaded_causal(model, tokenizer, device=device)
        self.batch_tokens = batch_tokens
        self.reuse = reuse and reuse_obstacle(model) is None
        self.model, self.tokenizer = model, tokenizer
        self._encode = RecentEncodings(ChatEncoder.of(tokenizer, model.config))

    def fingerprint(self) -> str:
        """Identity for caches: of a model that was given loaded, a new one whenever a weight is another."""
        return self.name if self._fixed else f"{self.name} {weight_digest(self.model)}"

    def log_probs(self, samples: Sequence[Any]) -> list[NDArray[np.float64]]:
        """Of every completion token (T_i,), tokens of tools included; one array a sample."""
        torch = need("torch", "train")
        encoded = [self._encode(sample) for sample in samples]
        shared = _worthwhile(encoded) if self.reuse else []
        found = dict[int, NDArray[np.float64]]()
        # Not in inference mode: what a live model keeps of this pass would be unfit for its next training step.
        with torch.no_grad(), evaluation_mode(self.model):
            found.update(self._reused(encoded, shared))
            found.update(self._plain(encoded, [i for i in range(len(encoded)) if i not in found]))
        return [found[i] for i in range(len(encoded))]

    def _plain(self, encoded: Sequence[Encoded], rows: Sequence[int]) -> Iterator[_Row]:
        for numbers in length_batches([len(encoded[i].ids) for i in rows], self.batch_tokens):
            batch = [rows[k] for k in numbers]
            ids, mask = padded([encoded[i].ids for i in batch], self.model.device)
            logits = self.model(input_ids=ids, attention_mask=mask, use_cache=False).logits
            starts = [encoded[i].first for i in batch]
            yield from zip(batch, _taken(logits, ids, mask, starts), strict=True)

    def _reused(self, encoded: Sequence[Encoded], shared: Sequence[SharedPrefix]) -> Iterator[_Row]:
        for chosen in length_batches([group.length for group in shared], self.batch_tokens):
            groups = [shared[k] for k in chosen]
            cache = PrefixCache(self.model, [encoded[rows[0]].ids[:length] for length, rows in groups])
            members = [(i, k, group.length) for k, group in enumerate(groups) for i in group.rows]
            tails = [encoded[i].ids[length:] for i, _, length in members]
            for numbers in length_batches([cache.width + len(tail) for tail in tails], self.batch_tokens):
                batch, prefixes, lengths = zip(*(members[k] for k in numbers), strict=True)
                ids, mask = padded([tails[k] for k in numbers], self.model.device)
                logits = cache.logits(ids, mask, prefixes)
                starts = [encoded[i].first - length for i, length in zip(batch, lengths, strict=True)]
                yield from zip(batch, _taken(logits, ids, mask, starts), strict=True)

    def completion_tokens(self, sample: Chat) -> CompletionTokens:
        """Where each token of the completion stands. Raises `ValueError` as `log_probs` does."""
        return self._encode(sample).tokens


def _worthwhile(encoded: Sequence[Encoded]) -> list[SharedPrefix]:
    """Prefixes worth a pass of their own. The token before a completion isn't in them: its logits are needed."""
    groups = shared_prefixes([one.ids[: one.first - 1] for one in encoded])
    return [g for g in groups if g.saved and g.saved >= _WORTH * sum(len(encoded[i].ids) for i in g.rows)]


def _taken(logits: Any, ids: Any, mask: Any, starts: Sequence[int]) -> Iterator[NDArray[np.float64]]:
    for values in token_log_probs(logits, ids, mask, starts):
        yield values.cpu().numpy().astype(np.float64)


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
    model: LogProbs,
    samples: Sequence[Chat],
    reference: Policy,
    others: Sequence[Chat],
    *,
    emitted: bool = False,
) -> list[LogProbPair | Failure]:
    """Completions under `model`, and the same completions of `others`, in other contexts or not, under `reference`.

    `emitted`: the values are wanted by token, so the tokens must be those that the policy emitted.

    A row is a `Failure` with its reason where the model can't score the sample or the other one, where both don't have
    equally many tokens, or other ones than are wanted, or where the log-probability of a token that the assistant wrote
    isn't finite.
    """
    found = dict[int, LogProbPair | Failure]()
    tokens = dict[int, CompletionTokens]()
    for i, (sample, other) in enumerate(zip(samples, others, strict=True)):
        try:
            own = model.completion_tokens(sample)
            if emitted:
                own.check_emitted()
            if other is not sample:
                model.completion_tokens(other)
            tokens[i] = own
        except Exception as error:  # a sample that can't be encoded fails alone, not with its batch
            found[i] = Failure(explain(error))
    if tokens:
        first = _scored(model, [samples[i] for i in tokens])
        second = _scored(reference, [others[i] for i in tokens])
        for (i, own), a, b in zip(tokens.items(), first, second, strict=True):
            failed = next((result for result in (a, b) if isinstance(result, Exception)), None)
            found[i] = Failure(explain(failed)) if failed else _pair(own, a, b)
    return [found[i] for i in range(len(samples))]


def _scored(source: Policy, samples: list[Any]) -> Sequence[Any]:
    """Of each sample its log-probabilities, or the error of its own request."""
    try:
        return source.log_probs(samples)
    except SomeFailed as error:
        return error.results


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
