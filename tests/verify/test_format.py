"""Format rewards: what counts as well-formed, and hostile text."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.registry import create
from guerdon.core.samples import Chat
from guerdon.core.signal import Status
from guerdon.verify.format import JsonSchema, Sections, TagFormat, parse_json

SCHEMA = {
    "type": "object",
    "required": ["answer"],
    "properties": {"answer": {"type": "integer"}},
    "additionalProperties": False,
}


def outcome(reward, text: str) -> float:
    signal = reward([Chat("", text)])
    assert signal.status[0] == Status.OK, signal.reasons
    return signal.outcome[0]


# -- tags ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "between", "expected"),
    [
        ("<think>a</think><answer>b</answer>", "nothing", 1),
        ("  <think>a</think><answer>b</answer>\n", "nothing", 1),
        ("<think>a</think>\n<answer>b</answer>", "nothing", 0),
        ("<think>a</think>\n<answer>b</answer>", "newline", 1),
        ("<think>a</think>\n\n<answer>b</answer>", "newline", 0),
        ("<think>a</think>\n\n <answer>b</answer>", "whitespace", 1),
        ("<think>a</think> so <answer>b</answer>", "whitespace", 0),
        ("<think>a</think> so <answer>b</answer> done", "anything", 1),
        ("<think>a</think><answer>b</answer> done", "whitespace", 0),
        ("<answer>b</answer><think>a</think>", "anything", 0),
        ("<think><answer>b</answer></think>", "anything", 0),
        ("<think>a<answer>b</think></answer>", "anything", 0),
        ("<think>a</think><answer>b", "anything", 0),
        ("<think>a</think><answer>b</answer><answer>c</answer>", "anything", 0),
        ("<think>a</think>", "anything", 0),
        ("", "anything", 0),
        ("<think></think><answer></answer>", "nothing", 1),
    ],
)
def test_tags(text: str, between: str, expected: int) -> None:
    assert outcome(TagFormat(["think", "answer"], between=between), text) == expected


def test_tags_look_at_the_last_turn_and_say_what_is_wrong() -> None:
    turns = [
        {"role": "assistant", "content": "<a>1</a>"},
        {"role": "tool", "content": "ok"},
        {"role": "assistant", "content": "no tags"},
    ]
    signal = TagFormat(["a"])([Chat("", turns)])
    assert signal.outcome[0] == 0
    assert signal.notes[0] == "<a> opens 0 and closes 0 times, expected one block"


@pytest.mark.parametrize("tags", [[], "think", ["a", "a"], [""]])
def test_tags_refuse_a_senseless_list(tags: object) -> None:
    with pytest.raises(ValueError, match="tags: expected a list of different tag names"):
        TagFormat(tags)


@given(
    st.permutations(["<a>", "</a>", "<b>", "</b>"]), st.sampled_from(["nothing", "whitespace", "anything"])
)
def test_only_one_order_of_four_tags_is_right(order: list[str], between: str) -> None:
    right = order == ["<a>", "</a>", "<b>", "</b>"]
    assert outcome(TagFormat(["a", "b"], between=between), "".join(order)) == right


# -- json_schema ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parses", "valid"),
    [
        ('{"answer": 3}', 1, 1),
        (' \n{"answer": 3}\n', 1, 1),
        ('{"answer": "3"}', 1, 0),
        ("{}", 1, 0),
        ('{"answer": 3, "more": 1}', 1, 0),
        ('The answer: {"answer": 3}', 0, 0),
        ('{"answer": 3} {"answer": 3}', 0, 0),
        ('{"answer": NaN}', 0, 0),
        ('{"answer": 3, "answer": 4}', 0, 0),
        ("{'answer': 3}", 0, 0),
        ("", 0, 0),
        ("[" * 100_000, 0, 0),
        ('{"answer": "\ud800"}', 1, 0),
    ],
)
def test_json_schema(text: str, parses: int, valid: int) -> None:
    signal = JsonSchema(SCHEMA)([Chat("", text)])
    assert signal.outcome[0] == valid
    assert (signal.parts["parses"].outcome[0], signal.parts["valid"].outcome[0]) == (parses, valid)
    assert (0 in signal.notes) == (not valid)


def test_json_in_a_tagged_block_or_a_fence() -> None:
    text = '<think>{}</think>\nHere:\n<answer>\n```json\n{"answer": 1}\n```\n</answer>'
    assert outcome(JsonSchema(SCHEMA), text) == 0
    assert outcome(JsonSchema(SCHEMA, tag="answer"), text) == 0
    assert outcome(JsonSchema(SCHEMA, fenced=True), text) == 1
    assert outcome(JsonSchema(SCHEMA, tag="answer", fenced=True), text) == 1
    assert outcome(JsonSchema(SCHEMA, tag="result"), text) == 0
    assert outcome(JsonSchema(SCHEMA, fenced=True), '```\n{"answer": 1}') == 0


def test_a_recursive_schema_meets_deep_nesting() -> None:
    schema = {"type": "array", "items": {"$ref": "#"}}
    assert outcome(JsonSchema(schema), "[" * 400 + "]" * 400) in (0, 1)
    assert outcome(JsonSchema(schema), "[[1]]") == 0


def test_a_schema_that_is_none_is_refused_at_the_door() -> None:
    with pytest.raises(ValueError, match="schema: not a JSON Schema"):
        JsonSchema({"type": "objekt"})
    with pytest.raises(ValueError, match="schema: expected JSON"):
        JsonSchema({"const": object()})


def test_json_schema_travels_to_a_worker() -> None:
    assert outcome(pickle.loads(pickle.dumps(JsonSchema(SCHEMA))), '{"answer": 3}') == 1


def test_many_fences_take_linear_time() -> None:
    assert outcome(JsonSchema(True, fenced=True), "```a\n" * 200_000) == 0


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_parse_json_reads_what_json_writes(value: object) -> None:
    assert parse_json(json.dumps(value)) == value


# -- sections ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("## Summary\nshort\n\n## Evidence\nlong", 1),
        ("**Summary:**\nshort\n**Evidence**\nlong", 1),
        ("summary:\nshort\n### EVIDENCE\nlong", 1),
        ("# Summary\nx\n# Other\ny\n# Evidence\nz", 1),
        ("# Evidence\nz\n# Summary\nx", 0),
        ("# Summary\nx\n# Summary\ny\n# Evidence\nz", 0),
        ("# Summary\n\n# Evidence\nz", 0),
        ("# Summary\nx\n# Evidence\n", 0),
        ("# Summary\nx\n```\n# Evidence\n```\nz", 0),
        ("The Summary and the Evidence", 0),
        ("", 0),
    ],
)
def test_sections(text: str, expected: int) -> None:
    assert outcome(Sections(["Summary", "Evidence"]), text) == expected


def test_sections_may_be_empty_where_allowed() -> None:
    assert outcome(Sections(["A", "B"], allow_empty=True), "# A\n# B") == 1


@pytest.mark.parametrize("headings", [[], "Summary", ["A", "a"], ["#"]])
def test_sections_refuse_senseless_headings(headings: object) -> None:
    with pytest.raises(ValueError, match="headings: expected a list of different headings"):
        Sections(headings)


def test_ten_megabytes_are_read() -> None:
    assert outcome(Sections(["A"]), "# A\n" + "word\n" * 2_000_000) == 1
    assert outcome(TagFormat(["a"]), "<a>" * 3_000_000) == 0


def test_names_are_registered() -> None:
    assert isinstance(create("tags", arguments={"tags": ["a"]}), TagFormat)
    assert isinstance(create("json_schema", arguments={"schema": True}), JsonSchema)
    assert isinstance(create("sections", arguments={"headings": ["a"]}), Sections)


BLEUBERI = "^<think>.*?</think><answer>.*?</answer>$"


@pytest.mark.parametrize(
    ("text", "dot", "dot_all"),
    [
        ("<think>a</think><answer>b</answer>", 1, 1),
        ("<think>a</think><answer>b</answer>\n", 1, 1),
        ("<think>a\nb</think><answer>c</answer>", 0, 1),
        ("<think>a</think>\n<answer>b</answer>", 0, 0),
        ("so <think>a</think><answer>b</answer>", 0, 0),
        ("", 0, 0),
        ("\ud800" * 1000, 0, 0),
    ],
)
def test_a_pattern_is_found_or_not(text, dot, dot_all):
    samples = [Chat("q", text)]
    assert create("pattern", arguments={"pattern": BLEUBERI})(samples).outcome[0] == dot
    assert create("pattern", arguments={"pattern": BLEUBERI, "dot_all": True})(samples).outcome[0] == dot_all


@pytest.mark.parametrize("pattern", ["(", None, 7])
def test_a_pattern_must_be_a_regular_expression(pattern):
    with pytest.raises(ValueError, match="pattern: expected a regular expression"):
        create("pattern", arguments={"pattern": pattern})
