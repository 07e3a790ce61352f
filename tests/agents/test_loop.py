from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import guerdon
from guerdon import Chat
from guerdon.agents import calculator, tool
from guerdon.agents.loop import converse, run_agent, run_agents
from guerdon.judges import LocalChat, ModelError, OpenAIChat, Recorder, ReplayChat
from tests.judges.models import QUESTIONS, fitted_model, question, raw_model, solved
from tests.judges.server import Answer, Server, chat_server, completion, says

pytest.importorskip("httpx")


@tool(price=0.25)
def double(x: int) -> int:
    """Twice a number.

    Args:
        x: The number.
    """
    if x == 13:
        raise RuntimeError("unlucky")
    return 2 * x


def calls(*arguments: Any, name: str = "double") -> Answer:
    listed = [
        {"id": f"c{i}", "type": "function", "function": {"name": name, "arguments": json.dumps(each)}}
        for i, each in enumerate(arguments)
    ]
    return completion({"role": "assistant", "content": None, "tool_calls": listed}, "tool_calls", (10, 2))


@pytest.fixture
def server() -> Iterator[Server]:
    with chat_server() as running:
        yield running


@pytest.fixture
def model(server: Server) -> OpenAIChat:
    return OpenAIChat(server.url, "tiny", backoff=0.0, retries=1)


def contents(chat: Chat) -> list[Any]:
    return [message["content"] for message in chat.completion_messages]


def test_turns_go_on_until_an_answer(server: Server, model: OpenAIChat) -> None:
    server.answers = [calls({"x": 2}, {"x": 5}), calls({"x": 4}), says("done")]
    chat = run_agent(model, "go", [double], temperature=0)
    assert contents(chat) == [None, "4", "10", None, "8", "done"]
    assert chat.prompt == "go"
    assert chat.extra == {
        "stopped": "answer",
        "error": None,
        "usage": {"prompt_tokens": 27, "completion_tokens": 7},
        "cost": 0.75,
    }
    assert [len(request["messages"]) for request in server.requests] == [1, 4, 6]
    assert [m.get("tool_call_id") for m in server.requests[1]["messages"]] == [None, None, "c0", "c1"]
    assert all(request["temperature"] == 0 for request in server.requests)
    assert server.requests[0]["tools"][0]["function"]["name"] == "double"


def test_a_call_that_cannot_be_answered_is_an_observation(server: Server, model: OpenAIChat) -> None:
    server.answers = [calls({"x": 13}), calls({"x": "a"}), calls({}, name="triple"), says("sorry")]
    chat = run_agent(model, "go", [double])
    results = [m["content"] for m in chat.completion_messages if m["role"] == "tool"]
    assert [result.startswith("error: ") for result in results] == [True] * 3
    assert "unlucky" in results[0]
    assert chat.final == "sorry"
    assert chat.extra["stopped"] == "answer"


def test_the_limit_of_turns_answers_the_last_calls(server: Server, model: OpenAIChat) -> None:
    server.answers = [calls({"x": 1})]
    chat = run_agent(model, "go", [double], max_turns=2)
    assert contents(chat) == [None, "2", None, "2"]
    assert chat.extra["stopped"] == "max_turns"
    assert len(server.requests) == 2


@pytest.mark.parametrize(("most", "cost", "turns"), [(0, 0.0, 1), (1, 0.25, 2), (2, 0.25, 2), (3, 0.75, 3)])
def test_the_limit_of_calls_answers_none_of_those_that_are_too_many(
    server: Server, model: OpenAIChat, most: int, cost: float, turns: int
) -> None:
    server.answers = [calls({"x": 1}), calls({"x": 2}, {"x": 3}), calls({"x": 4})]
    chat = run_agent(model, "go", [double], max_tool_calls=most)
    assert chat.extra["stopped"] == "max_tool_calls"
    assert chat.extra["cost"] == cost
    assert len(server.requests) == turns
    assert chat.completion_messages[-1]["role"] == "assistant"


def test_a_turn_that_was_cut_off_is_no_answer(server: Server, model: OpenAIChat) -> None:
    server.answers = [completion({"role": "assistant", "content": "The ans"}, "length")]
    assert run_agent(model, "go").extra["stopped"] == "length"


def by_prompt(request: Any) -> Answer:
    """Prompt `bad` is refused after its first call; others are answered with themselves after one call."""
    prompt, turn = request["messages"][0]["content"], len(request["messages"])
    if prompt == "refused" or (prompt == "bad" and turn > 1):
        return Answer(b"context too long", 400)
    return calls({"x": 1}) if turn == 1 else says(f"{prompt}!")


def test_an_error_of_the_model_ends_its_dialogue_and_no_other(server: Server, model: OpenAIChat) -> None:
    server.answer = by_prompt
    prompts = ["a", "bad", "b", "refused", "c"]
    chats = run_agents(model, prompts, [double])
    assert [chat.prompt for chat in chats] == prompts
    assert [chat.extra["stopped"] for chat in chats] == ["answer", "error", "answer", "error", "answer"]
    assert [chat.final for chat in chats if chat.extra["stopped"] == "answer"] == ["a!", "b!", "c!"]
    assert contents(chats[1]) == [None, "2"]
    assert chats[1].extra["cost"] == 0.25
    assert chats[3].completion == ""
    for chat in (chats[1], chats[3]):
        assert "HTTP 400: context too long" in chat.extra["error"]


def test_an_error_of_the_model_is_raised_where_asked(server: Server, model: OpenAIChat) -> None:
    server.answer = by_prompt
    with pytest.raises(ModelError, match="HTTP 400"):
        run_agents(model, ["a", "bad"], [double], on_error="raise")


def test_dialogues_are_bounded_and_in_order(server: Server, model: OpenAIChat) -> None:
    server.answer = by_prompt
    prompts = [f"p{i}" for i in range(20)]
    chats = run_agents(model, prompts, [double], concurrency=4)
    assert [chat.final for chat in chats] == [f"{prompt}!" for prompt in prompts]
    assert 2 <= server.most <= 4


def test_a_sample_keeps_its_columns_and_loses_its_completion(server: Server, model: OpenAIChat) -> None:
    server.answers = [says("new")]
    task = Chat("p", "old", reference=3, group="g", extra={"domain": "math", "error": "old"})
    chat = run_agent(model, task)
    assert (chat.prompt, chat.text, chat.reference, chat.group) == ("p", "new", 3, "g")
    assert chat.extra["domain"] == "math"
    assert chat.extra["error"] is None


def test_usage_is_unknown_where_one_turn_does_not_tell(server: Server, model: OpenAIChat) -> None:
    silent = {"choices": [{"message": {"role": "assistant", "content": "x"}}]}
    server.answers = [calls({"x": 1}), Answer(json.dumps(silent).encode())]
    assert run_agent(model, "go", [double]).extra["usage"] is None


def test_each_task_and_turn_has_a_seed_of_its_own(server: Server, model: OpenAIChat) -> None:
    server.answer = by_prompt
    for _ in range(2):
        run_agents(model, ["a", "a", "a"], [double], seed=7, concurrency=1)
    seeds = [request["seed"] for request in server.requests]
    assert len(set(seeds)) == 6
    assert seeds[:6] == seeds[6:]


def test_inside_a_running_loop(server: Server, model: OpenAIChat) -> None:
    server.answer = by_prompt

    async def main() -> list[Chat]:
        return [await converse(model, "a", [double]), run_agent(model, "b", [double])]

    assert [chat.final for chat in asyncio.run(main())] == ["a!", "b!"]


def test_a_mistake_in_a_model_is_raised() -> None:
    class Broken:
        async def chat(self, messages: Any, **options: Any) -> Any:
            return {}["missing"]

    with pytest.raises(KeyError, match="missing"):
        run_agents(Broken(), ["a", "b"])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_turns": 0}, "max_turns"),
        ({"max_tool_calls": -1}, "max_tool_calls"),
        ({"on_error": "ignore"}, "on_error"),
        ({"concurrency": 0}, "concurrency"),
        ({"temperature": -1}, "temperature"),
        ({"max_turn": 3}, "max_turn"),
        ({"tasks": [[]]}, "prompt"),
        ({"tasks": ["a", 3]}, "prompt"),
        ({"tools": [double, double]}, "double"),
    ],
)
def test_arguments_are_checked_before_a_model_is_asked(
    server: Server, model: OpenAIChat, options: dict[str, Any], text: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=text):
        run_agents(model, **{"tasks": ["a"], **options})
    assert not server.requests


def test_no_tasks(model: OpenAIChat) -> None:
    assert run_agents(model, []) == []


def test_a_recorded_run_is_played_again_without_the_model(
    server: Server, model: OpenAIChat, tmp_path: Path
) -> None:
    server.answer = by_prompt
    chats = run_agents(Recorder(model, tmp_path / "log.jsonl"), ["a", "b", "a"], [double])
    replay = ReplayChat(guerdon.read(tmp_path / "log.jsonl"))
    assert run_agents(replay, ["a", "b", "a"], [double]) == chats
    assert [c.completion for c in run_agents(ReplayChat(chats), ["a", "b"], [double])] == [
        chats[0].completion,
        chats[1].completion,
    ]


def test_a_local_model_solves_with_the_calculator() -> None:
    pytest.importorskip("torch")
    model = LocalChat(*fitted_model())
    options: Any = {"temperature": 0, "max_tokens": 40}
    chats = run_agents(model, [question(expression) for expression in QUESTIONS], [calculator], **options)
    assert [[*question(e), *chat.completion_messages] for e, chat in zip(QUESTIONS, chats, strict=True)] == [
        solved(expression) for expression in QUESTIONS
    ]
    assert {chat.extra["stopped"] for chat in chats} == {"answer"}
    alone = [run_agent(model, question(expression), [calculator], **options) for expression in QUESTIONS]
    assert alone == chats


def test_a_local_model_with_random_weights_is_cut_off() -> None:
    pytest.importorskip("torch")
    chats = run_agents(LocalChat(*raw_model()), ["hi"] * 3, [calculator], max_tokens=5, seed=0)
    assert {chat.extra["stopped"] for chat in chats} <= {"length", "answer"}
    assert len({chat.text for chat in chats}) > 1
