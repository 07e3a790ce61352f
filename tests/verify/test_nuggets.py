"""Rewards over nuggets: the answer's weighted recall, and the four parts of the verifier's own reward."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.registry import create
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal, Status
from guerdon.verify.nugget_labels import LABELS, Label
from guerdon.verify.nuggets import label_f1, nugget_recall

GOLD = ["support", "not_support"]
RIGHT = '<reasoning>seen</reasoning>["support", "not_support"]'
LABEL_LISTS = st.lists(st.sampled_from(LABELS), min_size=1, max_size=8)


def scored(completion: str, reference: Any = GOLD, layout: Any = "json", **arguments: Any) -> Signal:
    reward = create("nugget_labels", arguments=arguments)
    return reward([Chat("q", completion, reference, extra={"prompt_format_hint": layout})])


# -- the verifier's reward -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("completion", "outcome"),
    [
        (RIGHT, 1.0),
        (RIGHT.replace("seen", " "), 0.9),
        (RIGHT.replace("<reasoning>seen</reasoning>", ""), 0.8),
        (RIGHT.replace("</reasoning>", "</reasoning></reasoning>"), 0.8),
        ("<reasoning>seen</reasoning>support,not_support", 0.9),
        (RIGHT.replace("not_", "partial_"), 0.35 / 3 + 0.3),
        (RIGHT.replace("seen", "<reasoning>"), 0.0),
        (RIGHT.replace("support", "supports"), 0.0),
        (RIGHT.replace("</reasoning>", ""), 0.0),
        ("</reasoning>\n<reasoning>\nsupport\nnot_support", 0.7),
        ("", 0.0),
    ],
)
def test_outcome(completion: str, outcome: float) -> None:
    assert scored(completion).outcome[0] == pytest.approx(outcome)


def test_parts_add_up_and_a_zero_says_why() -> None:
    signal = scored("support,not_support")
    parts = {name: part.outcome[0] for name, part in signal.parts.items()}
    assert parts == {"f1": 1.0, "exact": 1.0, "reasoning": 0.0, "layout": 0.0}
    assert scored('["support"]').notes == {0: "found 1 labels for 2 nuggets"}
    assert scored("<reasoning><reasoning>" + str(GOLD)).notes == {
        0: "<reasoning> opens 2 times, expected one block"
    }
    none_right = scored("support,partial_support,not_support", ["partial_support", "not_support", "support"])
    assert none_right.notes == {0: "no label is right"}
    assert none_right.outcome[0] == 0


def test_all_wrong_is_paid_unless_only_present_classes_count() -> None:
    wrong = '<reasoning>seen</reasoning>["support", "support"]'
    assert scored(wrong, ["not_support"] * 2).outcome[0] == pytest.approx(0.35 / 3 + 0.3)
    assert scored(wrong, ["not_support"] * 2, present_only=True).outcome[0] == 0


def test_the_reference_may_be_text_of_any_layout() -> None:
    assert scored(RIGHT, "1. support\n2. not_support").outcome[0] == pytest.approx(1)


@pytest.mark.parametrize("reference", [None, "", "supported", [], ["support", 1], 3, {"labels": GOLD}])
def test_unusable_references_abstain(reference: Any) -> None:
    signal = scored(RIGHT, reference)
    assert signal.status[0] == Status.ABSTAINED
    assert "reference" in signal.reasons[0]


@pytest.mark.parametrize("layout", [None, "", "docx", ["json"]])
def test_unknown_layouts_abstain(layout: Any) -> None:
    signal = scored(RIGHT, layout=layout)
    assert signal.status[0] == Status.ABSTAINED
    assert "prompt_format_hint" in signal.reasons[0]


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="layout_key"):
        create("nugget_labels", arguments={"layout_key": ""})
    with pytest.raises(TypeError, match="present_only"):
        create("nugget_labels", arguments={"present_only": 1})


# -- F1 ------------------------------------------------------------------------------------------------------


@given(LABEL_LISTS, st.randoms())
def test_f1_is_symmetric_and_one_only_for_equal_labels(gold: list[Label], random: Any) -> None:
    predicted = [random.choice(LABELS) for _ in gold]
    for present_only in (False, True):
        f1 = label_f1(predicted, gold, present_only=present_only)
        assert f1 == label_f1(gold, predicted, present_only=present_only)
        assert 0 <= f1 <= 1
        assert (f1 == 1) == (predicted == gold)


def test_f1_is_the_mean_over_classes() -> None:
    predicted, gold = ["support", "partial_support", "not_support"], ["support", "support", "not_support"]
    assert label_f1(predicted, gold) == pytest.approx((2 / 3 + 0 + 1) / 3)
    with pytest.raises(ValueError, match="equal lengths, got 1 and 2"):
        label_f1(["support"], GOLD)


# -- the policy's reward -------------------------------------------------------------------------------------


def test_recall_weighs_nuggets_and_takes_the_best_block() -> None:
    blocks = [["support", "not_support", "not_support"], ["not_support", "partial_support", "not_support"]]
    assert nugget_recall(blocks, [1, 2, 1]) == pytest.approx((1 + 2 * 0.5) / 4)
    assert nugget_recall(blocks, [1, 2, 1], partial=0) == pytest.approx(1 / 4)
    assert nugget_recall(blocks, [0, 0, 0]) == 0


@given(LABEL_LISTS, st.floats(0.1, 10))
def test_recall_is_bounded_and_ignores_the_scale_of_weights(labels: list[Label], scale: float) -> None:
    weights = [1.0 + i for i in range(len(labels))]
    recall = nugget_recall([labels], weights)
    assert 0 <= recall <= 1
    assert nugget_recall([labels], [w * scale for w in weights]) == pytest.approx(recall)
    assert nugget_recall([labels, ["support"] * len(labels)], weights) == pytest.approx(1)


@pytest.mark.parametrize(
    ("labels", "weights", "partial", "named"),
    [
        ([], [1], 0.5, "at least one block"),
        ([["support"]], [1, 1], 0.5, r"labels\[0\]"),
        ([["support"], ["yes"]], [1], 0.5, r"labels\[1\].*'yes'"),
        ([["support"]], [-1], 0.5, "weights"),
        ([["support"]], [math.nan], 0.5, "weights"),
        ([["support"]], 1, 0.5, "weights"),
        ([["support"]], [1], 2, "partial"),
        ([["support"]], [1], math.nan, "partial"),
    ],
)
def test_recall_names_what_is_wrong(labels: Any, weights: Any, partial: float, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        nugget_recall(labels, weights, partial=partial)
