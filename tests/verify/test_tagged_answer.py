"""The outcome reward of multi-turn agents: F1 of the tagged answer or a penalty."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.core.registry import create
from guerdon.core.samples import Chat
from guerdon.core.signal import Status
from guerdon.verify.tagged_answer import TaggedAnswerF1, split_aliases, tag_problem


def outcome(text: object, reference: object = "Paris", **options: float) -> float:
    signal = create("igpo", arguments=options)([Chat("", text, reference=reference)])
    assert signal.status[0] == Status.OK, signal.reasons
    return signal.outcome[0]


@pytest.mark.parametrize(
    ("text", "reference", "expected"),
    [
        ("<answer>Paris</answer>", "Paris", 1.0),
        ("<ANSWER>PARIS</Answer>", "Paris", 1.0),
        ("<answer>the city of Paris</answer>", "Paris", 0.4),
        ("<answer>paris paris</answer>", "Paris", 1.0),
        ("<answer>well-known</answer>", "well known", 1.0),
        ("<answer>Rome</answer><answer>Paris</answer>", "Paris", 0.0),
        ("<answer>big apple</answer>", "New York<|answer_split|>Big Apple", 1.0),
        ("<answer>big apple</answer>", ["New York", "Big Apple"], 1.0),
        ("<answer></answer>", "Paris", 0.0),
        ("<answer>...</answer>", "Paris", 0.0),
        ("<think>x<answer>Paris</answer>", "Paris", -2.0),
        ("<think>x</think>", "Paris", -2.0),
        ("</think>x<think><answer>Paris</answer>", "Paris", -2.0),
        ("<tool_call>x<answer>Paris</answer>", "Paris", -2.0),
        ("<search>x<answer>Paris</answer>", "Paris", 1.0),
        ("", "Paris", -2.0),
    ],
)
def test_outcome(text: str, reference: object, expected: float) -> None:
    assert outcome(text, reference) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<a></a>", None),
        ("<a><a></a></a>", None),
        ("</a><a><a></a>", None),
        ("<a></a></a><a>", "<a> doesn't close behind its last opening"),
        ("<a><a></a>", "<a> opens 2 and closes 1 times"),
        ("", None),
    ],
)
def test_tag_problem(text: str, problem: str | None) -> None:
    assert tag_problem(text, ["a"]) == problem


@given(st.lists(st.sampled_from(["<a>", "</a>", "x"]), max_size=10))
def test_balance_is_that_of_a_scan_from_opening_to_closing(pieces: list[str]) -> None:
    text = "".join(pieces)
    balanced, at = text.count("<a>") == text.count("</a>"), text.find("<a>")
    while balanced and at >= 0:
        close = text.find("</a>", at)
        balanced, at = close >= 0, text.find("<a>", close)
    assert (tag_problem(text, ["a"]) is None) == balanced


def test_the_penalty_is_an_option_and_has_a_note() -> None:
    assert outcome("x", format_penalty=-0.5) == -0.5
    signal = TaggedAnswerF1()([Chat("", "x", reference="Paris")])
    assert signal.notes[0] == "there is no <answer> block"
    with pytest.raises(ValueError, match="format_penalty: expected a finite number, got nan"):
        TaggedAnswerF1(float("nan"))


def test_the_whole_rollout_is_looked_at() -> None:
    turns = [
        {"role": "assistant", "content": "<think>x"},
        {"role": "tool", "content": "found"},
        {"role": "assistant", "content": "<answer>Paris</answer>"},
    ]
    assert outcome(turns) == -2
    assert outcome([{"role": "assistant", "content": "<think>x</think>"}, *turns[1:]]) == 1


@pytest.mark.parametrize("reference", [None, 3, [], "?!", "<|answer_split|>", ["", 1]])
def test_no_reference_abstains(reference: object) -> None:
    signal = TaggedAnswerF1()([Chat("", "<answer>x</answer>", reference=reference)])
    assert signal.status[0] == Status.ABSTAINED


def test_split_aliases_leaves_lists_alone() -> None:
    assert split_aliases("A<|ANSWER_SPLIT|>b") == ["a", "b"]
    assert split_aliases(["A"]) == ["A"]
    assert split_aliases(None) is None


@settings(max_examples=40)
@given(st.text(max_size=40), st.text(max_size=10))
def test_any_text_is_scored(answer: str, reference: str) -> None:
    signal = TaggedAnswerF1()([Chat("", f"<answer>{answer}</answer>", reference=reference)])
    assert signal.status[0] == Status.ABSTAINED or -2 <= signal.outcome[0] <= 1


def test_hostile_text() -> None:
    assert outcome("<answer>" * 1_000_000) == -2
    assert outcome("<answer>\ud800</answer>") == 0
    assert outcome("<answer>" + "paris " * 1_000_000 + "</answer>") == 1
