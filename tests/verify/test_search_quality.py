"""Quality of search queries: novelty of what they retrieve, and a judge's verdicts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.recipe import load_reward
from guerdon.core.registry import create
from guerdon.core.samples import Chat
from guerdon.core.signal import Status
from guerdon.verify.search_quality import SearchQuality, novel_rounds, repeated_documents


def scored(extra: dict[str, object], **options: object):
    return create("search_quality", arguments={"threshold": 1, **options})([Chat("", "x", extra=extra)])


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [
        ([], []),
        ([[]], [0]),
        ([["a", "a"], ["b", "b"]], [0, 0]),
        ([["a"], ["a", "a", "b"]], [0, 2]),
        ([["a"], ["b"], [], ["b", "a", "c"]], [0, 0, 0, 2]),
        ([[1], ["1"], [1]], [0, 0, 1]),
    ],
)
def test_repeated_documents(rounds: list[list[object]], expected: list[int]) -> None:
    assert repeated_documents(rounds) == expected


@given(st.lists(st.lists(st.integers(0, 5), max_size=5), max_size=6), st.integers(0, 5))
def test_novelty_follows_its_definition(rounds: list[list[int]], threshold: int) -> None:
    for t, (documents, novel) in enumerate(zip(rounds, novel_rounds(rounds, threshold), strict=True)):
        before = [d for earlier in rounds[:t] for d in earlier]
        assert novel == (sum(d in before for d in documents) <= threshold)


def test_a_negative_threshold_is_refused() -> None:
    for make in (lambda: novel_rounds([["a"]], -1), lambda: SearchQuality(-1)):
        with pytest.raises(ValueError, match="threshold: expected at least 0, got -1"):
            make()


@pytest.mark.parametrize(
    ("rounds", "useful", "expected", "bad"),
    [
        ([["a", "b"], ["a", "b"]], [1, 1], -0.5, 1),
        ([["a", "b"], ["a", "c"]], [1, 1], 0.0, 0),
        ([["a", "b"], ["a", "b"]], [0, 1], -1.0, 2),
        ([["a", "b"], ["a", "b"]], [True, None], 0.0, 0),
        ([["a"], ["b"], ["c"]], [0, None, 1], -0.5, 1),
        ([["a"]], [None], 0.0, 0),
        ([], [], 0.0, 0),
    ],
)
def test_the_reward(rounds: list[list[str]], useful: list[object], expected: float, bad: int) -> None:
    signal = scored({"retrieved": rounds, "verdicts": useful}, useful="verdicts")
    assert signal.outcome[0] == pytest.approx(expected)
    assert signal.parts["low_quality"].outcome[0] == bad


def test_without_verdicts_novelty_decides() -> None:
    assert scored({"retrieved": [["a", "b"], ["b", "a"]]}).outcome[0] == -0.5


@pytest.mark.parametrize(
    ("extra", "status", "reason"),
    [
        ({}, Status.ABSTAINED, "extra['retrieved']: missing"),
        ({"retrieved": [["a"]]}, Status.ABSTAINED, "extra['verdicts']: missing"),
        ({"retrieved": "a", "verdicts": [1]}, Status.FAILED, "expected a list, got str"),
        (
            {"retrieved": ["a"], "verdicts": [1]},
            Status.FAILED,
            "extra['retrieved'][0]: expected a list of ids",
        ),
        ({"retrieved": [["a"]], "verdicts": []}, Status.FAILED, "expected 1 verdicts 0, 1 or None"),
        ({"retrieved": [["a"]], "verdicts": [0.5]}, Status.FAILED, "expected 1 verdicts 0, 1 or None"),
        ({"retrieved": [[{"id": 1}]], "verdicts": [1]}, Status.FAILED, "unhashable"),
    ],
)
def test_what_does_not_fit_has_a_reason(extra: dict[str, object], status: Status, reason: str) -> None:
    signal = scored(extra, useful="verdicts")
    assert signal.status[0] == status
    assert reason in signal.reasons[0]


def test_the_recipe_adds_it_to_the_answer() -> None:
    reward = load_reward("smartsearch")
    extra = {"retrieved": [["a", "b", "c"], ["a", "b", "c"]]}
    chats = [
        Chat("q", "<answer>Paris</answer>", reference="Paris", extra=extra),
        Chat("q", "<answer>Paris</answer>", reference="Paris"),
    ]
    assert reward(chats).outcome.tolist() == pytest.approx([0.9, 1.0])
