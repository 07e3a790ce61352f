"""Tree search over steps: its arithmetic, and that it finds more than search without a value."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.steer import (
    Budget,
    Node,
    Proposal,
    TreeSearch,
    back_propagate,
    distance_values,
    rollout_update,
    uct_scores,
    weighted_vote,
)

TARGET, LONGEST = (3, 1, 4, 1, 5), 5
SHORT = TreeSearch(iterations=12, branch=2, rollout_steps=1)


def digits(prefixes, width, rng):
    """A policy that knows nothing: different digits from 0 to 5, at random."""
    return [
        [Proposal(x, 1, len(steps) + 1 == LONGEST) for x in rng.permutation(6)[:width].tolist()]
        for steps in prefixes
    ]


def right_so_far(prefixes):
    """The share of the target that is right before the first wrong digit."""
    return [
        len(list(itertools.takewhile(bool, map(int.__eq__, steps, TARGET)))) / LONGEST for steps in prefixes
    ]


def noise(prefixes):
    return [np.random.default_rng(steps).random() * 0.89 for steps in prefixes]


def solved(search, evaluate, seed, **options):
    tree = search(digits, evaluate, seed=seed, **options)
    return tree.nodes[tree.answer].steps == TARGET


def test_the_unvisited_child_has_a_bonus_instead_of_a_bound():
    np.testing.assert_allclose(
        uct_scores([0.5, 0.7, 0.1], [4, 6, 0], 10, exploration=0.4, unvisited=0.8),
        [
            0.5 + 0.4 * math.sqrt(2 * math.log(10) / 4),
            0.7 + 0.4 * math.sqrt(2 * math.log(10) / 6),
            0.1 + 0.8,
        ],
    )
    np.testing.assert_array_equal(uct_scores([0.5], [1], 1), [0.5])
    np.testing.assert_array_equal(uct_scores([0.2, 0.3], [0, 0], 0, unvisited=0.5), [0.7, 0.8])


@given(st.lists(st.integers(1, 50), min_size=2, max_size=5), st.floats(0, 2))
def test_of_equal_values_the_least_visited_comes_first(visits, exploration):
    scores = uct_scores([0.5] * len(visits), visits, sum(visits), exploration=exploration)
    assert scores[int(np.argmin(visits))] == scores.max()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (([0.5], [1, 2], 3), "visits: expected 1"),
        (([0.5], [-1], 3), "visits: expected 1"),
        (([0.5], [0.5], 3), "visits: expected 1"),
        (([0.5], [1], 0), "parent_visits: expected an integer of at least 1"),
        (([0.5], [0], 2.0), "parent_visits: expected"),
        ((["a"], [1], 1), "values: expected"),
    ],
)
def test_visits_that_cannot_be_are_refused(arguments, expected):
    with pytest.raises(ValueError, match=expected):
        uct_scores(*arguments)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 5)), min_size=1, max_size=5), st.data())
def test_a_parent_has_the_mean_of_its_children_by_visits(children, data):
    nodes = [Node((), 0.25, 7)]
    for value, visits in children:
        nodes[0].children.append(len(nodes))
        nodes.append(Node((len(nodes),), value, visits, parent=0))
    visited = data.draw(st.integers(1, len(children)))
    back_propagate(nodes, visited)
    counts = [visits + (i == visited) for i, (_, visits) in enumerate(children, start=1)]
    assert [node.visits for node in nodes] == [8, *counts]
    assert [node.value for node in nodes[1:]] == [value for value, _ in children]
    expected = np.average([value for value, _ in children], weights=counts)
    assert nodes[0].value == pytest.approx(expected)


def test_an_expanded_node_without_visited_children_keeps_its_value():
    nodes = [Node((), 0.25, 0, children=[1]), Node(("a",), 0.9, 0, parent=0)]
    back_propagate(nodes, 0)
    assert (nodes[0].value, nodes[0].visits, nodes[1].visits) == (0.25, 1, 0)


def test_a_rollout_moves_a_value_by_its_weight():
    assert rollout_update(0.4, 0.9) == pytest.approx(0.65)
    assert rollout_update(0.4, 0.9, 0.0) == 0.4
    with pytest.raises(ValueError, match="weight: expected"):
        rollout_update(0.4, 0.9, 1.5)
    with pytest.raises(ValueError, match="best: expected"):
        rollout_update(0.4, math.nan)


@given(st.integers(1, 12))
def test_a_right_chain_rises_evenly_to_one(steps):
    values = distance_values(np.arange(steps)[::-1], np.zeros(steps))
    np.testing.assert_allclose(values, np.arange(1, steps + 1) / steps)


@given(st.lists(st.tuples(st.integers(0, 6), st.floats(0, 1)), max_size=8))
def test_a_step_is_worth_at_most_what_was_missing(chain):
    m, e = [pair[0] for pair in chain], [pair[1] for pair in chain]
    values = distance_values(m, e)
    before = np.concatenate([[0.0], values])[: len(chain)]
    assert ((values >= 0) & (values <= 1 + 1e-12)).all()
    assert (np.abs(values - before) <= 1 - before + 1e-12).all()


@pytest.mark.parametrize(
    ("m", "e", "expected"),
    [
        ([-1], [0], "distances: expected finite"),
        ([math.nan], [0], "distances: expected finite"),
        ([1], [], "errors: expected 1"),
        ([1], [1.5], "errors: expected 1"),
        ([1], [math.nan], "errors: expected 1"),
    ],
)
def test_distances_that_cannot_be_are_refused(m, e, expected):
    with pytest.raises(ValueError, match=expected):
        distance_values(m, e)


@given(st.integers(0, 50), st.integers(1, 3), st.booleans())
@settings(max_examples=30)
def test_a_tree_is_whole_and_its_visits_add_up(seed, leaves, collect):
    search = TreeSearch(iterations=15, branch=3, leaves=leaves, rollout_steps=2, collect=collect)
    tree = search(digits, right_so_far, seed=seed)
    for place, node in enumerate(tree.nodes):
        texts = [tree.nodes[child].steps for child in node.children]
        assert len(texts) == len(set(texts)) <= 3
        assert all(steps[:-1] == node.steps for steps in texts)
        assert all(tree.nodes[child].parent == place for child in node.children)
        # To be expanded rolls from one child, and each later visit goes on to one: only a rollout to it is left over.
        if node.children:
            rollouts = node.visits - sum(tree.nodes[child].visits for child in node.children)
            assert rollouts in ((0,) if place == 0 else (0, 1))
    assert tree.spent.calls >= len(tree.nodes) - 1


@given(st.integers(0, 20))
@settings(max_examples=10)
def test_a_seed_decides_everything(seed):
    assert SHORT(digits, right_so_far, seed=seed) == SHORT(digits, right_so_far, seed=seed)


def test_one_iteration_by_hand():
    """Two steps of values 0.2 and 0.4; from the better one two steps are rolled, of values 0.9 and 0.6."""
    values = {"a": 0.2, "b": 0.4, "ba": 0.9, "baa": 0.6}

    def propose(prefixes, width, rng):
        return [[Proposal(x) for x in "ab"[:width]] for _ in prefixes]

    search = TreeSearch(iterations=1, branch=2, rollout_steps=2)
    tree = search(propose, lambda prefixes: [values["".join(steps)] for steps in prefixes])
    assert [(n.steps, n.value, n.visits, n.parent) for n in tree.nodes] == [
        ((), pytest.approx(0.65), 1, None),
        (("a",), 0.2, 0, 0),
        (("b",), pytest.approx(0.65), 1, 0),
    ]
    assert (tree.answer, tree.stopped) == (2, "iterations")
    assert tree.spent == (4, 0, 4, 0)


def test_a_value_is_asked_once_for_a_solution():
    asked = []

    def evaluate(prefixes):
        asked.extend(prefixes)
        return right_so_far(prefixes)

    tree = TreeSearch(iterations=40)(digits, evaluate, seed=1)
    assert len(asked) == len(set(asked)) == tree.spent.evaluated


def test_leaves_are_expanded_together():
    sizes = []

    def propose(prefixes, width, rng):
        sizes.append(len(set(prefixes)))
        return digits(prefixes, width, rng)

    tree = TreeSearch(iterations=6, leaves=3, rollout_steps=0)(propose, noise, seed=0)
    assert sizes == [1, 3, 3, 3, 3, 3]
    assert tree.nodes[0].visits == sum(sizes)


def test_finished_leaves_take_no_place_of_those_to_be_expanded():
    """One step of three ends a solution."""
    sizes = []

    def propose(prefixes, width, rng):
        sizes.append(len(prefixes))
        return [[Proposal("end", 1, finished=True), Proposal("on", 1), Proposal("off", 1)] for _ in prefixes]

    def evaluate(found):
        return [0.4 if steps[-1] == "end" else 0.5 for steps in found]

    tree = TreeSearch(iterations=4, leaves=4, rollout_steps=0)(propose, evaluate)
    assert sizes == [1, 2, 4, 4]
    assert any(node.visits for node in tree.nodes if node.finished)


def test_a_leaf_over_the_gate_ends_the_search_or_is_collected():
    search = TreeSearch(iterations=200, branch=6, rollout_steps=1, exploration=0.2)
    tree = search(digits, right_so_far, seed=3)
    assert tree.stopped == "gate"
    assert tree.nodes[tree.answer].steps == TARGET
    assert not tree.nodes[tree.answer].children
    collected = TreeSearch(iterations=200, branch=6, rollout_steps=1, collect=True)(
        digits, right_so_far, seed=3
    )
    assert collected.stopped == "iterations"
    finished = [node for node in collected.nodes if node.finished]
    assert {LONGEST} == {len(node.steps) for node in finished}
    vote = weighted_vote(
        [node.steps for node in finished], [node.value for node in finished], weighting="identity"
    )
    assert vote.answer == TARGET


def test_a_dead_end_is_not_asked_again():
    asked = []

    def propose(prefixes, width, rng):
        asked.extend(prefixes)
        return [[Proposal("a"), Proposal("b")] if not steps else [] for steps in prefixes]

    tree = TreeSearch(iterations=30, branch=2, rollout_steps=0)(propose, lambda p: [0.5] * len(p))
    assert sorted(asked) == [(), ("a",), ("b",)]
    assert tree.nodes[0].visits == 30


def test_a_step_without_value_has_no_node():
    def evaluate(prefixes):
        return [math.nan if 2 in steps else 0.1 * len(steps) for steps in prefixes]

    tree = TreeSearch(iterations=20)(digits, evaluate, seed=0)
    assert tree.spent.without_value
    assert not any(2 in node.steps or math.isnan(node.value) for node in tree.nodes)


def test_a_policy_without_a_word_leaves_the_empty_solution():
    tree = TreeSearch(iterations=3)(lambda prefixes, *_: [[] for _ in prefixes], right_so_far)
    assert (len(tree.nodes), tree.answer, tree.nodes[0].visits) == (1, 0, 3)


@pytest.mark.parametrize("calls", [2, 3, 10, 50])
def test_calls_stay_within_the_budget(calls):
    tree = TreeSearch(iterations=100, gate=2.0)(digits, right_so_far, budget=Budget(calls=calls))
    assert tree.spent.calls <= calls
    assert tree.stopped == "budget"


def test_a_value_finds_more_than_chance_at_the_same_cost():
    """Of 7776 solutions one is right; 300 calls are 60 whole samples, too few without a value."""
    search, budget = TreeSearch(iterations=500, branch=6, rollout_steps=1, exploration=0.2), Budget(calls=300)
    guided = sum(solved(search, right_so_far, seed, budget=budget) for seed in range(20))
    blind = sum(solved(search, noise, seed, budget=budget) for seed in range(20))
    assert guided >= 14
    assert blind <= 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"branch": 0}, r"TreeSearch\.branch"),
        ({"iterations": 1.0}, r"TreeSearch\.iterations"),
        ({"leaves": True}, r"TreeSearch\.leaves"),
        ({"rollout_steps": -1}, r"TreeSearch\.rollout_steps"),
        ({"rollout_weight": 2}, r"TreeSearch\.rollout_weight"),
        ({"gate": 0}, r"TreeSearch\.gate"),
        ({"exploration": math.nan}, r"TreeSearch\.exploration"),
        ({"unvisited": -1}, r"TreeSearch\.unvisited"),
    ],
)
def test_options_are_checked(options, expected):
    with pytest.raises(ValueError, match=f"{expected}: expected"):
        TreeSearch(**options)
