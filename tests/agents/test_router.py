from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import guerdon
from guerdon.agents import PricedText, RoutedModel, answer_calls, as_tools, router_tool, spent
from guerdon.core.messages import Message, message_text
from guerdon.core.samples import Chat
from guerdon.judges import ModelError, Recorder, ReplayChat, Reply, Usage
from guerdon.verify import Cost


class Counting:
    """Answers with the number of words it was asked; a word is a token."""

    async def chat(
        self, messages: Sequence[Message], *, tools: Sequence[Mapping[str, Any]] = (), **sampling: Any
    ) -> Reply:
        words = len(message_text(messages[-1]).split())
        text = f"{words} words, {sampling}" if sampling else f"{words} words"
        return Reply({"role": "assistant", "content": text}, Usage(words, len(text.split())))


def call(model: object, question: object) -> dict[str, Any]:
    return {"function": {"name": "ask_model", "arguments": {"model": model, "question": question}}}


def answers(tool: Any, *calls: Any) -> list[Message]:
    return answer_calls({"role": "assistant", "tool_calls": list(calls)}, as_tools([tool]))


def test_the_chosen_model_answers_at_its_price() -> None:
    tool = router_tool(
        {"small": (Counting(), 1.0), "large": RoutedModel(Counting(), 10.0, prompt_price=100.0)}
    )
    small, large = answers(tool, call("small", "a b c"), call("large", "a b c d"))
    assert (small["content"], large["content"]) == ("3 words", "4 words")
    assert small["cost"] == pytest.approx(2 * 1.0 / 1000)
    assert large["cost"] == pytest.approx((2 * 10.0 + 4 * 100.0) / 1000)
    completion = [{"role": "assistant", "content": "", "tool_calls": []}, small, large]
    sample = Chat("go", completion, extra={"cost": spent(completion)})
    assert Cost(price=2)([sample]).outcome.tolist() == pytest.approx([-2 * (0.002 + 0.42)])


def test_the_policy_sees_which_models_there_are() -> None:
    tool = router_tool({"small": (Counting(), 0.1), "large": (Counting(), 2)})
    properties = tool.parameters["properties"]
    assert properties["model"] == {
        "type": "string",
        "enum": ["small", "large"],
        "description": "The model to ask, one of small (0.1 per 1000 tokens), large (2 per 1000 tokens)",
    }
    assert tool.parameters["required"] == ["model", "question"]
    get_json_schema = pytest.importorskip("transformers.utils").get_json_schema
    theirs = get_json_schema(tool)
    theirs["function"].pop("return", None)
    assert theirs == tool.schema


def test_unknown_models_and_failing_ones_are_told_and_cost_nothing() -> None:
    silent = ReplayChat([[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]])
    tool = router_tool({"free": (silent, 0.0), "dear": (silent, 1.0)})
    known, unknown, unrecorded, uncounted = answers(
        tool, call("free", "hi"), call("huge", "hi"), call("free", "hello"), call("dear", "hi")
    )
    assert known["content"] == "ho"
    assert unknown["content"].startswith("error: ask_model.model: Input should be 'free' or 'dear'")
    assert unrecorded["content"].startswith("error: ModelError: no recording")
    assert uncounted["content"] == (
        "error: the model replied without its number of tokens, so the reply can't be charged"
    )
    assert not any("cost" in message for message in (known, unknown, unrecorded, uncounted))
    with pytest.raises(ModelError):
        tool(model="free", question="hello")


def test_a_recorded_conversation_costs_the_same(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    first = router_tool({"m": (Recorder(Counting(), path), 5.0)})(model="m", question="one two three")
    again = router_tool({"m": (ReplayChat(guerdon.read(path)), 5.0)})(model="m", question="one two three")
    assert isinstance(again, PricedText)
    assert (again, again.cost) == (first, first.cost) == ("3 words", 0.01)


def test_sampling_is_passed_on_and_a_running_loop_is_no_obstacle() -> None:
    tool = router_tool({"m": (Counting(), 1.0)}, name="expert", temperature=0.0, max_tokens=5)

    async def inside() -> str:
        return tool(model="m", question="one")

    assert tool.name == "expert"
    assert asyncio.run(inside()) == "1 words, {'temperature': 0.0, 'max_tokens': 5}"


def test_bad_pools_are_refused() -> None:
    with pytest.raises(ValueError, match="models: expected at least one"):
        router_tool({})
    with pytest.raises(ValueError, match=r"models\['m'\]\.price: expected"):
        router_tool({"m": (Counting(), -1.0)})
    with pytest.raises(ValueError, match=r"models\['m'\]\.prompt_price"):
        router_tool({"m": RoutedModel(Counting(), 1.0, float("nan"))})
    with pytest.raises(TypeError, match="temprature"):
        router_tool({"m": (Counting(), 1.0)}, temprature=1.0)
