"""Beam search over steps, against enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.steer import BeamSearch, Proposal, best_of_n

LETTERS, LONGEST = "abc", 3
TABLES = st.integers(0, 10**6).map(
    lambda seed: dict(zip(ALL, np.random.default_rng(seed).random(len(ALL)).round(1).tolist(), strict=True))
)
ALL = [steps for n in range(1, LONGEST + 1) for steps in itertools.product(LETTERS, repeat=n)]
WHOLE = [steps for steps in ALL if len(steps) == LONGEST]


def every_letter(prefixes, width, rng):
    return [[Proposal(x, 1, len(steps) + 1 == LONGEST) for x in LETTERS[:width]] for steps in prefixes]


def sampled(prefixes, width, rng):
    return [
        [Proposal(x, 1, len(steps) + 1 == LONGEST) for x in rng.choice(list(LETTERS), width).tolist()]
        for steps in prefixes
    ]


def look_up(table):
    return lambda prefixes: [table[steps] for steps in prefixes]


@given(TABLES)
def test_a_beam_as_wide_as_the_tree_finds_the_best_solution(table):
    found = BeamSearch(beams=len(WHOLE), branch=3, depth=LONGEST)(every_letter, look_up(table))
    assert [beam.value for beam in found.beams] == sorted((table[steps] for steps in WHOLE), reverse=True)
    assert {beam.steps for beam in found.beams} == set(WHOLE)
    assert found.stopped == "finished"
    assert found.best == found.beams[0]


@given(TABLES)
def test_one_beam_is_greedy(table):
    steps = ()
    while len(steps) < LONGEST:
        options = [(*steps, x) for x in LETTERS]
        steps = options[best_of_n([table[option] for option in options])]
    found = BeamSearch(beams=1, branch=3)(every_letter, look_up(table))
    assert found.beams == [(steps, table[steps], True)]


@given(TABLES, st.integers(1, 9))
def test_each_depth_keeps_the_best_of_all_continuations(table, beams):
    kept = [()]
    for _ in range(LONGEST):
        pool = [(*steps, x) for steps in kept for x in LETTERS]
        kept = sorted(pool, key=lambda steps: -table[steps])[:beams]
    found = BeamSearch(beams=beams, branch=3)(every_letter, look_up(table))
    assert [beam.steps for beam in found.beams] == kept


@given(TABLES, st.integers(0, 5))
@settings(max_examples=25)
def test_a_seed_decides_everything(table, seed):
    search = BeamSearch(beams=2, branch=2)
    first, second = (search(sampled, look_up(table), seed=seed) for _ in range(2))
    assert first == second
    assert len({beam.steps for beam in first.beams}) == len(first.beams)


def test_seeds_differ():
    flat = dict.fromkeys(ALL, 0.5)
    search = BeamSearch(beams=1, branch=1)
    assert len({search(sampled, look_up(flat), seed=seed).best.steps for seed in range(20)}) > 1


def test_a_depth_is_one_call_of_the_policy_and_one_of_the_value():
    asked, valued = [], []

    def propose(prefixes, width, rng):
        asked.append(len(prefixes))
        return every_letter(prefixes, width, rng)

    def evaluate(prefixes):
        valued.append(len(prefixes))
        return np.zeros(len(prefixes))

    BeamSearch(beams=2, branch=3)(propose, evaluate)
    assert (asked, valued) == ([1, 2, 2], [3, 6, 6])


def test_a_finished_beam_stays_only_while_it_is_among_the_best():
    def propose(prefixes, width, rng):
        return [[Proposal("stop", 1, True), Proposal("go", 1, len(steps) == 2)] for steps in prefixes]

    values = {("stop",): 0.5, ("go",): 0.4, ("go", "stop"): 0.45, ("go", "go"): 0.5}
    search = BeamSearch(beams=2, branch=2, depth=2)
    found = search(propose, lambda prefixes: [values[steps] for steps in prefixes])
    assert [beam.steps for beam in found.beams] == [("stop",), ("go", "go")]
    assert (found.best.steps, found.stopped) == (("stop",), "depth")
    values[("go", "stop")], values[("go", "go")] = 0.6, 0.7
    found = search(propose, lambda prefixes: [values[steps] for steps in prefixes])
    assert [beam.steps for beam in found.beams] == [("go", "go"), ("go", "stop")]
    assert found.best.steps == ("go", "stop")


def test_a_dead_end_drops_out_and_an_end_everywhere_leaves_what_there_was():
    def propose(prefixes, width, rng):
        return [[] if steps[-1:] == ("a",) else [Proposal("a"), Proposal("b")] for steps in prefixes]

    def evaluate(prefixes):
        return [steps.count("a") for steps in prefixes]

    found = BeamSearch(beams=2, branch=2, depth=3)(propose, evaluate)
    assert {beam.steps[:2] for beam in found.beams} == {("b", "b")}
    greedy = BeamSearch(beams=1, branch=2)(propose, evaluate)
    assert (greedy.best.steps, greedy.stopped) == (("a",), "no_steps")
    nothing = BeamSearch()(lambda prefixes, *_: [[] for _ in prefixes], evaluate)
    assert nothing.best.steps == ()
    assert np.isnan(nothing.best.value)


@pytest.mark.parametrize("name", ["beams", "branch", "depth"])
@pytest.mark.parametrize("value", [0, 1.5, True, None])
def test_counts_are_checked(name, value):
    with pytest.raises(ValueError, match=f"BeamSearch.{name}: expected an integer"):
        BeamSearch(**{name: value})
