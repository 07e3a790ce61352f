"""Step rewards from process scores and the outcome."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.function import reward
from guerdon.core.recipe import dump_recipe, load_reward
from guerdon.core.registry import create
from guerdon.core.samples import Chat
from guerdon.core.signal import Abstain, Score, Status
from guerdon.shape.pointwise import Clip
from guerdon.shape.process_outcome import ProcessOutcome, step_rewards

UNIT = st.floats(0, 1)
STRATEGIES = ("renorm", "sum", "product", "zscore", "process", "outcome")


@reward
def judge(sample):
    scores = sample.extra["p"]
    if scores is None:
        raise Abstain("nothing to judge")
    spans = [(2 * i, 2 * i + 1) for i in range(len(scores))]
    return Score(dense=scores, spans=spans, unit="turn")


@reward
def correct(sample):
    return sample.extra["o"]


def rollout(scores, outcome):
    return Chat("q", "a", extra={"p": scores, "o": outcome})


def rows(signal):
    return [row.tolist() for row in signal.dense]


@given(p=st.lists(UNIT, max_size=5), o=UNIT)
def test_renorm_keeps_the_sign_of_the_outcome_and_the_spread_of_the_steps(p, o):
    process = np.array(p, dtype=float)
    won, lost, between = (step_rewards(process, x) for x in (1.0, 0.0, o))
    assert ((won >= 0) & (won <= 1)).all()
    assert ((lost >= -1) & (lost <= 0)).all()
    np.testing.assert_allclose(won - lost, 1.0)
    np.testing.assert_allclose(between - lost, o, atol=1e-12)


@given(p=st.lists(UNIT, min_size=1, max_size=5), strategy=st.sampled_from(STRATEGIES))
def test_torch_agrees_with_numpy(p, strategy):
    process, outcome = np.array(p), np.linspace(0, 1, len(p))
    found = step_rewards(torch.from_numpy(process), torch.from_numpy(outcome), strategy)
    np.testing.assert_allclose(found.numpy(), step_rewards(process, outcome, strategy), atol=1e-9)


def test_every_strategy_by_hand():
    p, o = np.array([0.2, 0.6, 1.0]), np.array([1.0, 0.5, 0.0])
    expected = {
        "renorm": [0.2, 0.1, 0.0],
        "sum": [1.2, 1.1, 1.0],
        "product": [0.2, 0.3, 0.0],
        "zscore": [-1.0, 0.0, 1.0],
        "process": [0.2, 0.6, 1.0],
        "outcome": [0.0, 0.0, 0.0],
    }
    for strategy, values in expected.items():
        np.testing.assert_allclose(step_rewards(p, o, strategy, epsilon=0.0), values, atol=1e-12)
    np.testing.assert_array_equal(step_rewards(np.full(3, 0.1), 1.0, "zscore"), [0, 0, 0])


def test_wrong_numbers_at_the_door():
    with pytest.raises(ValueError, match="process"):
        step_rewards(np.array([1.1]), 1.0)
    with pytest.raises(ValueError, match="process"):
        step_rewards(np.array([np.nan]), 1.0, "product")
    with pytest.raises(ValueError, match="outcome"):
        step_rewards(np.array([0.5]), -1.0, "product")
    with pytest.raises(ValueError, match="outcome"):
        step_rewards(np.array([0.5, 0.5]), np.array([1.0]))
    with pytest.raises(ValueError, match="strategy"):
        step_rewards(np.array([0.5]), 1.0, "best")


def test_the_answer_step_is_paid_by_the_outcome_alone():
    samples = [
        rollout([0.9, 0.4, 0.7], 1.0),
        rollout([0.9, 0.4, 0.7], 0.0),
        rollout([0.3], 1.0),
        rollout([], 1.0),
    ]
    signal = ProcessOutcome(judge, correct)(samples)
    np.testing.assert_array_equal(signal.outcome, [1, 0, 1, 1])
    assert rows(signal) == [pytest.approx([0.9, 0.4]), pytest.approx([-0.1, -0.6]), [], []]
    assert signal.dense.unit == "turn"
    assert signal.dense.row_spans(1).tolist() == [[0, 1], [2, 3]]
    before = ProcessOutcome(judge, correct, scores_answer=False)(samples)
    assert before.dense.lengths.tolist() == [3, 3, 1, 0]
    assert set(signal.parts) == {"judge", "correct"}


def test_strategies_of_one_part():
    samples = [rollout([0.9, 0.4], 1.0)]
    alone = ProcessOutcome(judge, correct, strategy="process")(samples)
    assert (alone.outcome.tolist(), rows(alone)) == ([0.0], [[0.9, 0.4]])
    sparse = ProcessOutcome(judge, correct, strategy="outcome")(samples)
    assert (sparse.outcome.tolist(), rows(sparse)) == ([1.0], [[0.0]])


def test_the_zscore_is_over_the_batch_and_leaves_failed_rows_out():
    node = ProcessOutcome(judge, correct, strategy="zscore", scores_answer=False, epsilon=0.0)
    assert node.scope == "batch"
    assert ProcessOutcome(judge, correct).scope == "sample"
    samples = [rollout([0.0, 2.0], 1.0), rollout([1e6], float("nan")), rollout([1.0], 0.0)]
    signal = node(samples)
    assert signal.status.tolist() == [0, Status.FAILED, 0]
    assert rows(signal) == [[-1.0, 1.0], [], [0.0]]


def test_samples_without_a_value():
    samples = [
        rollout(None, 1.0),
        rollout([0.5, 0.5], None),
        rollout("abc", 1.0),
        rollout([0.5, 1.5], 1.0),
        rollout([0.5], 2.0),
        rollout([0.5, 0.5], 1.0),
    ]
    signal = ProcessOutcome(judge, correct)(samples)
    ok, abstained, failed = Status.OK, Status.ABSTAINED, Status.FAILED
    assert signal.status.tolist() == [ok, abstained, failed, failed, failed, ok]
    assert signal.outcome[0] == 1.0
    assert rows(signal) == [[], [], [], [], [], [0.5]]
    assert signal.reasons[2].startswith("judge:")
    assert "judge: 'renorm' needs numbers in [0, 1]" in signal.reasons[3]
    assert "correct: 'renorm' needs numbers in [0, 1]" in signal.reasons[4]
    clipped = ProcessOutcome(judge | Clip(0, 1, channel="dense"), correct)(samples[3:4])
    assert rows(clipped) == [[0.5]]
    unbounded = ProcessOutcome(judge, correct, strategy="sum")(samples[3:5])
    assert unbounded.ok.all()


def test_numbers_that_would_be_lost():
    signal = ProcessOutcome(correct, correct)([rollout([], 1.0), rollout([], 0.0)])
    assert signal.status.tolist() == [Status.FAILED, Status.OK]
    assert "steps alone" in signal.reasons[0]
    with pytest.raises(ValueError, match="dense channel"):
        ProcessOutcome(judge, judge)([rollout([0.5], 1.0)])


def test_it_is_loaded_from_a_recipe_and_knows_its_options():
    loaded = load_reward(
        """
        parts: {answer: math}
        total: {reward: process_outcome, process: toolrl, outcome: answer, strategy: sum}
        """
    )
    assert [part.name for part in loaded.parts] == ["toolrl", "answer"]
    assert loaded.strategy == "sum"
    registered = create("process_outcome", arguments={"process": "toolrl", "outcome": "math"})
    assert load_reward(dump_recipe(registered)).fingerprint() == registered.fingerprint()
    plain = ProcessOutcome(judge, correct)
    assert plain.fingerprint() == ProcessOutcome(judge, correct).fingerprint()
    assert plain.fingerprint() != ProcessOutcome(judge, correct, scores_answer=False).fingerprint()
    with pytest.raises(ValueError, match="strategy"):
        ProcessOutcome(judge, correct, strategy="best")
    with pytest.raises(TypeError, match="expected rewards"):
        ProcessOutcome(judge, 1.0)


def test_an_empty_batch():
    assert len(ProcessOutcome(judge, correct)([])) == 0
