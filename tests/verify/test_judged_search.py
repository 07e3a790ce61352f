"""Search agents that judge what they retrieve."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.registry import create
from guerdon.core.samples import Chat
from guerdon.core.signal import Status
from guerdon.verify.judged_search import (
    JudgedSearch,
    find_judgements,
    judged_search_score,
    similarity_judge_reward,
    substring_judge_reward,
)

USEFUL, USELESS = "Lima is the capital", "Cusco facts"


def block(information: str, judge: str = "Yes") -> str:
    return f"<search>q</search><information>{information}</information><judge>{judge}</judge>"


def total(text: str, **options: object) -> float:
    signal = JudgedSearch(**options)([Chat("", text, reference=["Lima"])])
    assert signal.status[0] == Status.OK, signal.reasons
    return signal.outcome[0]


@pytest.mark.parametrize(
    ("yes", "useful", "correct", "substring", "similarity"),
    [
        (True, True, True, 0.4, 0.1),
        (True, False, True, 0.4, 0.1),
        (True, True, False, 0.3, -0.025),
        (True, False, False, -0.6, -0.05),
        (False, False, False, 0.3, 0.02),
        (False, False, True, 0.4, 0.02),
        (False, True, True, -0.3, -0.05),
        (False, True, False, -0.3, -0.05),
    ],
)
def test_the_tables(yes: bool, useful: bool, correct: bool, substring: float, similarity: float) -> None:
    assert substring_judge_reward(yes, useful, correct) == substring
    assert similarity_judge_reward(yes, useful, correct) == pytest.approx(similarity)


def test_which_judge_speaks_of_which_information() -> None:
    text = (
        "<judge>No</judge><information>a</information><information> b </information>"
        "<judge>Maybe</judge><judge> Yes</judge><judge>yEs</judge>"
        "<information> </information><judge>No</judge><information>d</information><judge>no</judge>"
        "<information>e</information>"
    )
    assert find_judgements(text) == [(0, "a", True), (1, "b", True), (3, "d", False)]
    quoted = "<information>x <judge>Yes</judge></information><judge>No</judge>"
    assert find_judgements(quoted) == [(0, "x <judge>Yes</judge>", False)]


def test_rewards_add_up_or_are_averaged() -> None:
    text = block(USELESS, "No") + block(USEFUL) + "<answer>the Lima</answer>"
    assert total(text) == pytest.approx(1.8)
    assert total(text, aggregate="mean") == pytest.approx(1.4)
    signal = create("reseek")([Chat("", text, reference="Lima")])
    assert signal.parts["outcome"].outcome[0] == 1
    assert signal.parts["judgement"].outcome[0] == pytest.approx(0.8)


@given(st.integers(0, 30))
def test_the_mean_bounds_what_more_searches_can_earn(searches: int) -> None:
    text = block(USEFUL) * searches + "<answer>Lima</answer>"
    assert total(text) == pytest.approx(1 + 0.4 * searches)
    assert total(text, aggregate="mean") == pytest.approx(1.4 if searches else 1.0)


@pytest.mark.parametrize(
    "text", [block(USEFUL), block(USEFUL) + "<answer> </answer>", "", block(USEFUL) + "<answer>Lima"]
)
def test_nothing_without_an_answer(text: str) -> None:
    assert total(text) == 0


def test_many_answer_tags_cost_three_quarters() -> None:
    assert total("<answer>x</answer>" * 9 + "<answer>Lima</answer>") == 1
    assert total("<answer>x</answer>" * 10 + "<answer>Lima</answer>") == 0.25
    assert total("<answer>Lima</answer>" + "</answer>" * 10) == 0.25


def test_usefulness_by_any_alias_whatever_its_case() -> None:
    text = block("THE BIG APPLE.") + "<answer>Rome</answer>"
    assert judged_search_score(text, ["New York", " big apple "]).judgements == [0.3]
    assert judged_search_score(text, ["New York", " "]).judgements == [-0.6]


def test_similarities_belong_to_blocks_and_not_to_judgements() -> None:
    text = "<information></information>" + block(USELESS, "No") + "<answer>Lima</answer>"
    extra = {"similarities": [0.9, None]}
    reward = JudgedSearch("similarity")
    assert reward([Chat("", text, reference="Lima", extra=extra)]).outcome[0] == pytest.approx(1.02)
    assert judged_search_score(text, "Lima", [0.0, 0.5]).judgements == [-0.05]
    assert judged_search_score(text, "Lima", [0.0, 0.5], threshold=0.6).judgements == pytest.approx([0.02])


@pytest.mark.parametrize(
    ("extra", "status", "reason"),
    [
        ({}, Status.ABSTAINED, r"extra['similarities']: missing"),
        ({"similarities": 0.5}, Status.FAILED, "expected a list of numbers, got float"),
        ({"similarities": []}, Status.FAILED, "expected 1, one an information block, got 0"),
        ({"similarities": [float("nan")]}, Status.FAILED, "expected finite numbers"),
        ({"similarities": ["0.5"]}, Status.FAILED, "must be real number"),
    ],
)
def test_similarities_that_do_not_fit(extra: dict[str, object], status: Status, reason: str) -> None:
    text = block(USEFUL) + "<answer>Lima</answer>"
    signal = JudgedSearch("similarity")([Chat("", text, reference="Lima", extra=extra)])
    assert signal.status[0] == status
    assert reason in signal.reasons[0]


@pytest.mark.parametrize("reference", [None, 3, [], "the", ["", "."]])
def test_no_reference_abstains(reference: object) -> None:
    assert JudgedSearch()([Chat("", "x", reference=reference)]).status[0] == Status.ABSTAINED


def test_tool_results_belong_to_the_trajectory() -> None:
    turns = [
        {"role": "assistant", "content": "<search>q</search>"},
        {"role": "tool", "content": f"<information>{USEFUL}</information>"},
        {"role": "assistant", "content": "<judge>Yes</judge><answer>Lima</answer>"},
    ]
    assert JudgedSearch()([Chat("", turns, reference="Lima")]).outcome[0] == pytest.approx(1.4)


def test_hostile_trajectories() -> None:
    for text in (block("x") * 20_000, "<information>" * 500_000, "<judge>" * 1_000_000, "\ud800"):
        assert total(text + "<answer>Cusco</answer>") <= 0


@pytest.mark.parametrize(
    "options", [{"usefulness": "regex"}, {"aggregate": "max"}, {"threshold": float("nan")}]
)
def test_wrong_options_raise(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))}: expected"):
        JudgedSearch(**options)
