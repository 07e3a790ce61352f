"""The pieces of the clue chain: what the judge likes, and who is paid."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.claims.ppr import RIGHT, STEP_TEXTS, TASK, WORDY, NoisyJudge, StepAdvantages, correct, play
from guerdon.core.context import Context
from guerdon.core.dense import Dense
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal
from guerdon.lab.tabular import TabularPolicy


def _rated(choice: int) -> float:
    completion = [{"role": "assistant", "content": STEP_TEXTS[choice]}] * 500
    signal = NoisyJudge()([Chat(TASK, completion)], Context(rng=np.random.default_rng(0)))
    assert signal.dense is not None
    return float(signal.dense.values.mean())


def test_the_judge_prefers_words_to_clues() -> None:
    assert _rated(RIGHT) == pytest.approx(0.6, abs=0.03)
    assert _rated(WORDY) == pytest.approx(0.7, abs=0.03)


def test_a_rollout_without_an_answer_fails() -> None:
    always_search = TabularPolicy(lambda state, options: 50.0 * np.eye(options)[RIGHT])
    rollout = play(TASK, always_search, np.random.default_rng(0))
    assert len(rollout.decisions) == 8
    assert correct([rollout.sample]).outcome.tolist() == [0.0]


def test_advantages_are_returns_less_their_mean_at_the_turn() -> None:
    dense = Dense(np.array([0.5, -0.5]), np.array([0, 1, 2]), None, "turn")
    signal = Signal(np.array([1.0, 0.0]), dense=dense)
    spans = np.array([[0, 1], [0, 1]])
    advantages = StepAdvantages()(signal, np.zeros(2, dtype=int), np.ones((2, 2), dtype=bool), spans)
    assert advantages == pytest.approx(np.array([[1.0, 0.5], [-1.0, -0.5]]))
