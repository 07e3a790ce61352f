"""The pieces of the experiment on process reward models of steps and pairs of steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from guerdon.claims.hrm import WORLD, StepClassifier, labels, ranked, slipping
from guerdon.lab.chains import Chain, StepKind, check_steps
from guerdon.models import chain_examples


@pytest.fixture
def solutions():
    rng = np.random.default_rng(0)
    chains = [Chain.of(task.chat("")) for task in WORLD.tasks(300, 0)]
    return [(chain, slipping(chain, rng)) for chain in chains]


def test_half_of_the_slips_are_repaired_a_line_later(solutions):
    slips = repairs = 0
    for chain, steps in solutions:
        kinds = [step.kind for step in check_steps(chain, "\n".join(steps)).steps]
        assert kinds[-1] is StepKind.ANSWER
        slips += kinds.count(StepKind.SLIP)
        repairs += kinds.count(StepKind.REPAIR)
        assert all(kinds[k - 1] is StepKind.SLIP for k, kind in enumerate(kinds) if kind is StepKind.REPAIR)
    assert slips / (4 * len(solutions)) == pytest.approx(0.3, abs=0.05)
    assert repairs / slips == pytest.approx(0.5, abs=0.1)


def test_a_slip_is_wrong_and_its_repair_is_right_also_as_a_pair(solutions):
    repaired = 0
    for chain, steps in solutions:
        for example in chain_examples(steps, labels(chain, steps)):
            before = labels(chain, example.previous)
            # Behind a slip that stays, no repair of a later one leads back on the track.
            if len(example.current) == 2 and example.current[1].startswith("no ") and all(before[-1:]):
                assert labels(chain, [*example.previous, example.current[0]])[-1] == 0.0
                assert example.label == 1.0
                repaired += 1
    assert repaired > 50


def test_a_tie_ranks_nothing_and_a_taste_for_repairs_ranks_all():
    def share(score: Any, after_slip: bool) -> float:
        return ranked(score, np.random.default_rng(0), after_slip=after_slip, count=20)

    def repairs(prefixes: Any) -> list[float]:
        return [float(str(steps[-1]).startswith("no ")) for steps in prefixes]

    assert share(lambda prefixes: [0.0] * len(prefixes), after_slip=True) == 0.0
    assert share(repairs, after_slip=True) == 1.0
    assert share(repairs, after_slip=False) == 0.0


def test_the_classifier_learns_and_equal_seeds_give_equal_scores(solutions):
    examples = [e for chain, steps in solutions for e in chain_examples(steps, labels(chain, steps))]

    def scores():
        model = StepClassifier(3)
        model.fit(examples, 1e-2, np.random.default_rng(3))
        return np.array(model([(*e.previous, *e.current) for e in examples if len(e.current) == 1]))

    found = scores()
    right = np.array([e.label for e in examples if len(e.current) == 1])
    assert np.array_equal(found, scores())
    assert found[right == 1].mean() > found[right == 0].mean() + 0.5
