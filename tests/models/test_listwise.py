"""The listwise ranking loss: hand-worked, over prompts, and without pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guerdon.models.listwise import listwise_ranking_loss

ROWS = st.lists(st.tuples(st.floats(-30, 30), st.booleans(), st.integers(0, 3)), max_size=14)


def by_hand(rows):
    losses = []
    for group in {g for _, _, g in rows}:
        good = [s for s, right, g in rows if g == group and right]
        bad = [s for s, right, g in rows if g == group and not right]
        pairs = [math.log1p(math.exp(j - i)) for i in good for j in bad]
        losses += [sum(pairs) / len(pairs)] if pairs else []
    return sum(losses) / len(losses) if losses else 0.0


@given(rows=ROWS)
def test_prompts_count_the_same_in_numpy_and_torch(rows):
    scores, correct, groups = (np.array([row[k] for row in rows]) for k in range(3))
    scores, groups = scores.astype(float), groups.astype(int)
    assert float(listwise_ranking_loss(scores, correct, groups)) == pytest.approx(by_hand(rows), abs=1e-9)
    found = listwise_ranking_loss(*map(torch.tensor, (scores, correct, groups)))
    assert float(found) == pytest.approx(by_hand(rows), abs=1e-9)


def test_one_prompt_by_default():
    assert float(listwise_ranking_loss(np.array([1.0, 0.0]), np.array([1, 0]))) == pytest.approx(
        math.log1p(math.exp(-1))
    )


def test_the_gradient_lifts_the_correct_and_is_zero_without_pairs():
    scores = torch.tensor([0.0, 1.0, 2.0, 5.0], requires_grad=True)
    listwise_ranking_loss(scores, torch.tensor([1, 0, 0, 1]), torch.tensor([0, 0, 0, 9])).backward()
    assert scores.grad[0] < 0 < scores.grad[1] < scores.grad[2]
    assert scores.grad[3] == 0
    scores.grad = None
    listwise_ranking_loss(scores, torch.ones(4)).backward()
    assert not scores.grad.any()


def test_an_answer_without_a_score_is_in_no_pair():
    scores, correct = np.array([1.0, 0.0, math.nan]), np.array([1, 0, 0])
    assert float(listwise_ranking_loss(scores, correct)) == float(
        listwise_ranking_loss(scores[:2], correct[:2])
    )
    assert float(listwise_ranking_loss(scores[1:], np.array([1, 0]))) == 0.0


def test_wrong_shapes_are_named():
    for arguments, message in (
        ((np.zeros((2, 2)), np.zeros((2, 2))), "scores: expected shape"),
        ((np.zeros(2), np.zeros(3)), "correct: expected shape"),
        ((np.zeros(2), np.zeros(2), np.zeros(1, int)), "groups: expected shape"),
    ):
        with pytest.raises(ValueError, match=message):
            listwise_ranking_loss(*arguments)
