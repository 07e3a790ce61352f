"""Log-probabilities from a completions endpoint that scores its prompts, as vLLM's does."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_count
from guerdon.core.extras import need
from guerdon.core.guarded import explain
from guerdon.core.samples import Chat
from guerdon.engine.coroutines import run_to_end
from guerdon.engine.http import Endpoint, EndpointError, excerpt
from guerdon.models.encoding import ChatEncoder, CompletionTokens, Encoded
from guerdon.models.recent_encodings import RecentEncodings

_MINUS_INFINITY = -9999.0  # what vLLM writes for it, since JSON has no form for it


class SomeFailed(EndpointError):
    """Some samples couldn't be scored. `results`: of each its log-probabilities, or why there are none."""

    def __init__(self, results: Sequence[NDArray[np.float64] | EndpointError]) -> None:
        first = next(result for result in results if isinstance(result, EndpointError))
        super().__init__(str(first), first.status)
        self.results = results


class EndpointLogProbs:
    """Log-probabilities under a model behind `POST {base_url}/completions`: `log π(y_t | x, y_<t)`.

    `base_url`: with its version, as in `http://localhost:8000/v1` · `model`: the name that the server knows ·
    `tokenizer`: that of the served model: a folder, a Hugging Face id, or one that is loaded (`guerdon[train]`) ·
    `context_length`: tokens that the server takes; a sample must leave one free, since the server writes at least one ·
    `concurrency`: requests in flight at once · `api_key`, `timeout`, `retries`, `backoff`: of each request, see
    `guerdon.engine.http.Endpoint` · `body`: further fields of each request, for what only this server knows.

    Samples are encoded here by `ChatEncoder`, and sent as token ids, one request each, with the field `prompt_logprobs`
    of vLLM. A token that the model rules out has −inf.

    `log_probs` raises what the encoder raises, and `SomeFailed`, an `EndpointError` that names the first such sample and
    has the `results` of the others, after the last try of any of its requests, or where an answer hasn't one number of
    at most 0 for each token of the completion. In a reward such a sample fails alone. The fingerprint
    is address and name: a server that loads other weights needs another name.

    Needs `guerdon[serve]`. Raises `ValueError` for a slow tokenizer and for what `Endpoint` doesn't take.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        tokenizer: Any,
        *,
        context_length: int | None = None,
        concurrency: int = 32,
        api_key: str | None = None,
        timeout: float = 120.0,
        retries: int = 3,
        backoff: float = 0.5,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        if context_length is not None:
            check_count(context_length, "context_length", 2)
        check_count(concurrency, "concurrency")
        self._endpoint = Endpoint(
            base_url, "completions", api_key=api_key, timeout=timeout, retries=retries, backoff=backoff
        )
        if isinstance(tokenizer, (str, Path)):
            tokenizer = need("transformers", "train").AutoTokenizer.from_pretrained(tokenizer)
        self.model, self.concurrency, self.body = model, concurrency, dict(body or {})
        self._encode = RecentEncodings(ChatEncoder(tokenizer, context_length and context_length - 1))

    def __repr__(self) -> str:
        return f"EndpointLogProbs({self._endpoint.base_url!r}, {self.model!r}, body={self.body!r})"

    def fingerprint(self) -> str:
        """Identity for caches."""
        return repr(self)

    def completion_tokens(self, sample: Chat) -> CompletionTokens:
        """Where each token of the completion stands. Raises `ValueError` as `log_probs` does."""
        return self._encode(sample).tokens

    def log_probs(self, samples: Sequence[Any]) -> list[NDArray[np.float64]]:
        """Of every completion token (T_i,), tokens of tools included; one array a sample."""
        return run_to_end(self._ask_all(samples, [self._encode(sample) for sample in samples]))

    async def _ask_all(
        self, samples: Sequence[Chat], encoded: Sequence[Encoded]
    ) -> list[NDArray[np.float64]]:
        free = asyncio.Semaphore(self.concurrency)

        async def ask(i: int) -> NDArray[np.float64] | EndpointError:
            async with free:
                try:
                    return await self._ask(encoded[i])
                except EndpointError as error:
                    about = f"sample {i}, prompt {samples[i].prompt!r:.80}, {len(encoded[i].ids)} tokens"
                    return EndpointError(f"{self.model}: {about}: {error}", error.status)

        results = await asyncio.gather(*map(ask, range(len(encoded))))
        found = [result for result in results if not isinstance(result, EndpointError)]
        if len(found) < len(results):
            raise SomeFailed(results)
        return found

    async def _ask(self, encoded: Encoded) -> NDArray[np.float64]:
        request = {
            **self.body,
            "model": self.model,
            "prompt": encoded.ids,
            "max_tokens": 1,
            # Some versions of the server take 0, the token itself and no other, for not asked.
            "prompt_logprobs": 1,
            # A server may have another default, and some versions apply it to the prompt.
            "temperature": 1.0,
        }
        content = await self._endpoint.post(json.dumps(request, allow_nan=False).encode())
        return read_prompt_log_probs(content, encoded.ids, encoded.first)


def read_prompt_log_probs(content: bytes, ids: Sequence[int], first: int) -> NDArray[np.float64]:
    """Log-probabilities of `ids[first:]` in the body of a completion.

    Its `choices[0].prompt_logprobs` has an entry for each token: null for the first, and for the others a mapping from
    token ids to `{"logprob": …}` in which the token itself is one. Raises `EndpointError` where it hasn't.
    """
    try:
        entries: Any = json.loads(content)["choices"][0].get("prompt_logprobs")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        reason = f"expected a completion, got {excerpt(content)!r} ({explain(error)})"
        raise EndpointError(reason, 200) from error
    if not isinstance(entries, list):
        raise EndpointError(
            f"prompt_logprobs: expected a list, got {entries!r:.80}; does the server have it?", 200
        )
    if len(entries) != len(ids):
        told = f"expected {len(ids)} entries, one a token, got {len(entries)}"
        raise EndpointError(f"prompt_logprobs: {told}; is the tokenizer that of the served model?", 200)
    return np.array([_log_prob(entries[t], t, ids[t]) for t in range(first, len(ids))], dtype=np.float64)


def _log_prob(entry: Any, position: int, token: int) -> float:
    try:
        value = entry[str(token)]["logprob"]
    except (LookupError, TypeError):
        value = None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value <= 0.0:
        told = f"expected a number of at most 0 for token {token}, got {entry!r:.120}"
        raise EndpointError(f"prompt_logprobs[{position}]: {told}", 200)
    return -math.inf if value <= _MINUS_INFINITY else float(value)
