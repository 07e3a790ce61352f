"""Labels in every layout, in what order readings are tried, and text that is none of them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.verify.nugget_labels import LABELS, LAYOUTS, Label, has_layout, label_text, parse_labels

WRITERS = {
    "json": json.dumps,
    "csv": ",".join,
    "python_list": repr,
    "yaml": lambda labels: "\n".join(f"- {label}" for label in labels),
    "markdown": lambda labels: "\n".join(f"* {label}" for label in labels),
    "xml": lambda labels: f"<labels>\n{''.join(f'<label> {label}</label>' for label in labels)}\n</labels>",
    "tsv": "\t".join,
    "numbered": lambda labels: "\n".join(f"  {i + 1}. {label}" for i, label in enumerate(labels)),
    "comma_separated": ", ".join,
    "pipe_separated": "|".join,
}


@given(st.lists(st.sampled_from(LABELS), min_size=2, max_size=10))
def test_labels_in_every_layout_are_read_back(labels: list[Label]) -> None:
    assert set(WRITERS) == set(LAYOUTS)
    for layout, write in WRITERS.items():
        text = write(labels)
        assert parse_labels(f"\n{text} ") == labels, layout
        assert has_layout(f"\n{text} ", layout), layout


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("", []),
        ("support", ["support"]),
        ("Support", []),
        ('{"labels": ["support", 1, null]}', ["support"]),
        ('{"label": ["support"]}', []),
        ('"support"', []),
        ("[support, not_support]", []),
        ("['support', open('x')]", []),
        ("('support',)", []),
        ("support, not_support\nsupport", ["support"]),
        ("x, y\n1. support", []),
        ("support, not_support\tx", ["support"]),
        ("<label>support</label>, not_support", ["support"]),
        ("<label>support", []),
        ("support|not support", ["support"]),
        ("1. support\n2. supported", ["support"]),
        ("fine: support", []),
    ],
)
def test_the_first_reading_that_applies_decides(text: str, labels: list[str]) -> None:
    assert parse_labels(text) == labels


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("[1", "json"),
        ("3", "json"),
        ('{"labels": "support"}', "json"),
        ("[a,b]", "csv"),
        ("support", "csv"),
        ("a,b", "comma_separated"),
        ("- support\nsupport", "yaml"),
        ("-support", "yaml"),
        ("", "markdown"),
        ("1.support", "numbered"),
        ("<labels></labels>", "xml"),
        ("support", "unknown"),
    ],
)
def test_not_that_layout(text: str, layout: str) -> None:
    assert not has_layout(text, layout)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        (" a ", "a"),
        ("<reasoning>x</reasoning> a", "a"),
        ("<reasoning>x</reasoning>a</reasoning>b", "b"),
        ("<reasoning>a", "<reasoning>a"),
        ("x</reasoning>a", "x</reasoning>a"),
    ],
)
def test_where_the_labels_stand(text: str, labels: str) -> None:
    assert label_text(text) == labels


@given(st.text(max_size=60))
def test_any_text_gives_labels_only(text: str) -> None:
    assert set(parse_labels(text)) <= set(LABELS)


@pytest.mark.parametrize("piece", ["[", "{", "<label>", "1", ",", "- ", "\n", "\\", "'", "\ud800"])
def test_a_megabyte_of_anything_is_read(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    assert parse_labels(text) == []
    assert parse_labels(f"[{text}]") == []
