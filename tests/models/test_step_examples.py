"""Examples of single steps and of pairs of steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.models.step_examples import StepExample, chain_examples, rated_examples, tree_examples
from guerdon.models.step_tree import StepTree


def test_the_later_step_decides_about_a_pair():
    assert chain_examples(["wrong", "repair"], [0, 1]) == [
        StepExample((), ("wrong",), 0),
        StepExample(("wrong",), ("repair",), 1),
        StepExample((), ("wrong", "repair"), 1),
    ]


@given(st.lists(st.floats(0, 1), max_size=8), st.booleans())
def test_a_chain_and_the_tree_of_one_chain_give_the_same(labels, coarse):
    steps = [f"s{k}" for k in range(len(labels))]
    n = len(steps) + 1
    tree = StepTree(["p", *steps], [None, *range(n - 1)], [None] * n)
    found = chain_examples(steps, labels, coarse=coarse)
    assert tree_examples(tree, [0.5, *labels], coarse=coarse) == found
    assert len(found) == len(steps) + coarse * max(len(steps) - 1, 0)
    assert all(one.previous + one.current == tuple(steps[: len(one.previous + one.current)]) for one in found)


def test_a_step_without_a_label_gives_no_example():
    tree = StepTree(["p", "a", "b"], [None, 0, 0], [None, True, None])
    assert tree_examples(tree, [0.0, 1.0, np.nan]) == [StepExample((), ("a",), 1.0)]


def test_rated_proposals_follow_the_chosen_steps_and_neutral_ones_are_dropped():
    rated = [[("a", 1), ("x", -1), ("y", 0)], [("b", None), ("z", -1)], [("c", 1)]]
    assert rated_examples(["a", "b"], rated) == [
        StepExample((), ("a",), 1.0),
        StepExample((), ("x",), 0.0),
        StepExample(("a",), ("z",), 0.0),
        StepExample((), ("a", "z"), 0.0),
        StepExample(("a", "b"), ("c",), 1.0),
        StepExample(("a",), ("b", "c"), 1.0),
    ]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: chain_examples(["a"], []), "labels: expected 1, one a step, got 0"),
        (lambda: tree_examples(StepTree(["p"], [None], [None]), [1, 2]), r"labels: expected shape \(1,\)"),
        (lambda: rated_examples([], [[], []]), "rated: expected at most 1 positions, got 2"),
        (lambda: rated_examples(["a"], [[("a", 2)]]), r"rated\[0\]: expected a rating"),
    ],
)
def test_errors_name_the_argument(call, said):
    with pytest.raises(ValueError, match=said):
        call()
