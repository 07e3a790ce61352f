"""From a chat to the tokens of a model: rendered by the chat template, with the place of each token in the text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from guerdon.core.messages import Message, message_text, tool_calls_of, with_parsed_calls
from guerdon.core.samples import Chat
from guerdon.models.emitted_tokens import emitted_ids, emitted_spans


class CompletionTokens(NamedTuple):
    """The tokens of a completion.

    `spans` (T, 2): the characters of `Chat.text` in each token, half-open; empty for a token that holds none, such as
    the end of a turn, and there it is where it stands · `written` (T,): which tokens the assistant wrote; the others
    are results of tools and what the chat template puts between turns · `emitted`: False where the sample has
    `extra["completion_ids"]` and these are others.
    """

    spans: NDArray[np.int64]
    written: NDArray[np.bool_]
    emitted: bool = True

    def check_emitted(self) -> None:
        """Raise `ValueError` unless a value of each of these tokens is one of each that the policy emitted."""
        if not self.emitted:
            raise ValueError(
                "extra['completion_ids']: they aren't the tokens of the text under this model's tokenizer, or those of tools "
                "can't be told apart in them, so there is no value for each"
            )


class Encoded(NamedTuple):
    """`ids` of prompt and completion, of which the completion starts at `first`."""

    ids: list[int]
    first: int
    tokens: CompletionTokens


class ChatEncoder:
    """Renders and tokenises samples for a causal language model.

    A sample is rendered by the tokenizer's chat template. `extra["chat_template_kwargs"]` are further arguments of
    `apply_chat_template`, as a trainer gave them; without it `extra["tools"]` are the JSON schemas of tools, as a list or
    its JSON. The completion reaches from the generation prompt to the token that ends its last assistant turn. Without a
    template, prompt and completion are joined as they stand, and both must be text. A lone surrogate is read as "?".

    A text often encodes to other tokens than it was generated in. Those of a sample's `extra["completion_ids"]` take the
    place of the text's where they are tokens of it, with the end of the turn or without. They aren't taken where they decode to something
    else, as those of another tokenizer do, or where others than the text's hold results of tools.

    Called with a sample, gives an `Encoded`. It raises `ValueError`, which says why, where the sample isn't a `Chat`,
    has more than `limit` tokens or one beyond `vocabulary`, holds anything else than described under these names in `extra`, or the template doesn't
    leave earlier turns as they were (one that drops reasoning): no tokens could be told apart.

    Raises `ValueError` for a slow tokenizer, which doesn't know where its tokens stand.
    """

    def __init__(self, tokenizer: Any, limit: int | None = None, vocabulary: int | None = None) -> None:
        if not tokenizer.is_fast:
            raise ValueError(f"tokenizer: expected a fast one, got {type(tokenizer).__name__}")
        self._tokenizer, self._limit, self._vocabulary = tokenizer, limit, vocabulary

    @classmethod
    def of(cls, tokenizer: Any, config: Any) -> ChatEncoder:
        """For a model: the positions and the vocabulary that its configuration names."""
        names = ("max_position_embeddings", "vocab_size")
        return cls(tokenizer, *(getattr(config, name, None) for name in names))

    def __call__(self, sample: Any) -> Encoded:
        """Raises `ValueError` where the sample can't be encoded, see above."""
        if not isinstance(sample, Chat):
            raise ValueError(f"expected a Chat, got {type(sample).__name__}")
        rendered = self._rendered(sample)
        tokens = self._tokenizer(
            _plain(rendered.text),
            add_special_tokens=not self._tokenizer.chat_template,
            return_offsets_mapping=True,
        )
        ids: list[int] = tokens["input_ids"]
        places = np.asarray(tokens["offset_mapping"], dtype=np.int64).reshape(-1, 2)
        turns = rendered.turns
        inside = (places[:, 0] >= turns[0].start) & (places[:, 0] < turns[-1].end)
        rows = np.flatnonzero(inside & (places[:, 1] > places[:, 0]))
        first, stop = (int(rows[0]), int(rows[-1]) + 1) if rows.size else (len(ids), len(ids))
        if first == 0:
            raise ValueError("prompt: expected at least one token before the completion, got none")
        encoded = Encoded(ids[:stop], first, _completion_tokens(places[first:stop], turns))
        emitted = emitted_ids(sample)
        if emitted is not None:
            encoded = self._with_emitted(encoded, emitted, sample)
        if self._limit and len(encoded.ids) > self._limit:
            raise ValueError(f"the model takes {self._limit} tokens, the sample has {len(encoded.ids)}")
        if self._vocabulary and max(encoded.ids) >= self._vocabulary:
            raise ValueError(
                f"the model knows {self._vocabulary} tokens, the sample has token {max(encoded.ids)}"
            )
        return encoded

    def _with_emitted(self, encoded: Encoded, emitted: list[int], sample: Chat) -> Encoded:
        ids, first, tokens = encoded
        count, own = len(emitted), ids[first:]
        if emitted == own[:count] and not np.diff(tokens.spans[count:]).any():
            cut = CompletionTokens(tokens.spans[:count], tokens.written[:count])
            return Encoded(ids[: first + count], first, cut)
        single = bool(emitted) and tokens.written.all()
        spans = emitted_spans(sample, emitted, own, self._tokenizer) if single else None
        if spans is None:
            return Encoded(ids, first, tokens._replace(emitted=False))
        return Encoded(ids[:first] + emitted, first, CompletionTokens(spans, np.ones(count, dtype=bool)))

    def _rendered(self, sample: Chat) -> _Rendered:
        if not self._tokenizer.chat_template:
            if not (isinstance(sample.prompt, str) and isinstance(sample.completion, str)):
                raise ValueError("the tokenizer has no chat template: expected prompt and completion as text")
            start, text = len(sample.prompt), sample.prompt + sample.completion
            return _Rendered(text, [_Turn(start, len(text), start, 0, len(sample.completion))])
        prompt = list(sample.prompt_messages)
        messages = [_readable(message) for message in (*prompt, *sample.completion_messages)]
        places = [i for i in range(len(prompt), len(messages)) if messages[i]["role"] == "assistant"]
        arguments = {**_template_arguments(sample), "tokenize": False, "add_generation_prompt": False}
        template = partial(self._tokenizer.apply_chat_template, **arguments)
        text = template(messages[: places[-1] + 1])
        turns, at = list[_Turn](), 0
        for i in places:
            before = template(messages[:i], add_generation_prompt=True)
            turns.append(self._turn(messages, i, text, before, template(messages[: i + 1]), at))
            at = turns[-1].high + 1
        return _Rendered(text, turns)

    def _turn(
        self, messages: Sequence[dict[str, Any]], i: int, text: str, before: str, after: str, low: int
    ) -> _Turn:
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


def _template_arguments(sample: Chat) -> dict[str, Any]:
    """What a sample says to its chat template beside the messages."""
    given = sample.extra.get("chat_template_kwargs")
    if given is not None:
        if not isinstance(given, Mapping):
            raise ValueError(f"extra['chat_template_kwargs']: expected a mapping, got {given!r:.80}")
        return dict(given)
    tools = sample.extra.get("tools")
    if not tools:
        return {}
    try:
        schemas = json.loads(tools) if isinstance(tools, str) else tools
    except ValueError:
        schemas = None
    if not isinstance(schemas, Sequence) or not all(isinstance(schema, Mapping) for schema in schemas):
        raise ValueError(f"extra['tools']: expected a list of JSON schemas, got {tools!r:.80}")
    return {"tools": [dict(schema) for schema in schemas]}
