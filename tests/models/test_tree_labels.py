import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.models.tree_labels import soft_labels, tree_value_targets


@st.composite
def trees(draw):
    """Parents and answers of a tree; only leaves have answers."""
    n = draw(st.integers(1, 20))
    parents = [None, *(draw(st.integers(0, i - 1)) for i in range(1, n))]
    inner = set(parents)
    return parents, [None if i in inner else draw(st.sampled_from([True, False, None])) for i in range(n)]


def test_a_right_chain_rises_evenly():
    assert tree_value_targets([None, 0, 1, 2], [None, None, None, True]).tolist() == pytest.approx(
        [0, 1 / 3, 2 / 3, 1]
    )


def test_a_wrong_step_takes_back_what_its_distance_says():
    values = tree_value_targets([None, 0, 0, 1, 1], [None, None, False, True, False])
    assert values.tolist() == pytest.approx([0, 0.5, 0, 1, 0.25])


@given(trees())
def test_values_are_in_bounds_and_right_leaves_have_one(tree):
    parents, correct = tree
    values = tree_value_targets(parents, correct)
    known = values[~np.isnan(values)]
    assert ((known >= 0) & (known <= 1 + 1e-12)).all()
    if True in correct:
        assert all(values[i] == pytest.approx(1 if i else 0) for i, answer in enumerate(correct) if answer)
        assert all(np.isfinite(values[i]) for i, answer in enumerate(correct) if answer is not None)
    else:
        assert np.isnan(values).all()


def test_what_no_finished_leaf_lies_below_has_no_target():
    values = tree_value_targets([None, 0, 0, 2], [None, True, None, None])
    assert values[1] == 1.0
    assert np.isnan(values[2:]).all()


@pytest.mark.parametrize(
    ("parents", "correct", "said"),
    [
        ([], [], "at least 1"),
        ([None], [True, False], "equal lengths"),
        ([None, 1], [None, True], r"parents\[1\]: expected a node before it"),
        ([0], [True], r"parents\[0\]"),
        ([None, None], [True, True], r"parents\[1\]"),
        ([None, 0], [True, True], r"correct\[0\]: expected None for a node with children"),
    ],
)
def test_what_is_no_tree_is_refused(parents, correct, said):
    with pytest.raises(ValueError, match=said):
        tree_value_targets(parents, correct)


@given(trees())
def test_a_soft_label_is_the_share_of_right_leaves_below(tree):
    parents, correct = tree
    leaves = [i for i in range(len(parents)) if i not in parents]

    def below(leaf, node):
        return leaf == node or (leaf != 0 and below(parents[leaf], node))

    for node, label in enumerate(soft_labels(parents, correct)):
        mine = [correct[leaf] is True for leaf in leaves if below(leaf, node)]
        assert label == pytest.approx(np.mean(mine))


def test_a_very_deep_tree_is_labelled():
    n = 20_000
    labels = soft_labels([None, *range(n - 1)], [None] * (n - 1) + [True])
    assert (labels == 1.0).all()


def test_soft_labels_refuse_what_is_no_tree():
    with pytest.raises(ValueError, match=r"parents\[1\]"):
        soft_labels([None, 1], [None, True])
