"""A causal language model of the Hugging Face kind, in this process."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guerdon.core.checks import check_number
from guerdon.core.extras import need
from guerdon.core.guarded import explain
from guerdon.core.messages import Message, tool_calls_of, with_parsed_calls
from guerdon.core.tagged import blocks
from guerdon.judges.chat import ModelError, Reply, Usage, check_request
from guerdon.models.loading import end_tokens, loaded_causal
from guerdon.verify.format import parse_json

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from guerdon.judges.chat import Sampling

_MAX_TOKENS = 512
_GATHERING = 0.005


class LocalChat:
    """A model that answers through its own chat template.

    `model`: a folder, a Hugging Face id, or a loaded model, which then needs its `tokenizer` · `batch_size`: dialogues
    in one generation · `device`: for a model that is loaded here, by default a GPU where there is one.

    Calls of `chat` that wait at the same time are generated together, those of similar length side by side. Each has
    its own source of noise, so a reply depends on its dialogue and `seed` and not on what else is in the batch,
    rounding aside. Tokens are drawn from the whole distribution, `p ∝ exp(z / temperature)`, by default at
    temperature 1; without a seed, from torch's global generator. `max_tokens` is 512 by default. Of the model's
    generation configuration what isn't about drawing still counts, a repetition penalty for example.

    A reply is read with the tokenizer's response template where it has one. Without, or where that can't read it,
    by `read_turn`. `finish_reason` is `length` where `max_tokens` ended it.

    `chat` raises `ModelError` where the template refuses the messages, prompt and reply exceed the model's positions,
    or generation breaks. Needs `guerdon[train]`.

    Raises `TypeError` for a loaded model without a tokenizer, and `ValueError` for a tokenizer without a chat template
    or a `batch_size` below 1.
    """

    def __init__(
        self, model: Any, tokenizer: Any = None, *, batch_size: int = 64, device: str | None = None
    ) -> None:
        check_number(batch_size, "batch_size", 1)
        self.batch_size = batch_size
        # The weights of a loaded one may be anything, whatever it was loaded from: never take it for another one.
        by_name = isinstance(model, (str, Path))
        self.name = str(model) if by_name else f"{type(model).__name__} {uuid.uuid4().hex}"
        model, tokenizer = loaded_causal(model, tokenizer, device=device)
        if not tokenizer.chat_template:
            raise ValueError(f"tokenizer: expected one with a chat template, {self.name} has none")
        self._model, self._tokenizer = model.eval(), tokenizer
        self._ends = end_tokens(model, tokenizer)
        self._waiting: deque[_Request] = deque()
        # One thread: tokenizer and model are never used by two at once, and no other thread waits for them.
        self._thread = ThreadPoolExecutor(1, "guerdon-local-chat")

    def __repr__(self) -> str:
        return f"LocalChat({self.name!r})"

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        **sampling: Unpack[Sampling],
    ) -> Reply:
        """The next assistant turn of this dialogue."""
        check_request(messages, sampling)
        request = _Request(messages, tools, sampling)
        self._waiting.append(request)
        # Dialogues whose tools have answered a moment later join the same generation.
        await asyncio.sleep(_GATHERING)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._answer_waiting)
        if isinstance(request.outcome, ModelError):
            raise request.outcome
        assert request.outcome is not None
        return request.outcome

    def _answer_waiting(self) -> None:
        alike: dict[tuple[int, tuple[str, ...]], list[_Request]] = {}
        while self._waiting:
            request = self._waiting.popleft()
            try:
                self._encode(request)
            except Exception as error:
                request.outcome = _model_error(error)
                continue
            alike.setdefault((request.max_tokens, tuple(request.sampling.get("stop", ()))), []).append(
                request
            )
        for (_, stop), requests in alike.items():
            requests.sort(key=lambda request: len(request.prompt))
            for start in range(0, len(requests), self.batch_size):
                batch = requests[start : start + self.batch_size]
                try:
                    self._generate(batch, stop)
                except Exception as error:
                    for request in batch:
                        request.outcome = _model_error(error)

    def _encode(self, request: _Request) -> None:
        encoded = self._tokenizer.apply_chat_template(
            [with_parsed_calls(message) for message in request.messages],
            tools=list(request.tools) or None,
            add_generation_prompt=True,
            return_dict=True,
        )
        request.prompt = encoded["input_ids"]
        limit = getattr(self._model.config, "max_position_embeddings", None)
        if limit and len(request.prompt) + request.max_tokens > limit:
            raise ModelError(
                f"{self.name} takes {limit} tokens, got a prompt of {len(request.prompt)} "
                f"and max_tokens={request.max_tokens}"
            )

    def _generate(self, batch: Sequence[_Request], stop: Sequence[str]) -> None:
        torch, transformers = need("torch", "train"), need("transformers", "train")
        width = max(len(request.prompt) for request in batch)
        pad = min(self._ends) if self._tokenizer.pad_token_id is None else self._tokenizer.pad_token_id
        ids = [[pad] * (width - len(request.prompt)) + request.prompt for request in batch]
        mask = [[0] * (width - len(request.prompt)) + [1] * len(request.prompt) for request in batch]
        device = self._model.device
        with torch.inference_mode():
            made = self._model.generate(
                input_ids=torch.tensor(ids, device=device),
                attention_mask=torch.tensor(mask, device=device),
                max_new_tokens=batch[0].max_tokens,
                do_sample=False,
                pad_token_id=pad,
                eos_token_id=sorted(self._ends),
                logits_processor=transformers.LogitsProcessorList([_noise(batch, device)]),
                **({"stop_strings": list(stop), "tokenizer": self._tokenizer} if stop else {}),
            )
        for request, row in zip(batch, made[:, width:].tolist(), strict=True):
            request.outcome = self._read(request.prompt, row, stop)

    def _read(self, prompt: Sequence[int], row: Sequence[int], stop: Sequence[str]) -> Reply:
        length = next((i for i, token in enumerate(row) if token in self._ends), None)
        body = row[:length]
        text = self._tokenizer.decode(body)
        stops = [place for place in map(text.find, stop) if place >= 0]
        reason = "length" if length is None and not stops else "stop"
        if stops:
            text = text[: min(stops)]
        message = self._parse(prompt, text if stops else row[: len(body) + 1]) or read_turn(text)
        if reason == "stop" and tool_calls_of(message):
            reason = "tool_calls"
        written = len(body) + (length is not None)
        return Reply(message, Usage(len(prompt), written), reason)

    def _parse(self, prompt: Sequence[int], response: str | Sequence[int]) -> Message | None:
        """The turn as the tokenizer's own template reads it, None where it can't."""
        if not getattr(self._tokenizer, "response_template", None):
            return None
        prefix = self._tokenizer.decode(prompt) if isinstance(response, str) else prompt
        try:
            return {
                "role": "assistant",
                "content": "",
                **self._tokenizer.parse_response(response, prefix=prefix),
            }
        except ValueError:
            return None


def read_turn(text: str) -> Message:
    """The assistant message that a text is, with a call for each `<tool_call>{"name", "arguments"}</tool_call>` in it.

    What stands around the calls is the content. A call that is quoted in a `<think>` block is none. Where the JSON of
    any call can't be read, all of it is text.
    """
    found = [block for block in blocks(text, "think", "tool_call") if block.tag == "tool_call"]
    calls, content, end = list[dict[str, Any]](), list[str](), 0
    for block in found:
        try:
            function = parse_json(block.inner(text))
        except ValueError:
            return {"role": "assistant", "content": text}
        calls.append({"type": "function", "function": function})
        content.append(text[end : block.start])
        end = block.end
    message: dict[str, Any] = {"role": "assistant", "content": text, "tool_calls": calls}
    if not calls or any(call.error is not None for call in tool_calls_of(message)):
        return {"role": "assistant", "content": text}
    return {**message, "content": "".join([*content, text[end:]]).strip()}


@dataclass(slots=True, eq=False)
class _Request:
    messages: Sequence[Message]
    tools: Sequence[Mapping[str, Any]]
    sampling: Sampling
    prompt: list[int] = field(default_factory=list[int])
    outcome: Reply | ModelError | None = None

    @property
    def max_tokens(self) -> int:
        return self.sampling.get("max_tokens", _MAX_TOKENS)


def _noise(batch: Sequence[_Request], device: Any) -> Any:
    """A logits processor after which the largest logit is a draw, for rows that aren't greedy.

    `argmax_i (z_i / T + G_i)` with independent Gumbel `G_i = −log E_i`, `E_i ~ Exp(1)`, has the distribution
    `softmax(z / T)`; unlike with `do_sample`, each row has a generator of its own.
    """
    torch = need("torch", "train")
    rows = list[tuple[int, float, Any]]()
    for i, request in enumerate(batch):
        temperature = request.sampling.get("temperature", 1.0)
        if temperature > 0:
            seed = request.sampling.get("seed")
            seed = int(torch.randint(1 << 62, ())) if seed is None else seed
            rows.append((i, temperature, torch.Generator(device).manual_seed(seed)))

    def add(ids: Any, logits: Any) -> Any:
        drawn = logits.float()
        for i, temperature, generator in rows:
            waits = torch.empty_like(drawn[i]).exponential_(generator=generator)
            drawn[i] = drawn[i] / temperature - waits.log()
        return drawn

    return add


def _model_error(error: Exception) -> ModelError:
    if isinstance(error, ModelError):
        return error
    wrapped = ModelError(explain(error))
    wrapped.__cause__ = error
    return wrapped
