"""Products of long numbers: what is run, what is read, and which tokens are whose."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.core.recipe import load_reward
from guerdon.lab.products import (
    BOX,
    CLOSE,
    CODE,
    FAULT,
    LONGEST,
    MISCOPIED,
    NUMBER,
    OPEN,
    PROGRAM,
    RUN,
    SILENT,
    WORK,
    Problem,
    habits,
    interpret,
    play,
    play_plain,
    problems,
)
from guerdon.lab.tabular import Rollout, TabularPolicy

PROBLEM = Problem(4, 1234, 5678)


def follow(**next_tokens: str) -> TabularPolicy:
    """A policy that writes the token given for the last one; `start` stands for none."""
    after = {name.replace("_", " "): token for name, token in next_tokens.items()} | {
        "": next_tokens["start"]
    }
    after |= {RUN: BOX, CLOSE: BOX}

    def certain(state, options):
        return np.array([50.0 * (token == after.get(state[1], BOX)) for token in CODE[:options]])

    return TabularPolicy(certain)


def tokens(rollout: Rollout) -> list[str]:
    return [CODE[decision.choice] for decision in rollout.decisions]


def test_a_right_program_is_run_and_its_output_boxed() -> None:
    rollout = play(PROBLEM, follow(start=PROGRAM, program=RUN), np.random.default_rng(0))
    assert tokens(rollout) == [PROGRAM, RUN, OPEN, NUMBER, CLOSE, BOX]
    assert rollout.sample.text == (
        "<code>\n```python\nprint(1234 * 5678)\n```\n</code>\n"
        "<interpreter>\n7006652</interpreter>\n\n<answer>\\boxed{7006652}</answer>"
    )
    assert load_reward("retool")([rollout.sample]).outcome.tolist() == [1.0]


def test_what_the_interpreter_says_is_not_the_policys() -> None:
    rollout = play(PROBLEM, follow(start=PROGRAM, program=RUN), np.random.default_rng(0))
    assert rollout.sample.extra["segments"] == [(1, True), (1, True), (3, False), (1, True)]
    assert sum(length for length, _ in rollout.sample.extra["segments"]) == len(rollout.decisions)
    assert (rollout.sample.extra["calls"], rollout.sample.extra["stray"]) == (1, 0)


@pytest.mark.parametrize(("token", "said"), [(MISCOPIED, NUMBER), (SILENT, FAULT)])
def test_a_wrong_program_answers_wrong(token: str, said: str) -> None:
    policy = follow(**{"start": token, token.replace(" ", "_"): RUN})
    rollout = play(PROBLEM, policy, np.random.default_rng(0))
    assert tokens(rollout)[3] == said
    assert load_reward("retool")([rollout.sample]).outcome.tolist() == [-1.0]


def test_tags_of_the_policys_own_run_nothing() -> None:
    rollout = play(PROBLEM, follow(start=OPEN), np.random.default_rng(0))
    assert tokens(rollout) == [OPEN, BOX]
    assert (rollout.sample.extra["calls"], rollout.sample.extra["stray"]) == (0, 1)
    assert tokens(play(PROBLEM, follow(start=RUN), np.random.default_rng(0))) == [RUN, BOX]


def test_a_policy_that_never_answers_is_stopped() -> None:
    rollout = play(PROBLEM, follow(start=WORK, work=WORK), np.random.default_rng(0))
    assert tokens(rollout) == [WORK] * LONGEST
    assert load_reward("retool")([rollout.sample]).outcome.tolist() == [-1.0]


def test_the_head_errs_more_on_longer_numbers_and_less_after_work() -> None:
    def rate(digits: int, policy: TabularPolicy) -> float:
        rng, drawn = np.random.default_rng(1), problems(400, (digits,), 2)
        samples = [play_plain(problem, policy, rng).sample for problem in drawn]
        return float((load_reward("retool")(samples).outcome > 0).mean())

    hasty, worked = follow(start=NUMBER), follow(start=WORK, work=NUMBER)
    assert rate(4, hasty) > rate(6, hasty)
    assert rate(4, worked) > rate(6, worked) > rate(6, hasty)


def test_without_code_there_are_three_tokens() -> None:
    policy = TabularPolicy(habits)
    rng = np.random.default_rng(0)
    rollouts = [play_plain(PROBLEM, policy, rng) for _ in range(50)]
    assert {token for rollout in rollouts for token in tokens(rollout)} == {WORK, NUMBER, BOX}


def test_a_program_that_fails_says_why() -> None:
    assert "ZeroDivisionError" in interpret("1 / 0")


def test_problems_have_their_length_and_are_repeatable() -> None:
    drawn = problems(5, (4, 6), 3)
    assert [problem.digits for problem in drawn] == [4] * 5 + [6] * 5
    assert all(len(str(n)) == p.digits for p in drawn for n in (p.left, p.right))
    assert drawn == problems(5, (4, 6), 3)
    assert drawn != problems(5, (4, 6), 4)
