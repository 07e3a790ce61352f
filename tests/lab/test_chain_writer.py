"""The table policy over chains: real lines, and a worth that is what happens on average."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.core.context import Context
from guerdon.lab.chain_rewards import ExactSteps, HackableSteps, right_answer
from guerdon.lab.chain_writer import ChainWriter, Choice, habits
from guerdon.lab.chains import Chain, Chains, StepKind
from guerdon.lab.tabular import Practice, TabularPolicy, practise
from guerdon.steer import TreeSearch
from guerdon.steer.proposals import Steps

WORLD = Chains(3, 97)
TASK = WORLD.tasks(1)[0]
CHAIN = Chain.of(TASK.chat(""))


def mixed_policy() -> TabularPolicy:
    return TabularPolicy(habits({Choice.WORK: 1.5, Choice.REPAIR: 1.0, Choice.ANSWER: 0.5}))


@pytest.mark.parametrize("prefix", [0, 1, 2])
def test_success_is_the_share_of_right_answers_that_follow(prefix: int) -> None:
    writer, policy, rng = ChainWriter(0.7, 9), mixed_policy(), np.random.default_rng(prefix)
    start: Steps | None = ((), (f"{CHAIN.start}+0={CHAIN.start}",), None)[prefix]
    if start is None:  # a slip that can still be repaired
        operation = CHAIN.operations[0]
        wrong = (CHAIN.result(CHAIN.start, operation) + 1) % 97
        start = (f"{CHAIN.start}{operation.symbol}{operation.number}={wrong}",)
    propose, right, n = writer.proposals(CHAIN, policy), 0, 6000
    running = [start] * n
    while running:
        steps = propose(running, 1, rng)
        running = [(*lines, found[0].step) for lines, found in zip(running, steps, strict=True)]
        ended = [found[0].finished for found in steps]
        right += sum(
            right_answer([TASK.chat("\n".join(map(str, lines)))]).outcome[0]
            for lines, end in zip(running, ended, strict=True)
            if end
        )
        running = [lines for lines, end in zip(running, ended, strict=True) if not end]
    worth = writer.success(CHAIN, policy, start)
    # Slips that come back by chance add at most a few in a hundred.
    assert worth - 0.02 < right / n < worth + 0.04


def test_worth_of_sure_things() -> None:
    sure, policy = ChainWriter(1.0, 12), TabularPolicy(habits({Choice.WORK: 40.0}))
    good = TASK.solution[0]["content"].split("\n")
    assert sure.success(CHAIN, policy) == pytest.approx(1.0)
    assert sure.success(CHAIN, policy, tuple(good)) == 1.0
    assert sure.success(CHAIN, policy, (*good[:-1], "answer 98")) == 0.0
    assert sure.success(CHAIN, policy, ("nonsense",)) == pytest.approx(1.0)
    assert ChainWriter(1.0, 3).success(CHAIN, policy) == 0.0  # no time for the answer


def test_the_policy_learns_and_its_decisions_are_lines() -> None:
    writer, policy = ChainWriter(0.95), mixed_policy()
    rollout = writer.play(TASK, policy, np.random.default_rng(0))
    assert [d.part for d in rollout.decisions] == list(range(len(WORLD.check(rollout.sample).steps)))
    before = writer.success(CHAIN, policy)
    practise(policy, WORLD.tasks(20), writer.play, right_answer, Practice(steps=60, learning_rate=1.0))
    assert writer.success(CHAIN, policy) > before + 0.2


def test_every_choice_is_the_line_that_it_says() -> None:
    writer, rng = ChainWriter(1.0, 1), np.random.default_rng(0)
    expected = {
        Choice.WORK: StepKind.RIGHT,
        Choice.TRIVIAL: StepKind.TRIVIAL,
        Choice.STRAY: StepKind.OTHER,
        Choice.REPAIR: StepKind.OTHER,
        Choice.ANSWER: StepKind.OTHER,
    }
    for choice, kind in expected.items():
        rollout = writer.play(TASK, TabularPolicy(habits({choice: 50.0})), rng)
        assert WORLD.check(rollout.sample).steps[0].kind is kind


def test_searches_take_the_policy_and_its_worth() -> None:
    writer, policy = ChainWriter(0.8), mixed_policy()
    propose = writer.proposals(CHAIN, policy)

    def evaluate(prefixes):
        return [writer.success(CHAIN, policy, steps) for steps in prefixes]

    tree = TreeSearch(iterations=500, gate=1.0)(propose, evaluate, seed=1)
    found = tree.nodes[tree.answer].steps
    assert WORLD.check(TASK.chat("\n".join(map(str, found)))).answered


def test_rewards_of_steps() -> None:
    first = CHAIN.start
    sample = TASK.chat(f"{first}+0={first}\nnonsense\nanswer 99")
    exact = ExactSteps()([sample])
    assert exact.dense is not None
    assert exact.dense.spans is not None
    assert exact.dense.values.tolist() == [1.0, 0.0, 0.0]
    assert exact.dense.unit == "step"
    assert exact.outcome.tolist() == [0.0]
    assert [sample.text[a:b] for a, b in exact.dense.spans.tolist()] == [
        f"{first}+0={first}\n",
        "nonsense\n",
        "answer 99",
    ]
    hackable = HackableSteps()([sample]).dense
    assert hackable is not None
    assert hackable.values.tolist() == [0.7, 0.2, 0.2]
    empty = ExactSteps()([TASK.chat("")])
    assert empty.dense is not None
    assert empty.dense.values.size == 0
    assert empty.ok.all()


def test_noise_comes_from_the_context_alone() -> None:
    sample = TASK.chat("nonsense\n" * 400)
    for noisy in (ExactSteps(mistaken=0.25), HackableSteps(noise=0.1)):
        one, two = (noisy([sample], Context(rng=np.random.default_rng(5))).dense for _ in range(2))
        assert one is not None
        assert two is not None
        assert (one.values == two.values).all()
        assert "expected a generator" in noisy([sample]).reasons[0]
    mistaken = ExactSteps(mistaken=0.25)([sample], Context(rng=np.random.default_rng(5))).dense
    assert mistaken is not None
    assert mistaken.values.mean() == pytest.approx(0.25, abs=0.06)
    with pytest.raises(ValueError, match="mistaken"):
        ExactSteps(mistaken=1.5)
    with pytest.raises(ValueError, match=r"scores\[trivial\]"):
        HackableSteps({kind: 0.5 for kind in StepKind if kind is not StepKind.TRIVIAL})
