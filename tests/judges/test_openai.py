from __future__ import annotations

import asyncio
import gc
import json
import pickle
import time
import warnings
import weakref
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest

from guerdon.judges import ModelError, OpenAIChat, Reply, Usage, ask
from tests.judges.server import Answer, Server, chat_server, completion, says

pytest.importorskip("httpx")

CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
TOOL = {"type": "function", "function": {"name": "add", "description": "", "parameters": {"type": "object"}}}
BUSY = Answer(b"busy", 503)


@pytest.fixture
def server() -> Iterator[Server]:
    with chat_server() as running:
        yield running


def client(server: Server, **options: Any) -> OpenAIChat:
    return OpenAIChat(server.url, "tiny", **{"backoff": 0.0, **options})


def test_a_text_reply_with_usage_and_without_nulls(server: Server) -> None:
    server.answers = [says("hello")]
    reply = ask(client(server), "hi", temperature=0.5, max_tokens=9, seed=3, stop=["\n"])
    assert reply == Reply({"role": "assistant", "content": "hello"}, Usage(7, 3), "stop")
    assert server.requests == [
        {
            "path": "/v1/chat/completions",
            "model": "tiny",
            "messages": [{"role": "user", "content": "hi"}],
            "temperature": 0.5,
            "max_tokens": 9,
            "seed": 3,
            "stop": ["\n"],
        }
    ]


def test_tools_are_sent_and_calls_come_back(server: Server) -> None:
    server.answers = [completion({"role": "assistant", "content": None, "tool_calls": [CALL]}, "tool_calls")]
    reply = ask(client(server), "1+1", tools=[TOOL])
    assert reply.message == {"role": "assistant", "content": None, "tool_calls": [CALL]}
    assert reply.finish_reason == "tool_calls"
    assert server.requests[0]["tools"] == [TOOL]


def test_messages_are_sent_as_the_api_takes_them(server: Server) -> None:
    server.answers = [says("2")]
    flat = {"name": "add", "arguments": {"a": 1}, "id": "c1"}
    dialogue = [
        {"role": "user", "content": "1+1"},
        {"role": "assistant", "content": "", "tool_calls": [flat], "reasoning_content": "hm"},
        {"role": "tool", "name": "add", "content": "2", "tool_call_id": "c1", "cost": 0.5},
        {"role": "assistant", "content": "2", "tool_calls": []},
        {"role": "user", "content": "sure?"},
    ]
    ask(client(server, body={"top_k": 5}), dialogue)
    assert server.requests[0]["messages"] == [
        dialogue[0],
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "name": "add", "content": "2", "tool_call_id": "c1"},
        {"role": "assistant", "content": "2"},
        dialogue[4],
    ]
    assert server.requests[0]["top_k"] == 5


@pytest.mark.parametrize("trouble", [BUSY, Answer(b"slow down", 429), Answer(b"", 500), Answer(drop=True)])
def test_what_may_pass_is_tried_again(server: Server, trouble: Answer) -> None:
    server.answers = [trouble, trouble, says("at last")]
    assert ask(client(server), "hi").message["content"] == "at last"
    assert len(server.requests) == 3


def test_what_lasts_fails_with_status_body_and_the_number_of_tries(server: Server) -> None:
    server.answers = [BUSY]
    with pytest.raises(ModelError, match=r"tiny: HTTP 503: busy \(after 3 tries\)") as caught:
        ask(client(server, retries=2), "hi")
    assert caught.value.status == 503
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 422, 307])
def test_a_wrong_request_is_not_tried_again(server: Server, status: int) -> None:
    server.answers = [Answer(b'{"error": "no such model"}', status)]
    with pytest.raises(ModelError, match=rf"HTTP {status}: .*no such model") as caught:
        ask(client(server), "hi")
    assert caught.value.status == status
    assert len(server.requests) == 1


def test_a_server_that_is_strict_about_retry_after_is_satisfied(server: Server) -> None:
    opens = list[float]()

    def answer(request: Any) -> Answer:
        now = time.monotonic()
        opens.append(now + 0.5)
        return Answer(b"", 429, {"Retry-After": "0.6"}) if len(opens) == 1 else says(str(now > opens[0]))

    server.answer = answer
    assert ask(client(server), "hi").message["content"] == "True"


@pytest.mark.parametrize("after", ["7200", "inf", formatdate(time.time() + 7200, usegmt=True)])
def test_a_server_that_asks_for_hours_is_not_waited_for(server: Server, after: str) -> None:
    server.answers = [Answer(b"quota", 429, {"Retry-After": after})]
    with pytest.raises(ModelError, match="HTTP 429: quota"):
        ask(client(server), "hi")
    assert len(server.requests) == 1


@pytest.mark.parametrize("after", ["soon", "-5", "nan", formatdate(0, usegmt=True)])
def test_a_retry_after_that_says_nothing_leaves_the_backoff(server: Server, after: str) -> None:
    server.answers = [Answer(b"", 429, {"Retry-After": after}), says("ok")]
    assert ask(client(server), "hi").message["content"] == "ok"


def test_a_hanging_server_runs_out_of_time(server: Server) -> None:
    server.answers = [Answer(hang=True)]
    with pytest.raises(ModelError, match=r"no answer within 0.2 s \(after 2 tries\)"):
        ask(client(server, timeout=0.2, retries=1), "hi")
    assert len(server.requests) == 2


def test_no_server_at_all() -> None:
    with pytest.raises(ModelError, match="ConnectError"):
        ask(OpenAIChat("http://127.0.0.1:9/v1", "tiny", retries=0), "hi")


@pytest.mark.parametrize(
    "body",
    [
        b"<html>not JSON</html>",
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b'{"choices": []}',
        b'{"choices": null}',
        b'{"choices": [{"message": null}]}',
        b'{"choices": [{"message": {"role": "user", "content": "x"}}]}',
        b'{"choices": [{"message": {"content": 3}}]}',
        b'{"choices": [{"message": {"content": "", "tool_calls": {"a": 1}}}]}',
        b"[" * 100_000,
    ],
)
def test_a_body_without_a_reply_is_an_error_with_an_excerpt(server: Server, body: bytes) -> None:
    server.answers = [Answer(body)]
    with pytest.raises(ModelError, match="expected a chat completion, got") as caught:
        ask(client(server), "hi")
    assert len(str(caught.value)) < 2000
    assert len(server.requests) == 1


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": "7"}, {"prompt_tokens": 7}])
def test_usage_that_is_not_told_is_none(server: Server, usage: Any) -> None:
    body = {"choices": [{"message": {"role": "assistant", "content": "x"}}], "usage": usage}
    server.answers = [Answer(json.dumps(body).encode())]
    assert ask(client(server), "hi").usage is None


def test_the_key_is_sent_and_never_shown(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answers = [Answer(b"Incorrect API key: sk-secret", 401)]
    asked = client(server, api_key="sk-secret")
    with pytest.raises(ModelError) as caught:
        ask(asked, "hi")
    assert server.headers[0]["Authorization"] == "Bearer sk-secret"
    assert "secret" not in str(caught.value) + repr(asked) + repr(caught.value)
    monkeypatch.setenv("OPENAI_API_KEY", "from-env\n")
    with pytest.raises(ModelError):
        ask(client(server), "hi")
    assert server.headers[1]["Authorization"] == "Bearer from-env"
    with pytest.raises(ModelError, match="printable") as caught:
        ask(client(server, api_key="sk-\nsecret"), "hi")
    assert "secret" not in str(caught.value)


def test_no_key_no_header(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server.answers = [says("x")]
    ask(client(server), "hi")
    assert "Authorization" not in server.headers[0]


def test_many_at_once_over_kept_connections_and_in_several_loops(server: Server) -> None:
    server.answer = lambda request: says(request["messages"][0]["content"])
    model = client(server)

    async def several() -> list[Any]:
        turns = list[Any]()
        for _ in range(3):
            asked = [model.chat([{"role": "user", "content": str(i)}]) for i in range(8)]
            turns += [reply.message["content"] for reply in await asyncio.gather(*asked)]
        return turns

    for _ in range(2):
        assert asyncio.run(several()) == [str(i) for i in range(8)] * 3
    assert server.most > 1
    assert len(server.connections) <= 16


def test_a_client_travels_to_another_process(server: Server) -> None:
    server.answers = [says("x")]
    model = client(server)
    ask(model, "hi")
    assert ask(pickle.loads(pickle.dumps(model)), "hi").message["content"] == "x"


def test_connections_and_loops_are_let_go(server: Server) -> None:
    server.answers = [says("x")]
    model, loops = client(server), list[Any]()

    async def once() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await model.chat([{"role": "user", "content": "hi"}])

    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        asyncio.run(once())
        gc.collect()
    assert loops[0]() is None


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"base_url": "localhost:8000"}, "base_url: expected http"),
        ({"base_url": "http://me:secret@host/v1"}, "without user and password"),
        ({"timeout": 0}, "timeout: expected"),
        ({"retries": -1}, "retries: expected"),
        ({"backoff": float("nan")}, "backoff: expected"),
    ],
)
def test_options_are_checked(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text) as caught:
        OpenAIChat(**{"base_url": "http://h/v1", "model": "m", **options})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("sampling", "error", "text"),
    [
        ({"temperatur": 1}, TypeError, "did you mean 'temperature'"),
        ({"temperature": -1}, ValueError, "temperature: expected"),
        ({"temperature": float("nan")}, ValueError, "temperature: expected"),
        ({"temperature": True}, TypeError, "temperature: expected"),
        ({"max_tokens": 0}, ValueError, "max_tokens: expected"),
        ({"max_tokens": 1.5}, TypeError, "max_tokens: expected"),
        ({"stop": "x"}, TypeError, "stop: expected a list"),
        ({"stop": [""]}, ValueError, "stop: expected a list"),
        ({"seed": -1}, ValueError, "seed: expected"),
    ],
)
def test_sampling_is_checked_before_anything_is_sent(
    server: Server, sampling: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        ask(client(server), "hi", **sampling)
    assert not server.requests


@pytest.mark.parametrize("messages", [[], [{"role": "robot"}], [{"role": "user", "content": 3}], [1], None])
def test_messages_are_checked(server: Server, messages: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="messages"):
        ask(client(server), messages)
    assert not server.requests
