"""The world of judged searches: what is read, what a judgement leads to, what is paid."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.claims.reseek import OUTCOME, REWARDS, measure, pay_of_padding, play, prior, read, search, world
from guerdon.lab.tabular import TabularPolicy
from guerdon.verify.judged_search import find_judgements
from guerdon.verify.trajectory import trajectory

SURE = TabularPolicy(lambda state, options: 100.0 * prior(state, options))


@pytest.mark.parametrize("hops", [1, 2])
def test_what_is_read_is_what_the_fact_says(hops: int) -> None:
    for task in world(hops).tasks(50):
        chain = [task.extra["queries"][0].rsplit(" ", 1)[0], task.extra["bridge"], task.extra["answer"]]
        known = [name for name in chain if name]
        for query, subject, found in zip(task.extra["queries"], known, known[1:], strict=False):
            assert read(search(query)) == (subject, found)


def test_who_judges_rightly_is_wrong_only_where_the_searches_ran_out() -> None:
    rng = np.random.default_rng(0)
    rollouts = [play(task, SURE, rng) for hops in (1, 2) for task in world(hops).tasks(200)]
    assert measure(rollouts)["judge accuracy"] == 1.0
    assert measure(rollouts)["needless searches"] == 0.0
    for sample, _, _ in rollouts:
        assert world(1).check(sample) == (True, True) or len(find_judgements(trajectory(sample))) == 6


def test_a_search_has_one_judgement_and_one_similarity() -> None:
    rng = np.random.default_rng(0)
    for task in world(2).tasks(50):
        sample, decisions, _ = play(task, TabularPolicy(prior), rng)
        searches = [m for m in sample.completion_messages if m["role"] == "tool"]
        verdicts = [d.choice == 1 for d in decisions if d.state[0] == "judge"]
        assert [one.yes for one in find_judgements(trajectory(sample))] == verdicts
        assert len(sample.extra["similarities"]) == len(searches) == len(verdicts)


@pytest.mark.parametrize(
    ("arm", "pay"), [("ReSeek", 0.4), ("ReSeek mean", 0.0), ("ReSeek similarity", 0.1), (OUTCOME, 0.0)]
)
@pytest.mark.parametrize("hops", [1, 2])
def test_the_sum_pays_for_padding(arm: str, pay: float, hops: int) -> None:
    assert pay_of_padding(REWARDS[arm], world(hops).tasks(1)[0]) == pytest.approx(pay)
