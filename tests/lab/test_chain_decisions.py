"""Decisions that are read from a solution are those that wrote it."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.lab.chain_decisions import read_decisions
from guerdon.lab.chain_writer import ChainWriter, Choice, State
from guerdon.lab.chains import Chain, Chains, Operation
from guerdon.lab.tabular import Decision, TabularPolicy

CHAIN = Chain(7, (Operation("+", 5), Operation("*", 3)), 10)


@pytest.mark.parametrize("skill", [0.5, 1.0])
def test_they_are_those_of_the_writer(skill: float) -> None:
    rng, writer, policy = np.random.default_rng(0), ChainWriter(skill), TabularPolicy()
    for task in Chains(3, 97).tasks(200, 0):
        rollout = writer.play(task, policy, rng)
        found = read_decisions(Chain.of(rollout.sample), rollout.sample.text)
        assert [(d.state, d.part) for d in found] == [(d.state, d.part) for d in rollout.decisions]
        for one, made in zip(found, rollout.decisions, strict=True):
            if one.choice != made.choice:
                assert (one.choice, made.choice) in [
                    (Choice.ANSWER, Choice.WORK),
                    (Choice.STRAY, Choice.REPAIR),
                ]


def test_each_line_is_told() -> None:
    text = "7+0=7\n7+5=3\nno 7+5=4\nno 7+5=2\n1+1=2\n2*3=6\nanswer 6\nmore"
    choices = [Choice(decision.choice).name for decision in read_decisions(CHAIN, text)]
    assert choices == ["TRIVIAL", "WORK", "REPAIR", "STRAY", "STRAY", "STRAY", "ANSWER", "STRAY"]


def test_an_answer_too_early_is_an_answer() -> None:
    assert read_decisions(CHAIN, "7+5=2\nanswer 2")[1] == Decision(State(1, False), int(Choice.ANSWER), 1)
    assert read_decisions(CHAIN, "") == []
