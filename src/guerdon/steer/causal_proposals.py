"""Next steps of solutions from a causal language model of the Hugging Face kind, many in one generation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from guerdon.core.checks import check_count, check_number
from guerdon.core.extras import need
from guerdon.core.messages import Message, with_parsed_calls
from guerdon.models.batches import padded
from guerdon.models.completion_log_probs import evaluation_mode
from guerdon.models.loading import end_tokens, loaded_causal
from guerdon.models.prefix_reuse import PrefixCache, reuse_obstacle
from guerdon.steer.proposals import Proposal, Propose, Steps


class CausalPolicy:
    """A policy that writes solutions step by step, as one turn of the assistant.

    `model`: a folder, a Hugging Face id, or a loaded model, which then needs its `tokenizer` · `separator`: between
    steps; a step is what the model writes up to it · `temperature`: of `p ∝ exp(z / temperature)`, 0 is greedy ·
    `max_tokens`: of a step · `batch_size`: steps in one generation · `device`: for a model that is loaded here, by
    default a GPU where there is one.

    `proposals(prompt)` is a `Propose` for one problem. The prompt is rendered by the tokenizer's chat template, and
    the turn that it opens goes on with `separator.join(steps) + separator`; without a template the prompt must be text
    and is continued as it stands. All prefixes, each `width` times, are generated together, those of similar length
    side by side, and a prefix is computed once for all its steps where the model allows that. Proposals of one prefix may
    be equal.

    A proposal is `finished` where the model ended its turn. A step that `max_tokens` cut off is proposed as it is. Its
    `tokens` are those sampled, with the one that ended it. Texts join without loss: a solution's text is what the model
    wrote, and a blank line is an empty step. So a step ends where what is written ends with the separator; a token that
    holds the separator and more, such as the space that begins a line, doesn't end it, and the step then holds the
    separator too. A prefix that leaves no room for `max_tokens` in the model's positions has no proposals.

    Randomness is that of `rng` alone: equal prefixes, width, generator and `batch_size` give equal steps, and torch's
    global generators stay as they were. Of the model's generation configuration what isn't about drawing still
    counts. Needs `guerdon[train]`.

    Raises `TypeError` for a loaded model without a tokenizer or, by `proposals`, for messages where there is no chat
    template, and `ValueError` for an option out of range or, by `proposals`, a prompt without a token or without room.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        *,
        separator: str = "\n",
        temperature: float = 1.0,
        max_tokens: int = 256,
        batch_size: int = 64,
        device: str | None = None,
    ) -> None:
        if not separator:
            raise ValueError("CausalPolicy.separator: expected text, got an empty one")
        check_number(temperature, "CausalPolicy.temperature", low=0.0)
        check_count(max_tokens, "CausalPolicy.max_tokens")
        check_count(batch_size, "CausalPolicy.batch_size")
        model, tokenizer = loaded_causal(model, tokenizer, device=device)
        self.separator, self.temperature = separator, temperature
        self.max_tokens, self.batch_size = max_tokens, batch_size
        self._model, self._tokenizer = model, tokenizer
        self._ends = end_tokens(model, tokenizer)
        self._reuses = reuse_obstacle(model) is None
        pad = tokenizer.pad_token_id
        self._pad: int = min(self._ends, default=0) if pad is None else pad
        limit = getattr(model.config, "max_position_embeddings", None)
        self._room: float = limit - max_tokens if limit else np.inf
        if self._room < 1:
            raise ValueError(f"CausalPolicy.max_tokens: the model has {limit} positions, got {max_tokens}")

    def proposals(self, prompt: str | Sequence[Message]) -> Propose:
        """The policy as a search asks for it: steps that go on from the steps so far of this problem."""
        opened = self._opened(prompt)
        (first,) = self._encoded([opened])
        if not 0 < len(first) <= self._room:
            raise ValueError(
                f"prompt: expected 1 to {self._room} tokens, which leave room for max_tokens, got {len(first)}"
            )

        def propose(prefixes: Sequence[Steps], width: int, rng: np.random.Generator) -> list[list[Proposal]]:
            ids = self._encoded(
                [opened + "".join(f"{step}{self.separator}" for step in steps) for steps in prefixes]
            )
            rows = [i for i, row in enumerate(ids) if len(row) <= self._room for _ in range(width)]
            rows.sort(key=lambda i: len(ids[i]))
            found: list[list[Proposal]] = [[] for _ in prefixes]
            for start in range(0, len(rows), self.batch_size):
                batch = rows[start : start + self.batch_size]
                made = self._generate([ids[i] for i in batch], int(rng.integers(1 << 63)))
                for i, written in zip(batch, made, strict=True):
                    found[i].append(self._read(written))
            return found

        return propose

    def _opened(self, prompt: str | Sequence[Message]) -> str:
        if self._tokenizer.chat_template:
            messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
            text: str = self._tokenizer.apply_chat_template(
                [with_parsed_calls(message) for message in messages],
                tokenize=False,
                add_generation_prompt=True,
            )
        elif isinstance(prompt, str):
            text = prompt
        else:
            raise TypeError("prompt: the tokenizer has no chat template; expected text, got messages")
        return text

    def _encoded(self, texts: Sequence[str]) -> list[list[int]]:
        plain = [text.encode("utf-8", "replace").decode() for text in texts]
        return self._tokenizer(plain, add_special_tokens=not self._tokenizer.chat_template)["input_ids"]

    def _generate(self, prompts: Sequence[Sequence[int]], seed: int) -> list[list[int]]:
        """What is written after each prompt: tokens up to and with the end of the step, then padding."""
        torch = need("torch", "train")
        device = self._model.device
        drawing: dict[str, Any] = {"do_sample": False}
        if self.temperature:
            drawing = {"do_sample": True, "temperature": self.temperature, "top_k": 0, "top_p": 1.0}
        # `generate` draws from the global generators only.
        with torch.random.fork_rng([device] if device.type == "cuda" else []), evaluation_mode(self._model):
            torch.manual_seed(seed)
            ids, mask, cache = self._opening(prompts)
            width = ids.shape[1]
            made = self._model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=self.max_tokens,
                pad_token_id=self._pad,
                eos_token_id=sorted(self._ends) or None,
                stopping_criteria=[self._separated(width)],
                **cache,
                **drawing,
            )
        return made[:, width:].tolist()

    def _opening(self, prompts: Sequence[Sequence[int]]) -> tuple[Any, Any, dict[str, Any]]:
        """Ids and mask, whose columns end with the prompts' last tokens, and a cache of what is before these.

        The cache is there where some prompts are equal, and were computed once for it.
        """
        torch, device = need("torch", "train"), self._model.device
        places = {prompt: k for k, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
        prefixes = [prompt[:-1] for prompt in places]
        if len(places) == len(prompts) or not self._reuses or not all(prefixes):
            return *padded(prompts, device, self._pad, left=True), {}
        rows = [places[tuple(prompt)] for prompt in prompts]
        ids, _ = padded(prefixes, device, self._pad)
        with torch.no_grad():
            mask, cache = PrefixCache(self._model, prefixes).rows(rows)
        last = torch.tensor([[prompt[-1]] for prompt in prompts], device=device)
        return torch.cat([ids[rows], last], 1), torch.cat([mask, torch.ones_like(last)], 1), cache

    def _separated(self, start: int) -> Callable[..., Any]:
        """Which rows end with the separator, in what was written from `start` on."""
        torch = need("torch", "train")
        # A token has a byte at least. The library's own criterion would also look into the prompt.
        window = len(self.separator.encode())

        def stopped(ids: Any, scores: Any, **_: Any) -> Any:
            tails = self._tokenizer.batch_decode(ids[:, max(start, ids.shape[1] - window) :])
            return torch.tensor([tail.endswith(self.separator) for tail in tails], device=ids.device)

        return stopped

    def _read(self, written: Sequence[int]) -> Proposal:
        length = next((i for i, token in enumerate(written) if token in self._ends), len(written))
        ended = length < len(written)
        while not ended and length and written[length - 1] == self._pad:
            length -= 1
        text = self._tokenizer.decode(written[:length])
        # Where padding is by the mark of an end, that stands behind a separator too.
        finished = ended and not text.endswith(self.separator)
        return Proposal(text.removesuffix(self.separator), length + finished, finished)
