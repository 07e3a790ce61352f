"""Matching the calls of a trajectory with expected ones: each matching, each divisor, and calls that can't be read."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon import Chat
from guerdon.core.registry import create
from guerdon.core.signal import Status
from guerdon.verify import (
    call_similarity,
    greedy_assignment,
    matched_share,
    multiset_jaccard,
    optimal_assignment,
    ordered_assignment,
)
from guerdon.verify.rouge import longest_common_subsequence


def call(name, **parameters):
    return {"name": name, "parameters": parameters}


A, B, C = call("a", x=1), call("b", x=1), call("c", x=1)
calls = st.lists(st.builds(call, st.sampled_from("ab"), x=st.integers(0, 1), y=st.integers(0, 2)), max_size=5)


def partial(g, p):
    return call_similarity(g, p, "partial")


def test_similarity_of_two_calls():
    wanted, given = call("a", x=1, y="s"), call("a", x=1.0, z=2)
    assert [call_similarity(wanted, given, how) for how in ("exact", "ignore")] == [0, 1]
    assert partial(wanted, given) == (1 + 1) / (1 + 3)
    assert partial(wanted, wanted) == call_similarity(wanted, wanted, "exact") == 1
    assert partial(call("a"), call("a")) == 1
    assert partial(wanted, call("b", x=1, y="s")) == 0
    assert call_similarity(call("a", x=1), call("a", x=True), "exact") == 0


@pytest.mark.parametrize(
    ("divide_by", "share"),
    [("mean", 4 / 5), ("union", 2 / 3), ("gold", 2 / 3), ("predicted", 1), ("longer", 2 / 3), ("shorter", 1)],
)
def test_divisors(divide_by, share):
    assert matched_share([A, B, C], [C, A], divide_by=divide_by) == pytest.approx(share)
    assert matched_share([A, B, C], [B, B], divide_by=divide_by) <= 0.5


@pytest.mark.parametrize("divide_by", ["mean", "union", "gold", "predicted", "longer", "shorter"])
@pytest.mark.parametrize("matching", ["optimal", "greedy", "ordered"])
def test_empty_lists_are_alike_and_unlike_all_others(matching, divide_by):
    options = {"matching": matching, "divide_by": divide_by}
    assert matched_share([], [], **options) == 1
    assert matched_share([A], [], **options) == matched_share([], [A], **options) == 0


def test_order_counts_only_where_it_is_asked_for():
    assert matched_share([A, B, C], [C, A, B]) == 1
    assert matched_share([A, B, C], [C, A, B], matching="ordered") == pytest.approx(2 / 3)


def test_greedy_may_take_what_a_later_call_needed():
    gold = [call("a", x=1, y=1), call("a", x=1, y=2)]
    predicted = [call("a", x=1, y=2), call("a", x=5, y=1)]
    assert greedy_assignment(gold, predicted, partial) == pytest.approx(2 / 3 + 1 / 3)
    assert optimal_assignment(gold, predicted, partial) == pytest.approx(2 / 3 + 1)


@settings(max_examples=60, deadline=None)
@given(calls, calls)
def test_optimal_is_the_best_of_all_pairings(gold, predicted):
    few, many = sorted((gold, predicted), key=len)
    best = max(sum(map(partial, few, chosen)) for chosen in itertools.permutations(many, len(few)))
    assert optimal_assignment(gold, predicted, partial) == pytest.approx(best)
    assert greedy_assignment(gold, predicted, partial) <= best + 1e-9
    assert ordered_assignment(gold, predicted, partial) <= best + 1e-9


@settings(max_examples=60, deadline=None)
@given(calls, calls)
def test_exact_calls_are_multisets_or_sequences(gold, predicted):
    left, right = [[str(each) for each in side] for side in (gold, predicted)]
    for matching in ("optimal", "greedy"):
        share = matched_share(gold, predicted, matching=matching, divide_by="union")
        assert share == pytest.approx(multiset_jaccard(left, right))
    shared = (Counter(left) & Counter(right)).total()
    assert matched_share(gold, predicted) * (len(gold) + len(predicted)) == pytest.approx(
        2 * shared if gold and predicted else 0
    )
    if gold and predicted:
        longest = longest_common_subsequence(left, right)
        share = matched_share(gold, predicted, matching="ordered", divide_by="longer")
        assert share == pytest.approx(longest / max(len(gold), len(predicted)))


@settings(max_examples=60, deadline=None)
@given(
    calls,
    calls,
    st.sampled_from(["optimal", "greedy", "ordered"]),
    st.sampled_from(["exact", "partial", "ignore"]),
)
def test_a_share_is_in_the_unit_interval_and_1_for_itself(gold, predicted, matching, arguments):
    options = {"matching": matching, "arguments": arguments}
    for divide_by in ("mean", "union", "gold", "predicted", "longer", "shorter"):
        assert 0 <= matched_share(gold, predicted, divide_by=divide_by, **options) <= 1 + 1e-9
    assert matched_share(gold, gold, **options) == pytest.approx(1)


def test_too_many_pairs_are_refused():
    with pytest.raises(ValueError, match="1001 and 1000 calls are more than"):
        matched_share([A] * 1001, [A] * 1000)


# -- the reward ---------------------------------------------------------------------------------------------------


def asks(*made):
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"type": "function", "function": {"name": n, "arguments": a}} for n, a in made],
    }


def scored(completion, reference, **options):
    return create("call_match", arguments=options)([Chat("q", completion, reference=reference)])


def test_calls_of_all_turns_count():
    turns = [asks(("a", '{"x": 1}')), {"role": "tool", "content": "ok"}, asks(("b", {"x": 2}))]
    assert scored(turns, [A, B]).outcome[0] == 0.5
    assert scored(turns, [A, B], arguments="partial").outcome[0] == pytest.approx((1 + 1 / 2) / 2)
    assert scored(turns, [A, B], arguments="ignore").outcome[0] == 1
    assert scored(turns, [{"name": "a", "arguments": {"x": 1}}], divide_by="gold").outcome[0] == 1


def test_any_of_several_references_is_right():
    turns = [asks(("a", {"x": 1}))]
    assert scored(turns, [[B, C], [A]]).outcome[0] == 1
    assert scored(turns, [[B], [C]]).outcome[0] == 0


def test_no_call_is_right_where_none_is_expected():
    assert scored("no tool is needed", []).outcome[0] == 1
    assert scored([asks(("a", {}))], []).outcome[0] == 0


def test_a_call_that_can_not_be_read_is_a_call():
    signal = scored([asks(("a", '{"x": 1}'), ("a", "{broken"))], [A])
    assert signal.outcome[0] == pytest.approx(2 / 3)
    assert (signal.parts["calls"].outcome[0], signal.parts["unreadable"].outcome[0]) == (2, 1)
    assert scored([asks(("a", "{broken"))], [A], arguments="ignore").outcome[0] == 0


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ('<tool_call>{"name": "a", "arguments": {"x": 1}}</tool_call> and <tool_call>\n[]\n</tool_call>', 1),
        (
            '<tool_call>[{"name": "a", "parameters": {"x": 1}}, {"name": "b", "arguments": {}}]</tool_call>',
            2 / 3,
        ),
        ("<tool_call>" + "[" * 100_000 + "</tool_call>", 0),
        ('<tool_call>{"name": 3}</tool_call><tool_call>7</tool_call>', 0),
        ("\ud800" * 1000, 0),
        ("", 0),
    ],
)
def test_calls_in_tags(text, share):
    signal = scored(text, [A], tag="tool_call")
    assert signal.status[0] == Status.OK
    assert signal.outcome[0] == pytest.approx(share)


@pytest.mark.parametrize(
    "reference", [None, "a", 7, {"name": "a"}, ["a"], [{"name": 1}], [[A], "b"], [[A], [{}]]]
)
def test_unusable_references_abstain(reference):
    signal = scored([asks(("a", {}))], reference)
    assert signal.status[0] == Status.ABSTAINED
    assert signal.reasons[0].startswith("reference: ")


@pytest.mark.parametrize(
    "options", [{"matching": "multiset"}, {"arguments": "none"}, {"divide_by": "sum"}, {"tag": ""}]
)
def test_wrong_options_are_named(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}: expected"):
        create("call_match", arguments=options)
