"""Trees of steps, and compression of steps into coarser ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.models.step_tree import StepTree, compress_node, compress_randomly
from guerdon.models.tree_labels import soft_labels

NESTED = {
    "text": "problem",
    "children": [
        {"text": "a", "children": [{"text": "c", "correct": True}, {"text": "d", "correct": False}]},
        {"text": "b"},
    ],
}


@st.composite
def trees(draw):
    n = draw(st.integers(1, 25))
    parents = [None, *(draw(st.integers(0, i - 1)) for i in range(1, n))]
    inner = set(parents)
    correct = [None if i in inner else draw(st.sampled_from([True, False, None])) for i in range(n)]
    return StepTree([f"<{i}>" for i in range(n)], parents, correct)


def test_nested_objects_are_numbered_breadth_first():
    tree = StepTree.from_nested(NESTED)
    assert tree.texts == ["problem", "a", "b", "c", "d"]
    assert tree.parents == [None, 0, 0, 1, 1]
    assert tree.correct == [None, None, None, True, False]
    assert tree.steps(4) == ("a", "d")
    assert tree.steps(0) == ()


def test_nested_objects_may_be_very_deep():
    root = node = {"text": "0"}
    for depth in range(1, 5000):
        child = {"text": str(depth)}
        node["children"] = [child]
        node = child
    assert len(StepTree.from_nested(root).path(4999)) == 4999


@pytest.mark.parametrize(
    ("root", "said"),
    [
        ({}, "node 0: expected an object with a text under 'text'"),
        ("problem", "node 0: expected an object"),
        ({"text": "p", "children": [{"text": 3}]}, "node 1: expected an object"),
        ({"text": "p", "children": "ab"}, "node 0: children: expected a list"),
        ({"text": "p", "children": None}, "node 0: children: expected a list"),
        ({"text": "p", "correct": 1}, "node 0: correct: expected true, false or null, got 1"),
        ({"text": "p", "correct": True, "children": [{"text": "s"}]}, r"correct\[0\]: expected None"),
    ],
)
def test_what_is_no_tree_is_refused(root, said):
    with pytest.raises(ValueError, match=said):
        StepTree.from_nested(root)


def test_every_node_has_a_text():
    with pytest.raises(ValueError, match="texts: expected 2, one a node, got 1"):
        StepTree(["p"], [None, 0], [None, None])


def test_a_compressed_step_leaves_its_parent_and_stands_beside_it():
    tree = compress_node(StepTree.from_nested(NESTED), 3)
    assert tree.steps(3) == ("a\nc",)
    assert tree.steps(4) == ("a", "d")
    assert soft_labels(tree.parents, tree.correct).tolist() == pytest.approx([1 / 3, 0, 0, 1, 0])


def test_a_parent_left_without_children_is_a_wrong_leaf():
    chain = StepTree(["p", "a", "b"], [None, 0, 1], [None, None, True])
    tree = compress_node(chain, 2)
    assert soft_labels(tree.parents, tree.correct).tolist() == [0.5, 0.0, 1.0]


@given(trees(), st.integers(0, 24))
def test_compression_keeps_what_is_written_on_the_way_to_every_node(tree, node):
    node %= len(tree)
    if len(tree.path(node)) < 2:
        with pytest.raises(ValueError, match="node: expected one with a step before it"):
            compress_node(tree, node)
        return
    found = compress_node(tree, node, separator="")
    assert ["".join(found.steps(i)) for i in range(len(tree))] == [
        "".join(tree.steps(i)) for i in range(len(tree))
    ]
    assert len(found.path(node)) == len(tree.path(node)) - 1


@pytest.mark.parametrize("node", [-1, 5])
def test_there_must_be_such_a_node(node):
    with pytest.raises(IndexError, match=r"node: expected one in \[0, 5\)"):
        compress_node(StepTree.from_nested(NESTED), node)


@given(trees(), st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_random_compression_moves_at_most_one_child_of_a_crowded_step_that_stayed(tree, seed, least):
    found = compress_randomly(tree, np.random.default_rng(seed), least_children=least, separator="")
    moved = [i for i in range(len(tree)) if found.parents[i] != tree.parents[i]]
    parents = [tree.parents[i] for i in moved]
    assert len(set(parents)) == len(parents)
    assert not set(parents) & {0, *moved}
    assert all(list(tree.parents).count(parent) >= least for parent in parents)
    assert ["".join(found.steps(i)) for i in range(len(tree))] == [
        "".join(tree.steps(i)) for i in range(len(tree))
    ]


def test_random_compression_takes_children_in_order_with_a_probability():
    tree = StepTree(list("pabcde"), [None, 0, 1, 1, 1, 1], [None] * 6)
    generator = np.random.default_rng(0)
    assert compress_randomly(tree, generator, probability=1.0).texts[2] == "a\nb"
    assert compress_randomly(tree, generator, probability=0.0) == tree
    assert compress_randomly(tree, generator, probability=1.0, least_children=5) == tree
    firsts = [compress_randomly(tree, generator).parents.count(0) for _ in range(400)]
    assert np.mean(firsts) - 1 == pytest.approx(1 - 0.5**4, abs=0.05)
    with pytest.raises(ValueError, match="probability: expected"):
        compress_randomly(tree, generator, probability=1.5)
