from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import guerdon
from guerdon import Chat
from guerdon.judges import ModelError, OpenAIChat, Recorder, ReplayChat, Reply, Usage, ask
from tests.judges.server import chat_server, completion, says

CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}
DIALOGUE = [
    {"role": "user", "content": "1+2"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "3"},
    {"role": "assistant", "content": "It is 3."},
]


def test_every_recorded_turn_of_real_dialogues_comes_back(shared_data: Path) -> None:
    columns = {"prompt": ["instruction", "input"], "completion": "output"}
    samples = guerdon.read(shared_data / "rlla_dialogues.jsonl.gz", format="native", columns=columns)
    assert len(samples) == 200
    model = ReplayChat(samples)
    for sample in samples:
        assert isinstance(sample, Chat)
        assert ask(model, sample.prompt).message == {"role": "assistant", "content": sample.completion}


@pytest.mark.parametrize("recording", [DIALOGUE, Chat(DIALOGUE[:1], DIALOGUE[1:])])
def test_each_turn_of_a_dialogue_follows_its_prefix(recording: Any) -> None:
    model = ReplayChat([recording])
    assert ask(model, DIALOGUE[:1]).message == DIALOGUE[1]
    assert ask(model, DIALOGUE[:3]).message == DIALOGUE[3]


def test_ids_names_and_the_form_of_arguments_do_not_matter() -> None:
    flat = {"name": "add", "arguments": {"b": 2, "a": 1}}
    dialogue = [
        {"role": "user", "content": [{"type": "text", "text": "1+2"}]},
        {"role": "assistant", "content": "", "tool_calls": [flat]},
        {"role": "tool", "name": "add", "content": "3", "cost": 1.0},
    ]
    assert ask(ReplayChat([DIALOGUE]), dialogue, temperature=0, max_tokens=5).message == DIALOGUE[3]


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ([{"role": "user", "content": "1+3"}], r"messages\[0\] after those before it: user: '1\+3'"),
        ([{"role": "system", "content": "1+2"}], r"messages\[0\]"),
        ([*DIALOGUE[:2], {"role": "tool", "content": "4"}], r"messages\[2\] .*: tool: '4'"),
        ([DIALOGUE[0], {**DIALOGUE[1], "tool_calls": []}, DIALOGUE[2]], r"messages\[1\]"),
        (DIALOGUE, "no recording has an assistant turn after these 4 messages"),
        (DIALOGUE[:2], "no recording has an assistant turn after these 2 messages"),
        ([{"role": "user", "content": "x" * 10**6}], r"messages\[0\]"),
    ],
)
def test_an_unknown_dialogue_is_an_error_that_says_where_it_leaves(changed: Any, text: str) -> None:
    with pytest.raises(ModelError, match=text) as caught:
        ask(ReplayChat([DIALOGUE]), changed)
    assert len(str(caught.value)) < 300


def test_images_tell_dialogues_apart() -> None:
    def seen(url: str) -> list[dict[str, Any]]:
        image = {"type": "image_url", "image_url": {"url": url}}
        return [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}]

    model = ReplayChat([Chat(seen("a"), "a cat"), Chat(seen("b"), "a dog")])
    assert ask(model, seen("b")).message["content"] == "a dog"
    with pytest.raises(ModelError):
        ask(model, seen("c"))


def test_several_answers_come_in_order_and_then_again() -> None:
    model = ReplayChat([Chat("p", "a"), Chat("q", "x"), Chat("p", "b")])
    assert [ask(model, "p").message["content"] for _ in range(5)] == ["a", "b", "a", "b", "a"]
    assert ask(model, "q").message["content"] == "x"


@pytest.mark.parametrize("column", ["text", {"usage": 3}, None])
def test_a_column_that_is_called_like_the_recorders_is_left_alone(column: Any) -> None:
    reply = ask(ReplayChat([Chat("p", "a", extra={"reply": column})]), "p")
    assert reply == Reply({"role": "assistant", "content": "a"})


@pytest.mark.parametrize(
    ("recordings", "error"), [([], ValueError), ([[DIALOGUE[0]]], ValueError), (["text"], TypeError)]
)
def test_recordings_are_checked(recordings: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="recordings"):
        ReplayChat(recordings)


def test_what_is_recorded_identifies_the_model() -> None:
    first, again, other = (ReplayChat([Chat("p", text)]) for text in ("a", "a", "b"))
    assert repr(first) == repr(again) != repr(other)


@given(st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4)), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_any_dialogue_replays_to_itself(exchanges: list[tuple[str, str]]) -> None:
    dialogue = [
        {"role": role, "content": text}
        for exchange in exchanges
        for role, text in zip(("user", "assistant"), exchange, strict=True)
    ]
    model, replayed = ReplayChat([dialogue]), list[Any]()
    for message in dialogue[::2]:
        replayed.append(message)
        replayed.append(ask(model, replayed).message)
    assert replayed == dialogue


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
def test_what_a_server_said_is_replayed_without_it(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("httpx")
    path = tmp_path / f"log{suffix}"
    with chat_server() as server:
        server.answers = [
            completion({"role": "assistant", "content": None, "tool_calls": [CALL]}, "tool_calls", (11, 5)),
            says("Ünï\u2028cödé"),
            says("something else"),
        ]
        model = Recorder(OpenAIChat(server.url, "tiny"), path)
        said = [ask(model, DIALOGUE[:1]), ask(model, DIALOGUE[:3]), ask(model, DIALOGUE[:3])]
        assert repr(model) == repr(model.model)
    replay = ReplayChat(guerdon.read(path))
    assert [ask(replay, DIALOGUE[:n]) for n in (1, 3, 3)] == said
    assert said[0].usage == Usage(11, 5)
    assert said[0].finish_reason == "tool_calls"


def test_a_recorder_goes_on_in_its_file_and_leaves_no_row_for_a_failure(tmp_path: Path) -> None:
    source = ReplayChat([Chat("p", "a"), Chat("q", "b")])
    for prompt in ("p", "q"):
        ask(Recorder(source, tmp_path / "log.jsonl"), prompt)
    with pytest.raises(ModelError):
        ask(Recorder(source, tmp_path / "log.jsonl"), "unknown")
    assert [sample.text for sample in guerdon.read(tmp_path / "log.jsonl")] == ["a", "b"]


def test_many_at_once_are_all_recorded(tmp_path: Path) -> None:
    model = Recorder(ReplayChat([Chat(str(i), str(i)) for i in range(50)]), tmp_path / "log.jsonl")

    async def several() -> None:
        await asyncio.gather(*(model.chat([{"role": "user", "content": str(i)}]) for i in range(50)))

    asyncio.run(several())
    assert {sample.text for sample in guerdon.read(tmp_path / "log.jsonl")} == {str(i) for i in range(50)}


def test_a_recorder_needs_a_file_of_json_lines(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a name that ends in"):
        Recorder(ReplayChat([DIALOGUE]), tmp_path / "log.parquet")


def test_a_reply_that_json_has_no_form_for_is_not_recorded_as_something_else(tmp_path: Path) -> None:
    model = Recorder(ReplayChat([Chat("p", "\ud800")]), tmp_path / "log.jsonl")
    with pytest.raises(ValueError, match="surrogate"):
        ask(model, "p")
