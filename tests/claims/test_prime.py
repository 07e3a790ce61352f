"""The pieces of the running sums: exact success, and a table that the online implicit reward can train."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.claims.prime import LENGTH, TASKS, Frozen, implicit_reward, play, prior, right_sum, success
from guerdon.core.context import Context
from guerdon.core.samples import Chat
from guerdon.lab.tabular import TabularPolicy


def written(n: int, seed: int) -> list[Chat]:
    rng = np.random.default_rng(seed)
    return [play(TASKS[i % len(TASKS)], TabularPolicy(prior), rng).sample for i in range(n)]


def test_success_is_what_sampling_finds() -> None:
    samples = written(5000, 0)
    assert right_sum(samples).outcome.mean() == pytest.approx(success(TabularPolicy(prior), TASKS), abs=0.02)


def test_the_reward_is_0_at_first_and_then_that_of_what_was_learned() -> None:
    process, samples = implicit_reward(0.1), written(256, 1)
    before = process(samples, Context(step=0))
    assert before.dense is not None
    assert before.dense.lengths.tolist() == [LENGTH] * len(samples)
    assert np.allclose(before.dense.values, 0.0)
    assert before.outcome.tolist() == right_sum(samples).outcome.tolist()
    for step in range(1, 30):
        process(samples, Context(step=step))
    learned = process(samples)
    assert learned.dense is not None
    scores, right = learned.dense.sums(), learned.outcome == 1
    assert scores[right].mean() > scores[~right].mean() + 1.0


def test_it_tells_apart_the_sums_and_not_the_places() -> None:
    """Tokens in the same state, partial sum and digit, have one reward wherever they stand."""
    process, samples = implicit_reward(0.1), written(64, 2)
    for step in range(5):
        process(samples, Context(step=step))
    signal = process(samples)
    assert signal.dense is not None
    seen: dict[tuple[str, str, str], float] = {}
    for sample, row in zip(samples, signal.dense, strict=True):
        before = "=" + sample.text
        for place, value in enumerate(row):
            key = before[place], str(sample.prompt)[place], sample.text[place]
            assert seen.setdefault(key, float(value)) == pytest.approx(value, abs=1e-5)
    assert len(set(seen.values())) > 20


def test_a_frozen_reward_learns_nothing() -> None:
    process, samples = implicit_reward(0.1), written(64, 3)
    frozen = Frozen(process)
    for step in range(3):
        signal = frozen(samples, Context(step=step))
        assert signal.dense is not None
        assert np.allclose(signal.dense.values, 0.0)
