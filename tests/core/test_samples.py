"""Samples: what is accepted, the common face, and conversion from and to environments."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon import Chat, Episode, Media
from guerdon.core.samples import group_codes

CALL = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}
ROLLOUT = [
    {"role": "assistant", "content": "let me add", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "1", "content": "3"},
    {"role": "assistant", "content": [{"type": "text", "text": "It is "}, {"type": "text", "text": "3."}]},
]


def test_text_and_messages_have_one_face():
    text = Chat("question", "answer")
    assert text.text == text.final == "answer"
    assert text.prompt_messages == [{"role": "user", "content": "question"}]
    assert text.completion_messages == [{"role": "assistant", "content": "answer"}]
    assert text.tool_calls == []
    rollout = Chat([{"role": "user", "content": "q"}], ROLLOUT)
    assert rollout.text == "let me add\nIt is 3."
    assert rollout.final == "It is 3."
    assert [(c.name, c.arguments) for c in rollout.tool_calls] == [("add", {"a": 1, "b": 2})]


def test_steps_are_turns_or_what_a_segmenter_finds():
    rollout = Chat("q", ROLLOUT)
    assert [(s.start, s.end, s.text) for s in rollout.steps()] == [(0, 1, "let me add"), (2, 3, "It is 3.")]
    lines = Chat("q", "one\ntwo").steps(lambda text: [(0, 3), (4, 7)])
    assert [s.text for s in lines] == ["one", "two"]


@pytest.mark.parametrize(
    ("completion", "message"),
    [
        ([], "at least one message"),
        ([{"role": "user", "content": "u"}], "at least one assistant"),
        ([{"role": "robot", "content": "u"}], r"completion\[0\].role.*'robot'"),
        ([{"content": "u"}], "role"),
        (["text"], r"completion\[0\]: expected a message"),
        ([{"role": "assistant", "content": 3}], "content"),
        (
            [{"role": "assistant", "content": b"text"}],
            "content: expected text, content parts or null, got bytes",
        ),
        (
            [{"role": "assistant", "content": ["text", 1]}],
            r"content\[1\]: expected text or a mapping, got int",
        ),
        ([{"role": "assistant", "content": [None]}], r"content\[0\].*NoneType"),
        (3, "expected text or a list of messages, got int"),
        (None, "got NoneType"),
        (b"bytes", "got bytes"),
    ],
)
def test_malformed_completions_are_refused(completion, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Chat("p", completion)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ({"function": {"name": "f", "arguments": "{broken"}}, "JSONDecodeError"),
        ({"function": {"name": "f", "arguments": "[1]"}}, "expected an object"),
        ({"function": {"name": 3}}, "name"),
        ({"function": "f"}, "function"),
        ("f", "expected a mapping"),
        ({"function": {"name": "f", "arguments": "[" * 100_000}}, "RecursionError"),
    ],
)
def test_an_unreadable_tool_call_says_why(call, error):
    found = Chat("p", [{"role": "assistant", "content": None, "tool_calls": [call]}]).tool_calls
    assert found[0].arguments is None
    assert error in found[0].error


def test_tool_call_arguments_may_be_a_mapping_or_missing():
    calls = [
        {"function": {"name": "f", "arguments": {"a": 1}}},
        {"name": "g"},
        {"function": {"name": "h", "arguments": " "}},
    ]
    found = Chat("p", [{"role": "assistant", "tool_calls": calls}]).tool_calls
    assert [(c.name, c.arguments, c.error) for c in found] == [
        ("f", {"a": 1}, None),
        ("g", {}, None),
        ("h", {}, None),
    ]


def test_an_episode_is_built_from_a_loop_and_goes_to_minari_and_back():
    steps = [(0, [1.0], 0.5, False, False, {"x": 1}), (1, [2.0], 1.5, False, True, {})]
    episode = Episode.from_transitions([0.0], steps, group="g")
    assert len(episode) == 2
    assert episode.rewards.tolist() == [0.5, 1.5]
    assert (episode.terminated, episode.truncated) == (False, True)
    assert episode.infos["x"] == [1, None]

    class Stored:
        pass

    stored = Stored()
    vars(stored).update(episode.to_minari())
    again = Episode.from_minari(stored)
    np.testing.assert_array_equal(again.observations, episode.observations)
    assert (again.terminated, again.truncated) == (False, True)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"observations": np.zeros(2)}, r"T\+1 = 3 rows"),
        ({"actions": np.zeros(3)}, "2 rows"),
        ({"rewards": np.zeros((2, 1))}, r"shape \(T,\)"),
        ({"terminated": True, "truncated": True}, "one way"),
    ],
)
def test_an_episode_whose_lengths_do_not_fit_is_refused(fields, message):
    good = {"observations": np.zeros(3), "actions": np.zeros(2), "rewards": np.zeros(2)}
    with pytest.raises(ValueError, match=message):
        Episode(**{**good, **fields})


def test_media_needs_a_medium():
    assert len(Media("p", frames=np.zeros((3, 2, 2, 3))).steps()) == 3
    with pytest.raises(ValueError, match="one of image, frames or audio"):
        Media("p")


def test_groups_are_numbered_in_order_and_episodes_stand_alone():
    episode = Episode(np.zeros(1), np.zeros(0), np.zeros(0))
    samples = [
        Chat("p", "a", group="z"),
        Chat("p", "b"),
        Chat("p", "c"),
        Chat("q", "d", group="z"),
        episode,
        episode,
    ]
    assert group_codes(samples).tolist() == [0, 1, 1, 0, 2, 3]
    assert group_codes([]).tolist() == []
