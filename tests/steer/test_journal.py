"""A search that is killed and repeated ends as one that wasn't, and asks nothing twice."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from guerdon.steer import BeamSearch, Proposal, TreeSearch
from guerdon.steer.journal import JournalMismatch, SearchJournal
from guerdon.steer.sampling import sample_solutions


class Killed(Exception):
    """What ends a run half way."""


class Model:
    """A policy and a value that count their calls, and die at one of them."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.calls, self._dies_at = [], dies_at

    def propose(self, prefixes, width, rng):
        self._count(("propose", tuple(prefixes), width))
        return [
            [Proposal(f"é{rng.integers(4)}", int(rng.integers(9)), len(steps) == 3) for _ in range(width)]
            for steps in prefixes
        ]

    def evaluate(self, prefixes):
        self._count(("evaluate", tuple(prefixes)))
        return [math.nan if steps[-1] == "é3" else 0.1 * len(steps) for steps in prefixes]

    def _count(self, call):
        if len(self.calls) == self._dies_at:
            raise Killed
        self.calls.append(call)


def run(model, path, search, seed=0):
    with SearchJournal(path) as journal:
        return search(journal.propose(model.propose), journal.evaluate(model.evaluate), seed=seed)


SEARCHES = [
    TreeSearch(iterations=10, branch=2, leaves=2),
    BeamSearch(beams=2, branch=3, depth=4),
    lambda propose, evaluate, seed: sample_solutions(propose, 5, depth=3, seed=seed).spent,
]


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("dies_at", [0, 1, 2, 3])
def test_a_killed_search_goes_on(tmp_path, search, dies_at):
    whole = Model()
    expected = search(whole.propose, whole.evaluate, seed=0)
    path = tmp_path / "search.jsonl"
    first, second, third = Model(min(dies_at, len(whole.calls) - 1)), Model(), Model(0)
    with pytest.raises(Killed):
        run(first, path, search)
    assert run(second, path, search) == expected
    assert first.calls + second.calls == whole.calls
    assert run(third, path, search) == expected


def test_a_line_that_was_cut_short_is_asked_again(tmp_path):
    path, search = tmp_path / "search.jsonl", SEARCHES[0]
    expected = run(Model(), path, search)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]) + lines[4][:20])
    model = Model()
    assert run(model, path, search) == expected
    assert len(model.calls) == len(lines) - 4
    assert path.read_bytes() == b"".join(lines)


def test_several_searches_share_a_file_one_after_the_other(tmp_path):
    def both(model):
        with SearchJournal(tmp_path / "search.jsonl") as journal:
            propose, evaluate = journal.propose(model.propose), journal.evaluate(model.evaluate)
            return [search(propose, evaluate, seed=seed) for seed, search in enumerate(SEARCHES)]

    whole = both(Model())
    assert both(Model(0)) == whole


@pytest.mark.parametrize("other", [{"seed": 1}, {"search": TreeSearch(iterations=10, branch=3)}])
def test_another_run_is_refused(tmp_path, other):
    path = tmp_path / "search.jsonl"
    run(Model(), path, SEARCHES[0])
    with pytest.raises(JournalMismatch, match=r"search\.jsonl, line 1: that call had another"):
        run(Model(), path, **{"search": SEARCHES[0], **other})


@pytest.mark.parametrize("line", ["not json", "[]", '{"step": 1}', "3"])
def test_a_file_of_something_else_is_refused(tmp_path, line):
    path = tmp_path / "search.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(JournalMismatch, match="line 1: not of a journal"):
        SearchJournal(path)
    assert path.read_text() == line + "\n"


@pytest.mark.parametrize("step", [("a",), b"a", np.int64(3), frozenset()])
def test_steps_that_would_come_back_as_others_are_refused(tmp_path, step):
    path = tmp_path / "search.jsonl"
    with SearchJournal(path) as journal:
        propose = journal.propose(lambda *_: [[Proposal(step)]])
        with pytest.raises(TypeError, match="step: expected text"):
            propose([()], 1, np.random.default_rng(0))
    assert path.read_text() == ""


def test_a_line_is_there_when_its_call_ends(tmp_path):
    path = tmp_path / "search.jsonl"
    with SearchJournal(path) as journal:
        journal.propose(Model().propose)([()], 2, np.random.default_rng(0))
        (line,) = path.read_text("utf-8").splitlines()
    assert len(json.loads(line)["proposals"][0]) == 2


def test_numbers_of_numpy_are_written(tmp_path):
    def counted(prefixes, width, rng):
        return [[Proposal("x", np.int64(2), np.bool_(False))] for _ in prefixes]

    for _ in range(2):
        with SearchJournal(tmp_path / "journal") as journal:
            (found,) = journal.propose(counted)([()], 1, np.random.default_rng(0))
        assert found == [Proposal("x", 2, False)]
