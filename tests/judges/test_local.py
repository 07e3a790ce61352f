from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.agents import as_tools, calculator
from guerdon.core.messages import tool_calls_of
from guerdon.judges import LocalChat, ModelError, Reply, ask
from guerdon.judges.local import read_turn
from tests.judges.models import QUESTIONS, fitted_model, question, raw_model, solved

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

SCHEMAS = [tool.schema for tool in as_tools([calculator]).values()]
DIALOGUES = [
    [*question("12+7"), *[{"role": "user", "content": "and more. " * i}] * (i > 0)] for i in range(6)
]


@pytest.fixture(scope="module")
def raw() -> LocalChat:
    return LocalChat(*raw_model())


@pytest.fixture(scope="module")
def fitted() -> LocalChat:
    return LocalChat(*fitted_model())


def together(model: LocalChat, dialogues: list[Any], **sampling: Any) -> list[Any]:
    """What becomes of the dialogues when they are asked at once; an exception in its place."""

    async def gathered() -> list[Any]:
        asked = [model.chat(dialogue, tools=SCHEMAS, **sampling) for dialogue in dialogues]
        return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(gathered())


@pytest.mark.parametrize("batch_size", [64, 4])
@pytest.mark.parametrize("sampling", [{"temperature": 0}, {"seed": 5}, {"seed": 5, "temperature": 0.3}])
def test_a_batch_says_what_each_dialogue_says_alone(batch_size: int, sampling: dict[str, Any]) -> None:
    model = LocalChat(*raw_model(), batch_size=batch_size)
    alone = [ask(model, d, tools=SCHEMAS, max_tokens=12, **sampling) for d in DIALOGUES]
    assert together(model, DIALOGUES, max_tokens=12, **sampling) == alone
    assert len({json.dumps(reply.message) for reply in alone}) > 1


def test_the_fitted_model_calls_and_then_answers(fitted: LocalChat) -> None:
    for expression in QUESTIONS:
        dialogue = solved(expression)
        called = ask(fitted, dialogue[:1], tools=SCHEMAS, max_tokens=40, temperature=0)
        assert called.message == dialogue[1]
        assert called.finish_reason == "tool_calls"
        answered = ask(fitted, dialogue[:3], tools=SCHEMAS, max_tokens=40, temperature=0)
        assert answered.message == dialogue[3]
        assert answered.finish_reason == "stop"


def test_calls_with_arguments_as_json_text_are_rendered_alike(fitted: LocalChat) -> None:
    dialogue = solved("5*8")[:3]
    function = {"name": "calculator", "arguments": '{"expression": "5*8"}'}
    as_text = [dialogue[0], {**dialogue[1], "tool_calls": [{"id": "c", "function": function}]}, dialogue[2]]
    replies = [ask(fitted, d, tools=SCHEMAS, max_tokens=40, temperature=0) for d in (dialogue, as_text)]
    assert replies[0] == replies[1]


def test_usage_counts_the_tokens(fitted: LocalChat) -> None:
    _, tokenizer = fitted_model()
    dialogue = solved("9-3")
    prompt = tokenizer.apply_chat_template(dialogue[:3], tools=SCHEMAS, add_generation_prompt=True)
    reply = ask(fitted, dialogue[:3], tools=SCHEMAS, temperature=0)
    assert reply.usage is not None
    assert reply.usage.prompt_tokens == len(prompt["input_ids"])
    assert reply.usage.completion_tokens == len(tokenizer("The answer is 6.<|im_end|>")["input_ids"])


def test_seeds_decide_the_draw_and_temperatures_its_width(raw: LocalChat) -> None:
    dialogues = [question("12+7")] * 8
    same = together(raw, dialogues, max_tokens=6, seed=1)
    assert len({json.dumps(reply.message) for reply in same}) == 1
    torch.manual_seed(0)
    free = together(raw, dialogues, max_tokens=6)
    assert len({json.dumps(reply.message) for reply in free}) > 1
    torch.manual_seed(0)
    assert together(raw, dialogues, max_tokens=6) == free


def test_draws_follow_the_softmax(fitted: LocalChat) -> None:
    """The share of the likeliest first token among draws is its probability."""
    model, tokenizer = fitted_model()
    dialogue = solved("81/9")[:3]
    prompt = tokenizer.apply_chat_template(
        dialogue, tools=SCHEMAS, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    with torch.inference_mode():
        logits = model(**prompt).logits[0, -1]
    expected = torch.softmax(logits / 2.0, -1).max().item()
    top = tokenizer.decode([int(logits.argmax())])
    drawn = [ask(fitted, dialogue, tools=SCHEMAS, max_tokens=1, temperature=2.0, seed=s) for s in range(200)]
    share = sum(reply.message["content"] == top for reply in drawn) / len(drawn)
    assert 0.05 < expected < 0.95
    assert abs(share - expected) < 4 * (expected * (1 - expected) / len(drawn)) ** 0.5


def test_the_limit_of_tokens_cuts(fitted: LocalChat) -> None:
    reply = ask(fitted, solved("5*8")[:3], tools=SCHEMAS, max_tokens=2, temperature=0)
    assert reply.finish_reason == "length"
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 2
    assert "The answer is 40.".startswith(reply.message["content"])
    cut = ask(fitted, question("5*8"), tools=SCHEMAS, max_tokens=10, temperature=0)
    assert cut.finish_reason == "length"
    assert not tool_calls_of(cut.message)
    assert cut.message["content"].startswith("<tool_call>")


def test_a_stop_text_ends_the_reply_and_is_no_part_of_it(fitted: LocalChat) -> None:
    reply = ask(fitted, solved("5*8")[:3], tools=SCHEMAS, temperature=0, stop=["is 4", "never"])
    assert reply.message["content"] == "The answer"
    assert reply.finish_reason == "stop"


def test_one_dialogue_that_is_too_long_fails_alone(raw: LocalChat) -> None:
    long = [{"role": "user", "content": "x" * 5000}]
    short = question("12+7")
    replies = together(raw, [short, long, short], max_tokens=4, temperature=0)
    assert isinstance(replies[0], Reply)
    assert replies[0] == replies[2]
    assert isinstance(replies[1], ModelError)
    assert "takes 1024 tokens, got a prompt of 5" in str(replies[1])


def test_messages_that_the_template_refuses_are_a_model_error(raw: LocalChat) -> None:
    with pytest.raises(ModelError, match="UndefinedError"):
        ask(raw, question("1+1"), tools=[{"type": "nothing"}])


def test_arguments_are_checked() -> None:
    model, tokenizer = raw_model()
    with pytest.raises(TypeError, match="tokenizer"):
        LocalChat(model)
    with pytest.raises(ValueError, match="batch_size"):
        LocalChat(model, tokenizer, batch_size=0)
    with pytest.raises(TypeError, match="did you mean 'seed'"):
        ask(LocalChat(model, tokenizer), "hi", sed=1)


def test_a_tokenizer_without_a_response_template_is_read_by_tags() -> None:
    from guerdon.lab.policy import make_model, make_tokenizer

    tokenizer = make_tokenizer([solved("5*8")], [])
    reply = ask(LocalChat(make_model(tokenizer, 0), tokenizer), "hi", max_tokens=3, temperature=0)
    assert reply.message.keys() == {"role", "content"}


def test_a_folder_is_loaded(tmp_path: Any) -> None:
    model, tokenizer = fitted_model()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = LocalChat(tmp_path, device="cpu")
    assert (
        ask(loaded, solved("9-3")[:3], tools=SCHEMAS, temperature=0).message["content"] == "The answer is 6."
    )
    assert repr(loaded) == repr(LocalChat(tmp_path, device="cpu"))
    assert repr(LocalChat(model, tokenizer)) != repr(LocalChat(model, tokenizer))


CALL = '<tool_call>\n{"name": "f", "arguments": {"x": "</think>"}}\n</tool_call>'


def test_read_turn_takes_calls_out_of_the_text() -> None:
    message = read_turn(f"<think>not {CALL} yet</think>\nFirst. {CALL}\n{CALL}\n")
    assert [call.arguments for call in tool_calls_of(message)] == [{"x": "</think>"}] * 2
    assert message["content"] == f"<think>not {CALL} yet</think>\nFirst."


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "</tool_call>",
        '<tool_call>{"name": "f"',
        "<tool_call>{}</tool_call>",
        "<tool_call>[1]</tool_call>",
        "<tool_call>NaN</tool_call>",
        f"{CALL} and <tool_call>{{</tool_call>",
        "<tool_call>" + "[" * 100_000 + "</tool_call>",
        "\ud800",
        "<tool_call>" * 100_000,
    ],
)
def test_what_cannot_be_read_is_all_text(text: str) -> None:
    assert read_turn(text) == {"role": "assistant", "content": text}


@given(
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3),
    st.text(alphabet="abc <>/", max_size=10),
)
@settings(max_examples=60, deadline=None)
def test_any_arguments_come_back(arguments: dict[str, Any], before: str) -> None:
    text = json.dumps({"name": "f", "arguments": arguments}).replace("<", "\\u003c")
    message = read_turn(f"{before}<tool_call>{text}</tool_call>")
    assert [call.arguments for call in tool_calls_of(message)] == [arguments]
    assert message["content"] == before.strip()
