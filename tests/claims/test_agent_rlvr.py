"""The pieces of the repair experiment: its learner, and that trials are what they should be."""

from __future__ import annotations

import math

import pytest

from guerdon.claims.agent_rlvr import GUIDED, UNGUIDED, experiment, learn, repaired, reveal
from guerdon.core.preferences import Preference
from guerdon.core.samples import Chat
from guerdon.lab.program_repair import EDITS, broken_programs, edit, fenced, given_program, state_of
from guerdon.lab.tabular import TabularPolicy

TASK = broken_programs(1, seed=1)[0]
PROGRAM = given_program(TASK)


def attempt(choice: int) -> Chat:
    return Chat(TASK.prompt, fenced(edit(PROGRAM, choice)), TASK.reference, extra=TASK.extra)


def test_one_edit_repairs_and_guidance_tells_its_line_only() -> None:
    signal = repaired([attempt(i) for i in range(EDITS)])
    assert signal.outcome.sum() == 1.0
    (guidance,) = reveal([attempt(0)], ["test 1 failed"])
    assert guidance == f"test 1 failed. The bug is in line {TASK.extra['line']}."


def test_learning_prefers_what_was_chosen() -> None:
    pytest.importorskip("torch")
    policy = TabularPolicy()
    learn(policy, [Preference(attempt(3), attempt(7))], learning_rate=10.0)
    probabilities = policy.probabilities(state_of(PROGRAM), EDITS)
    assert probabilities.argmax() == 3
    assert probabilities.argmin() == 7
    others = [p for i, p in enumerate(probabilities) if i not in (3, 7)]
    assert max(others) == pytest.approx(min(others))


def test_trials_are_finite_and_repeat() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    for arm in (GUIDED, UNGUIDED):
        run = experiment(arm, {"learning_rate": 3.0}, 20_000)
        assert run == experiment(arm, {"learning_rate": 3.0}, 20_000)
        assert all(map(math.isfinite, run.metrics.values()))
        assert run.curves["pass@1"][0] == (0.0, pytest.approx(1 / EDITS))
        assert run.metrics["attempts"] <= 144
