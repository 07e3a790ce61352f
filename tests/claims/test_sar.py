"""The world of the self-aligned reward's claim: versions of answers are what they are called, and few texts are scored once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from guerdon.claims.sar import VERSIONS, Remembered, means_of_versions, play, talkative, write
from guerdon.core.context import Context
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal
from guerdon.lab.chain_rewards import right_answer
from guerdon.lab.chains import Chain, Chains, Operation, StepKind, check_steps
from guerdon.lab.tabular import TabularPolicy

CHAIN = Chain(3, (Operation("+", 4), Operation("*", 3)), 5)
OTHER = Chain(1, (Operation("-", 2), Operation("+", 1)), 5)


def test_versions_are_what_they_are_called() -> None:
    kinds = {
        name: [step.kind for step in check_steps(CHAIN, make(CHAIN, OTHER)).steps]
        for name, make in VERSIONS.items()
    }
    right, answer, trivial = StepKind.RIGHT, StepKind.ANSWER, StepKind.TRIVIAL
    assert kinds["concise"] == [right, right, answer]
    assert kinds["padded"] == [trivial, right, trivial, right, trivial, answer]
    assert kinds["partly right"] == [right, StepKind.OTHER, StepKind.OTHER]
    assert kinds["unrelated"] == [StepKind.OTHER] * 3
    assert kinds["slip"] == [StepKind.SLIP, right, answer]


def test_an_operation_in_the_head_leaves_no_line() -> None:
    assert write(CHAIN, (True, False), (False, True, False), (0, 0)) == "3+4=2\n2+0=2\nanswer 1"


def test_play_writes_what_was_decided() -> None:
    rng, policy = np.random.default_rng(20_000), TabularPolicy(talkative)
    for task in Chains(2, 5).tasks(50):
        rollout = play(task, policy, rng)
        wanted = sum(decision.choice for decision in rollout.decisions)
        assert len(rollout.sample.text.split("\n")) == wanted + 1


class Counted(Reward):
    """How often a text was scored so far."""

    def __init__(self) -> None:
        self.seen = list[str]()

    def score_batch(self, samples: Sequence[Chat], context: Context) -> Signal:
        self.seen += [sample.text for sample in samples]
        return Signal(np.array([float(len(sample.text)) for sample in samples]))


def test_a_text_is_scored_once_for_each_question() -> None:
    counted, world = Counted(), Chains(2, 5)
    reward, (first, second) = Remembered(counted), world.tasks(2)
    samples = [first.chat("answer 1"), first.chat("answer 1"), second.chat("answer 1"), first.chat("no")]
    assert reward(samples).outcome.tolist() == [8.0, 8.0, 8.0, 2.0]
    assert reward(samples[::-1]).outcome.tolist() == [2.0, 8.0, 8.0, 8.0]
    assert len(counted.seen) == 3


def test_only_whole_answers_to_the_question_are_right() -> None:
    means = means_of_versions(right_answer, seed=20_000, problems=50)
    assert means["concise"] == means["padded"] == 1.0
    assert max(means["partly right"], means["unrelated"]) < 0.5
