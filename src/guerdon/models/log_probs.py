"""Where log-probabilities come from: the protocol, and a causal language model in this process."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_number
from guerdon.core.context import Policy
from guerdon.core.extras import need
from guerdon.core.guarded import explain
from guerdon.core.messages import Message, message_text, tool_calls_of, with_parsed_calls
from guerdon.core.samples import Chat
from guerdon.core.signal import Failure


class CompletionTokens(NamedTuple):
    """The tokens of a completion.

    `spans` (T, 2): the characters of `Chat.text` in each token, half-open; empty for a token that holds none, such as
    the end of a turn, and there it is where it stands · `written` (T,): which tokens the assistant wrote; the others
    are results of tools and what the chat template puts between turns.
    """

    spans: NDArray[np.int64]
    written: NDArray[np.bool_]


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

    A sample is rendered by the tokenizer's chat template. Its completion reaches from the generation prompt to the
    token that ends its last assistant turn. Without a template, prompt and completion are joined as they stand, and
    both must be text. A lone surrogate is read as "?". Samples of similar length are scored together.

    `log_probs` raises `ValueError`, which says why, where a sample isn't a `Chat`, exceeds the model's positions, or
    the template doesn't leave earlier turns as they were (one that drops reasoning): no tokens could be told apart.
    Needs `guerdon[train]`.

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
        if not tokenizer.is_fast:
            raise ValueError(f"tokenizer: expected a fast one, got {type(tokenizer).__name__}")
        self.batch_tokens = batch_tokens
        self._model, self._tokenizer = model, tokenizer

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
            for rows in self._batches([len(one.ids) for one in encoded]):
                for i, values in zip(rows, self._score([encoded[i] for i in rows]), strict=True):
                    found[i] = values
        finally:
            self._model.train(was_training)
        return found

    def completion_tokens(self, sample: Chat) -> CompletionTokens:
        """Where each token of the completion stands. Raises `ValueError` as `log_probs` does."""
        return self._encode(sample).tokens

    def _batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        rows = list[int]()
        for i in sorted(range(len(lengths)), key=lengths.__getitem__):
            if rows and lengths[i] * (len(rows) + 1) > self.batch_tokens:
                yield rows
                rows = []
            rows.append(i)
        if rows:
            yield rows

    def _score(self, batch: Sequence[_Encoded]) -> list[NDArray[np.float64]]:
        torch = need("torch", "train")
        found = list[NDArray[np.float64]]()
        width, device = max(len(one.ids) for one in batch), self._model.device
        ids = torch.tensor([one.ids + [0] * (width - len(one.ids)) for one in batch], device=device)
        mask = torch.tensor(
            [[1] * len(one.ids) + [0] * (width - len(one.ids)) for one in batch], device=device
        )
        with torch.inference_mode():
            logits = self._model(input_ids=ids, attention_mask=mask, use_cache=False).logits
            for row, one in enumerate(batch):
                # One row at a time in float32: a copy of all logits would be the largest thing in memory.
                scores = logits[row, one.first - 1 : len(one.ids) - 1].float().log_softmax(-1)
                taken = scores.gather(-1, ids[row, one.first : len(one.ids), None])[:, 0]
                found.append(taken.cpu().numpy().astype(np.float64))
        return found

    def _encode(self, sample: Any) -> _Encoded:
        if not isinstance(sample, Chat):
            raise ValueError(f"log-probabilities are those of a Chat, got {type(sample).__name__}")
        rendered = self._rendered(sample)
        tokens = self._tokenizer(
            _plain(rendered.text),
            add_special_tokens=not self._tokenizer.chat_template,
            return_offsets_mapping=True,
        )
        ids: list[int] = tokens["input_ids"]
        limit = getattr(self._model.config, "max_position_embeddings", None)
        if limit and len(ids) > limit:
            raise ValueError(f"the model takes {limit} tokens, the sample has {len(ids)}")
        places = np.asarray(tokens["offset_mapping"], dtype=np.int64).reshape(-1, 2)
        turns = rendered.turns
        inside = (places[:, 0] >= turns[0].start) & (places[:, 0] < turns[-1].end)
        rows = np.flatnonzero(inside & (places[:, 1] > places[:, 0]))
        first, stop = (int(rows[0]), int(rows[-1]) + 1) if rows.size else (len(ids), len(ids))
        if first == 0:
            raise ValueError("prompt: expected at least one token before the completion, got none")
        return _Encoded(ids[:stop], first, _completion_tokens(places[first:stop], turns))

    def _rendered(self, sample: Chat) -> _Rendered:
        if not self._tokenizer.chat_template:
            if not (isinstance(sample.prompt, str) and isinstance(sample.completion, str)):
                raise ValueError("the tokenizer has no chat template: expected prompt and completion as text")
            start, text = len(sample.prompt), sample.prompt + sample.completion
            return _Rendered(text, [_Turn(start, len(text), start, 0, len(sample.completion))])
        prompt = list(sample.prompt_messages)
        messages = [_readable(message) for message in (*prompt, *sample.completion_messages)]
        places = [i for i in range(len(prompt), len(messages)) if messages[i]["role"] == "assistant"]
        text = self._template(messages[: places[-1] + 1], False)
        turns, at = list[_Turn](), 0
        for i in places:
            turns.append(self._turn(messages, i, text, at))
            at = turns[-1].high + 1
        return _Rendered(text, turns)

    def _turn(self, messages: Sequence[dict[str, Any]], i: int, text: str, low: int) -> _Turn:
        before, after = self._template(messages[:i], True), self._template(messages[: i + 1], False)
        if not (after.startswith(before) and text.startswith(after)):
            raise ValueError(f"message {i}: the chat template doesn't leave earlier text as it was")
        mark = self._tokenizer.eos_token
        closed = after.rfind(mark, len(before)) if mark else -1
        end = len(after) if closed < 0 else closed + len(mark)
        content = message_text(messages[i])
        place, lead = after.find(content, len(before), end), 0
        if place < 0:  # some templates strip it
            place, lead = after.find(content.strip(), len(before), end), len(content) - len(content.lstrip())
        if place < 0:
            raise ValueError(f"message {i}: its content isn't in what the chat template makes of it")
        return _Turn(len(before), end, place - lead - low, low, low + len(content))

    def _template(self, messages: Sequence[dict[str, Any]], generation_prompt: bool) -> str:
        return self._tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=generation_prompt
        )


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


class _Turn(NamedTuple):
    """Characters of one assistant turn: `[start, end)` where it is rendered, `[low, high)` in `Chat.text`.

    Character c of the rendering is character `c − shift` of the text.
    """

    start: int
    end: int
    shift: int
    low: int
    high: int


class _Rendered(NamedTuple):
    text: str
    turns: list[_Turn]


class _Encoded(NamedTuple):
    """`ids` of prompt and completion, of which the completion starts at `first`."""

    ids: list[int]
    first: int
    tokens: CompletionTokens


def _completion_tokens(places: NDArray[np.int64], turns: Sequence[_Turn]) -> CompletionTokens:
    start, end, shift, low, high = np.array(turns).T
    turn = np.searchsorted(start, places[:, 0], side="right") - 1
    spans = np.clip(places - shift[turn, None], low[turn, None], high[turn, None])
    return CompletionTokens(spans, places[:, 0] < end[turn])


def _plain(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _readable(message: Message) -> dict[str, Any]:
    unread = [call.error for call in tool_calls_of(message) if call.error is not None]
    if unread:
        raise ValueError(f"tool_calls: {unread[0]}")
    return with_parsed_calls(message)
