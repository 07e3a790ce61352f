"""Rounds of search and fitting: what the fits are given, and that a killed run goes on."""

from __future__ import annotations

import json

import numpy as np
import pytest

import guerdon
from guerdon import Abstain, Chat, reward
from guerdon.lab.chain_writer import CHOICES, ChainWriter, Choice, habits, read, state_of
from guerdon.lab.chains import Chain, Chains
from guerdon.lab.tabular import TabularPolicy
from guerdon.steer import Budget, Proposal, TreeSearch
from guerdon.train.self_training import SelfTraining

WORLD = Chains(operations=2)
TASKS = [task.chat("") for task in WORLD.tasks(12, seed=1)]
SEARCH = TreeSearch(iterations=6, branch=2, rollout_steps=1, collect=True, gate=2.0)
WRITER = ChainWriter(skill=0.6, longest=5)


@reward
def answered(sample: Chat) -> float:
    return float(WORLD.check(sample).solved)


class Killed(Exception):
    """What ends a run half way."""


class Learner:
    """A table policy that is fitted by counting, and a value that remembers targets; counts its searches."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.searched, self.solutions, self.examples, self.folders = 0, [], [], []
        self._dies_at = dies_at

    def policy(self, table: TabularPolicy):
        def for_task(task):
            if self.searched == self._dies_at:
                raise Killed
            self.searched += 1
            return WRITER.proposals(Chain.of(task), table)

        return for_task

    def start(self):
        return self.policy(TabularPolicy(habits({})))

    def fit_policy(self, solutions, folder):
        self.solutions.append(solutions)
        self.folders.append(folder.name)
        counts = {}
        for sample in solutions:
            done = ()
            for line in sample.text.split("\n"):
                state = state_of(read(Chain.of(sample), done))
                counts.setdefault(state, np.full(CHOICES, 0.5))[self._choice(sample, done, line)] += 1
                done = (*done, line)
        return self.policy(TabularPolicy(lambda state, options: np.log(counts.get(state, np.ones(options)))))

    @staticmethod
    def _choice(sample, done, line):
        """The first choice whose line looks alike; enough to learn from."""
        if line.startswith("answer"):
            left = state_of(read(Chain.of(sample), done)).left
            return Choice.ANSWER if left else Choice.WORK
        if line.startswith("no"):
            return Choice.REPAIR
        progress = read(Chain.of(sample), done)
        before = progress.done
        progress.read(line)
        if progress.done > before:
            return Choice.WORK
        return Choice.TRIVIAL if "+0=" in line else Choice.STRAY

    def fit_value(self, examples, folder):
        self.examples.append(list(examples))
        known = {}
        for sample, target in examples:
            known.setdefault((sample.prompt[0]["content"], sample.text), []).append(target)

        def for_task(task):
            name = task.prompt[0]["content"]
            return lambda prefixes: [np.mean(known.get((name, "\n".join(s)), [0.3])) for s in prefixes]

        return for_task


def flat(task):
    return lambda prefixes: [0.5] * len(prefixes)


def train(folder, learner=None, training=None, *, tasks=TASKS, verify=answered, seed=0):
    learner = learner or Learner()
    training = training or SelfTraining(SEARCH, rounds=3)
    return training(
        tasks, learner.start(), flat, verify, learner.fit_policy, learner.fit_value, folder, seed=seed
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    learner, folder = Learner(), tmp_path_factory.mktemp("whole")
    return train(folder, learner).rounds, learner, folder


def test_the_policy_gets_right_solutions_once_and_learns_from_them(whole):
    rounds, learner, _ = whole
    for found, solutions in zip(rounds, learner.solutions, strict=True):
        assert all(answered([sample]).outcome[0] == 1.0 for sample in solutions)
        keys = [(sample.prompt[0]["content"], sample.text) for sample in solutions]
        assert len(set(keys)) == len(keys) == found.solutions
        assert len({prompt for prompt, _ in keys}) == round(found.solved * len(TASKS))
    assert rounds[-1].solved > rounds[0].solved
    assert rounds[-1].solved >= rounds[-1].answered


def test_the_value_gets_all_targets_so_far(whole):
    rounds, learner, _ = whole
    assert [len(examples) for examples in learner.examples] == np.cumsum(
        [r.examples for r in rounds]
    ).tolist()
    targets = {(e.sample.prompt[0]["content"], e.sample.text): e.target for e in learner.examples[0]}
    assert all(0.0 <= target <= 1.0 for target in targets.values())
    assert not any(text == "" for _, text in targets)
    for sample in learner.solutions[0]:
        assert targets[(sample.prompt[0]["content"], sample.text)] == 1.0
        first = targets[(sample.prompt[0]["content"], sample.text.split("\n")[0])]
        assert 0.0 < first < 1.0
    wrong = [
        e.target
        for e in learner.examples[0]
        if "answer" in e.sample.text and not answered([e.sample]).outcome[0]
    ]
    assert wrong
    assert max(wrong) < 1.0


def test_the_files_say_what_the_fits_were_given(whole):
    rounds, learner, folder = whole
    assert learner.folders == ["round-01", "round-02", "round-03"]
    for number, found in enumerate(rounds, start=1):
        here = folder / f"round-{number:02d}"
        assert found.number == number
        solutions = guerdon.read(here / "solutions.jsonl")
        assert [s.text for s in solutions] == [s.text for s in learner.solutions[number - 1]]
        examples = guerdon.read(here / "examples.jsonl")
        fresh = learner.examples[number - 1][-found.examples :]
        assert [(s.text, s.extra["target"]) for s in examples] == [(e.sample.text, e.target) for e in fresh]
        trees = [json.loads(line) for line in (here / "trees.jsonl").read_text().splitlines()]
        assert len(trees) == len(TASKS)
        assert sum(tree["tokens"] for tree in trees) == found.tokens > 0


@pytest.mark.parametrize("dies_at", [0, 5, 12, 30])
def test_a_killed_run_goes_on_and_searches_nothing_twice(tmp_path, whole, dies_at):
    first, second = Learner(dies_at), Learner()
    with pytest.raises(Killed):
        train(tmp_path, first)
    result = train(tmp_path, second)
    assert result.rounds == whole[0]
    assert first.searched + second.searched == 3 * len(TASKS)
    assert second.solutions == whole[1].solutions
    assert second.examples == whole[1].examples


def test_a_tree_that_was_cut_short_is_searched_again(tmp_path):
    training = SelfTraining(SEARCH, rounds=1)
    expected = train(tmp_path, training=training).rounds
    path = tmp_path / "round-01" / "trees.jsonl"
    data = path.read_bytes()
    path.write_bytes(data[:-10])
    learner = Learner()
    assert train(tmp_path, learner, training).rounds == expected
    assert learner.searched == 1
    assert path.read_bytes() == data


def test_more_rounds_may_follow(tmp_path, whole):
    train(tmp_path, training=SelfTraining(SEARCH, rounds=1))
    learner = Learner()
    assert train(tmp_path, learner).rounds == whole[0]
    assert learner.searched == 2 * len(TASKS)


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"tasks": TASKS[:3]},
        {"training": SelfTraining(SEARCH, rounds=1, budget=Budget(calls=5))},
        {"verify": answered * 0.5},
    ],
)
def test_a_folder_of_another_run_is_refused(tmp_path, other):
    training = SelfTraining(SEARCH, rounds=1)
    train(tmp_path, training=training)
    with pytest.raises(ValueError, match="holds a run over other tasks"):
        train(tmp_path, **{"training": training, **other})


def test_what_cannot_be_checked_teaches_nothing(tmp_path):
    @reward
    def silent(sample: Chat) -> float:
        raise Abstain("no answer is known")

    learner = Learner()
    result = train(tmp_path, learner, verify=silent)
    assert [(r.solved, r.answered, r.solutions, r.examples) for r in result.rounds] == [(0.0, 0.0, 0, 0)] * 3
    assert learner.solutions == learner.examples == []
    assert result.value is flat


def test_solutions_below_the_least_value_are_left_out(tmp_path):
    learner = Learner()
    train(tmp_path, learner, SelfTraining(SEARCH, rounds=1, least_value=0.6))
    assert not learner.solutions
    assert learner.examples[0]


def test_a_value_below_zero_keeps_right_solutions(tmp_path):
    learner = Learner()

    def ratings(task):
        return lambda prefixes: [-0.5] * len(prefixes)

    result = SelfTraining(SEARCH, rounds=1)(
        TASKS, learner.start(), ratings, answered, learner.fit_policy, learner.fit_value, tmp_path
    )
    assert result.rounds[0].solved
    assert result.rounds[0].solutions


def test_the_seed_decides(tmp_path, whole):
    assert train(tmp_path / "same").rounds == whole[0]
    assert train(tmp_path / "other", seed=9).rounds != whole[0]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"search": TreeSearch()}, "search: expected one with collect=True"),
        ({"rounds": 0}, "rounds: expected"),
        ({"right_from": float("nan")}, "right_from: expected"),
    ],
)
def test_options_that_cannot_be_are_refused(options, expected):
    with pytest.raises(ValueError, match=rf"SelfTraining\.{expected}"):
        SelfTraining(**options)


def test_tasks_and_texts_are_needed(tmp_path):
    with pytest.raises(ValueError, match="tasks: expected at least one"):
        train(tmp_path, tasks=[])
    with pytest.raises(TypeError, match="expected steps that are texts"):
        SelfTraining(SEARCH)(
            TASKS,
            lambda task: lambda prefixes, width, rng: [[Proposal(1.5)] for _ in prefixes],
            flat,
            answered,
            None,
            None,
            tmp_path,
        )
