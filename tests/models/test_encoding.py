"""From a chat to tokens: which ones, where they stand, and what a sample says to the chat template."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.agents import calculator
from guerdon.core.samples import Chat
from guerdon.models import ChatEncoder, TokenRow
from tests.judges.models import raw_model, solved

transformers = pytest.importorskip("transformers")

PROMPT = [{"role": "user", "content": "What is 12+7?"}]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return raw_model()[1]


@pytest.fixture(scope="module")
def encode(tokenizer: Any) -> ChatEncoder:
    return ChatEncoder(tokenizer)


def answered(text: str, **extra: Any) -> Chat:
    return Chat(PROMPT, [{"role": "assistant", "content": text}], extra=extra)


def characters(tokenizer: Any, text: str) -> list[int]:
    """One token a byte or so: other tokens than the tokenizer makes of the text."""
    return [i for c in text for i in tokenizer(c, add_special_tokens=False)["input_ids"]]


def test_the_tokens_that_were_emitted_take_the_place_of_the_texts(encode, tokenizer):
    text = "The answer is 19."
    own = encode(answered(text))
    emitted = [*characters(tokenizer, text), tokenizer.eos_token_id]
    found = encode(answered(text, completion_ids=emitted))
    assert found.ids[found.first :] == emitted != own.ids[own.first :]
    assert found.ids[: found.first] == own.ids[: own.first]
    assert [text[start:end] for start, end in found.tokens.spans] == [*text, ""]
    assert found.tokens.emitted
    assert found.tokens.written.all()


@given(st.text(min_size=1, max_size=12), st.booleans())
@settings(max_examples=60)
def test_any_text_can_be_emitted_in_other_tokens(text, ended):
    tokenizer = raw_model()[1]
    encode = ChatEncoder(tokenizer)
    emitted = characters(tokenizer, text) + [tokenizer.eos_token_id] * ended
    sample = answered(tokenizer.decode(emitted, skip_special_tokens=True), completion_ids=emitted)
    found = encode(sample)
    assert found.ids[found.first :] == emitted
    inside = np.zeros(len(sample.text), dtype=bool)
    for start, end in found.tokens.spans:
        inside[start:end] = True
    assert inside.all()


def test_a_completion_that_was_cut_off_has_no_end_of_a_turn(encode):
    own = encode(answered("The answer is 19."))
    ids = own.ids[own.first :]
    for stop in range(len(ids) + 1):
        found = encode(answered("The answer is 19.", completion_ids=np.array(ids[:stop], dtype=np.int32)))
        # Of a text that they are only a part of, the tokens aren't all.
        whole = stop >= len(ids) - 1
        assert found.tokens.emitted == whole
        assert found.ids == own.ids[: own.first + stop if whole else None]


def test_an_empty_completion_was_emitted_in_no_token(encode):
    own = encode(answered(""))
    found = encode(answered("", completion_ids=[]))
    assert found.ids == own.ids[: own.first]
    assert found.tokens.emitted


@pytest.mark.parametrize("text", ["The answer is 19.", "", " "])
@pytest.mark.parametrize("ids", [[5, 9, 13, 2, 2, 7], [10**6, 3], [10**9]])
def test_tokens_of_another_tokenizer_are_not_taken_for_those_of_the_text(encode, text, ids):
    own, found = encode(answered(text)), encode(answered(text, completion_ids=ids))
    assert found.ids == own.ids
    assert not found.tokens.emitted
    with pytest.raises(ValueError, match=r"completion_ids.*no value for each"):
        TokenRow.of(answered(text, completion_ids=ids), encode)


def test_special_tokens_that_a_policy_wrote_may_stand_in_the_text(encode, tokenizer):
    emitted = [
        *characters(tokenizer, "19"),
        *tokenizer("<|im_start|>")["input_ids"],
        *characters(tokenizer, "6"),
    ]
    found = encode(answered("19<|im_start|>6", completion_ids=emitted))
    assert found.ids[found.first :] == emitted
    assert found.tokens.spans.tolist() == [[0, 1], [1, 2], [2, 14], [14, 15]]


def test_reasoning_that_was_taken_out_of_the_text_stays_in_its_tokens(encode, tokenizer):
    emitted = characters(tokenizer, "<think>7+12</think>19")
    found = encode(answered("19", completion_ids=emitted))
    assert found.ids[found.first :] == emitted
    assert found.tokens.spans[-2:].tolist() == [[0, 1], [1, 2]]
    assert not (found.tokens.spans[:-2] != 0).any()


def test_other_tokens_with_results_of_tools_among_them_are_not_taken(encode):
    dialogue = solved("12+7")
    own = encode(Chat(dialogue[:1], dialogue[1:]))
    ids = own.ids[own.first :]
    same = encode(Chat(dialogue[:1], dialogue[1:], extra={"completion_ids": ids}))
    assert same.tokens.emitted
    assert same.tokens.written.tolist() == own.tokens.written.tolist()
    other = encode(Chat(dialogue[:1], dialogue[1:], extra={"completion_ids": [*ids, 7]}))
    assert not other.tokens.emitted


@pytest.mark.parametrize("ids", ["12", [1.5], [[1]], [-1], [True], 7])
def test_ids_that_are_none_are_refused(encode, ids):
    with pytest.raises(ValueError, match=r"extra\['completion_ids'\]: expected a flat list"):
        encode(answered("19", completion_ids=ids))


@pytest.mark.parametrize("written", [list, json.dumps])
def test_tools_are_in_the_prompt(encode, tokenizer, written):
    schemas = [transformers.utils.get_json_schema(calculator)]
    expected = tokenizer.apply_chat_template(
        PROMPT, tools=[calculator], add_generation_prompt=True, return_dict=True
    )["input_ids"]
    for extra in (
        {"tools": written(schemas)},
        {"chat_template_kwargs": {"tools": schemas}, "tools": ["other"]},
    ):
        found = encode(answered("19", **extra))
        assert found.ids[: found.first] == expected
    for extra in ({"tools": []}, {"tools": None}, {"tools": schemas, "chat_template_kwargs": {}}):
        assert encode(answered("19", **extra)).ids == encode(answered("19")).ids


def test_arguments_of_the_template_reach_it_and_change_nothing_else(encode, tokenizer):
    template = "{{ mood }}" + tokenizer.chat_template
    found = encode(
        answered("19", chat_template_kwargs={"chat_template": template, "mood": "7", "tokenize": True})
    )
    assert tokenizer.decode(found.ids).startswith("7")


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({"tools": ["calculator"]}, "tools"),
        ({"tools": 3}, "tools"),
        ({"tools": "no json"}, "tools"),
        ({"chat_template_kwargs": [1]}, "chat_template_kwargs"),
    ],
)
def test_what_a_template_cannot_take_is_refused(encode, extra, expected):
    with pytest.raises(ValueError, match=expected):
        encode(answered("19", **extra))


def test_a_sample_longer_than_the_limit_is_refused_by_what_is_scored(tokenizer):
    count = len(ChatEncoder(tokenizer)(answered("19")).ids)
    assert len(ChatEncoder(tokenizer, count)(answered("19")).ids) == count
    with pytest.raises(ValueError, match=f"takes {count - 1} tokens, the sample has {count}"):
        ChatEncoder(tokenizer, count - 1)(answered("19"))


def test_a_token_beyond_the_models_vocabulary_is_refused(tokenizer):
    ids = ChatEncoder(tokenizer)(answered("19")).ids
    assert ChatEncoder(tokenizer, vocabulary=max(ids) + 1)(answered("19")).ids == ids
    with pytest.raises(ValueError, match=f"knows {max(ids)} tokens, the sample has token {max(ids)}"):
        ChatEncoder(tokenizer, vocabulary=max(ids))(answered("19"))
