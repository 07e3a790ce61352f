"""Rounds of search and fitting: a value guides a search, and its trees teach the policy and the value."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from guerdon.core.checks import check_count, check_number
from guerdon.core.identity import digest
from guerdon.core.io import write_samples
from guerdon.core.io.files import drop_cut_line, replacing, whole_lines
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.models.step_tree import StepTree
from guerdon.models.tree_labels import tree_value_targets
from guerdon.steer.proposals import UNLIMITED, Budget, Evaluate, Propose
from guerdon.steer.tree_search import Tree, TreeSearch

Policy: TypeAlias = Callable[[Chat], Propose]
"""The policy for one task."""
Value: TypeAlias = Callable[[Chat], Evaluate]
"""The value function for one task."""


class ValueExample(NamedTuple):
    """A solution so far, as a completion of its task, and its `target` in [0, 1]."""

    sample: Chat
    target: float


FitPolicy: TypeAlias = "Callable[[Sequence[Chat], Path], Policy]"
FitValue: TypeAlias = "Callable[[Sequence[ValueExample], Path], Value]"


@dataclass(frozen=True, slots=True)
class SearchedTask:
    """The tree of one task: its steps and which leaves are right, `values` of the search, node of its `answer`, cost."""

    tree: StepTree
    values: Sequence[float]
    answer: int
    calls: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Round:
    """What a round found.

    `solved`: share of tasks with a right solution in their tree · `answered`: share of which the chosen answer is
    right · `solutions`, `examples`: how many it gave to policy and value · `calls`, `tokens`: what its searches spent.
    """

    number: int
    solved: float
    answered: float
    solutions: int
    examples: int
    calls: int
    tokens: int


class SelfTrained(NamedTuple):
    """The policy and the value of the last fit, and what each round found."""

    policy: Policy
    value: Value
    rounds: list[Round]


@dataclass(frozen=True, slots=True)
class SelfTraining:
    """Self-training by tree search: no steps are labelled by hand, only final answers are checked.

    In round r, with the policy and the value that the rounds before it made:

    1. `search` grows a tree for each task, within `budget`.
    2. `verify` scores each finished solution; it is right from an outcome of `right_from` on. One without an outcome,
       for the reward abstained or failed, counts as not finished.
    3. `tree_value_targets` gives each step a target: how near it is to a right answer in its tree.
    4. Policy data: the right solutions of this round whose value in the search was at least `least_value`, each once;
       None, the default, takes all, also where a value is a rating below 0.
       Value data: every step with a target, of this round and of all before it. Trees without a right solution give
       neither.
    5. `fit_policy(solutions, folder)` and `fit_value(examples, folder)` return the next policy and value, and may keep
       what they like in the folder. Without data of its kind a fit isn't called, and the last one stays.

    As in the paper, a fit starts from the same base model each time; one that goes on from the last weights works too.

    Called with `tasks` (chats whose completions are ignored), the first `policy` and `value`, `verify`, both fits, a
    `folder` and a `seed`. Steps are texts, joined by `separator`.

    The folder gets, for each round, `round-01/` with `trees.jsonl` (a line a task, written when it is searched),
    `solutions.jsonl` (samples as `guerdon.read` takes them) and `examples.jsonl` (the round's own, with the column
    `target`). Repeated with the same arguments, a run that was killed takes the trees that are there and goes on.
    Fits are called again, with equal data, so that a fit that finds its checkpoint in its folder can load it.

    Raises `ValueError` where an option is out of range, `search` doesn't `collect`, or the folder holds a run over other
    tasks, options or seed; `TypeError` for a policy whose steps aren't texts.

    Dan Zhang et al., "ReST-MCTS*: LLM Self-Training via Process Reward Guided Tree Search", arXiv 2406.03816, repository
    THUDM/ReST-MCTS.
    """

    search: TreeSearch = field(default_factory=lambda: TreeSearch(collect=True))
    rounds: int = 2
    budget: Budget = UNLIMITED
    right_from: float = 1.0
    least_value: float | None = None
    separator: str = "\n"

    def __post_init__(self) -> None:
        check_count(self.rounds, "SelfTraining.rounds")
        check_number(self.right_from, "SelfTraining.right_from")
        if self.least_value is not None:
            check_number(self.least_value, "SelfTraining.least_value")
        if not self.search.collect:
            raise ValueError(
                "SelfTraining.search: expected one with collect=True, whose trees can be labelled"
            )

    def __call__(
        self,
        tasks: Sequence[Chat],
        policy: Policy,
        value: Value,
        verify: Reward,
        fit_policy: FitPolicy,
        fit_value: FitValue,
        folder: str | PathLike[str],
        *,
        seed: int = 0,
    ) -> SelfTrained:
        if not tasks:
            raise ValueError("tasks: expected at least one")
        self._claim(Path(folder), tasks, verify, seed)
        examples, rounds = list[ValueExample](), list[Round]()
        for number in range(1, self.rounds + 1):
            here = Path(folder) / f"round-{number:02d}"
            here.mkdir(exist_ok=True)
            found = self._trees(tasks, policy, value, verify, here / "trees.jsonl", (seed, number))
            solutions = [
                s for task, one in zip(tasks, found, strict=True) for s in self._solutions(task, one)
            ]
            new = [e for task, one in zip(tasks, found, strict=True) for e in self._examples(task, one.tree)]
            examples += new
            _write_data(here, solutions, new)
            if solutions:
                policy = fit_policy(solutions, here)
            if new:
                value = fit_value(examples, here)
            rounds.append(_summary(number, found, len(solutions), len(new)))
        return SelfTrained(policy, value, rounds)

    def _claim(self, folder: Path, tasks: Sequence[Chat], verify: Reward, seed: int) -> None:
        """Refuse a folder that holds another run. More rounds of the same run are welcome."""
        asked = [[task.prompt, task.reference] for task in tasks]
        run = digest([repr(replace(self, rounds=1)), asked, verify.fingerprint(), seed])
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "run.json"
        if not path.exists():
            with replacing(path) as scratch:
                scratch.write_text(json.dumps({"run": run}), "utf-8")
        elif json.loads(path.read_text("utf-8"))["run"] != run:
            raise ValueError(f"folder: {folder} holds a run over other tasks, options, reward or seed")

    def _trees(
        self,
        tasks: Sequence[Chat],
        policy: Policy,
        value: Value,
        verify: Reward,
        path: Path,
        seed: tuple[int, int],
    ) -> list[SearchedTask]:
        found = list(_read_trees(path))
        with path.open("a", encoding="utf-8") as file:
            for i in range(len(found), len(tasks)):
                own = int(np.random.default_rng([*seed, i]).integers(1 << 63))
                tree = self.search(policy(tasks[i]), value(tasks[i]), budget=self.budget, seed=own)
                found.append(self._checked(tasks[i], tree, verify))
                file.write(json.dumps(asdict(found[-1])) + "\n")
                file.flush()
        return found

    def _checked(self, task: Chat, tree: Tree, verify: Reward) -> SearchedTask:
        nodes = tree.nodes
        texts = ["", *(node.steps[-1] for node in nodes[1:])]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("policy: expected steps that are texts")
        steps = [str(text) for text in texts]
        parents = [node.parent for node in nodes]
        shape = StepTree(steps, parents, [None] * len(nodes))
        leaves = [i for i, node in enumerate(nodes) if node.finished]
        outcomes = verify([self._sample(task, shape, i) for i in leaves]).outcome if leaves else ()
        right = {
            i: bool(score >= self.right_from)
            for i, score in zip(leaves, outcomes, strict=True)
            if not np.isnan(score)
        }
        checked = StepTree(steps, parents, [right.get(i) for i in range(len(nodes))])
        spent = tree.spent
        return SearchedTask(checked, [n.value for n in nodes], tree.answer, spent.calls, spent.tokens)

    def _sample(self, task: Chat, tree: StepTree, node: int) -> Chat:
        return replace(task, completion=self.separator.join(tree.steps(node)))

    def _solutions(self, task: Chat, found: SearchedTask) -> list[Chat]:
        right = [
            self._sample(task, found.tree, i)
            for i, answer in enumerate(found.tree.correct)
            if answer and (self.least_value is None or found.values[i] >= self.least_value)
        ]
        return list({sample.text: sample for sample in right}.values())

    def _examples(self, task: Chat, tree: StepTree) -> list[ValueExample]:
        # Without node 0: a search gives the empty solution 0 and doesn't ask.
        targets = tree_value_targets(tree.parents, tree.correct)
        return [
            ValueExample(self._sample(task, tree, i), float(targets[i]))
            for i in range(1, len(tree))
            if not np.isnan(targets[i])
        ]


def _read_trees(path: Path) -> Iterator[SearchedTask]:
    """The trees in a file; a line that a kill cut short is removed from it."""
    drop_cut_line(path)
    for line in whole_lines(path):
        row: dict[str, Any] = json.loads(line)
        yield SearchedTask(**{**row, "tree": StepTree(**row["tree"])})


def _write_data(folder: Path, solutions: Sequence[Chat], examples: Sequence[ValueExample]) -> None:
    write_samples(solutions, folder / "solutions.jsonl")
    targets = [replace(sample, extra={**sample.extra, "target": target}) for sample, target in examples]
    write_samples(targets, folder / "examples.jsonl")


def _summary(number: int, found: Sequence[SearchedTask], solutions: int, examples: int) -> Round:
    return Round(
        number,
        solved=float(np.mean([any(one.tree.correct) for one in found])),
        answered=float(np.mean([bool(one.tree.correct[one.answer]) for one in found])),
        solutions=solutions,
        examples=examples,
        calls=sum(one.calls for one in found),
        tokens=sum(one.tokens for one in found),
    )
