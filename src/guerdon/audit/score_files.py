"""Score files of RewardMATH: what models and judges gave to one correct and nine incorrect solutions a problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, TypeAlias

from guerdon.audit.one_to_many import Benchmark, compare_one_to_many, scores_of_verdicts, summarize
from guerdon.audit.rows import read_rows
from guerdon.steer.aggregate import Aggregation, aggregate

Score: TypeAlias = "float | Sequence[float]"


@dataclass(frozen=True, slots=True)
class ScoredProblem:
    """Scores of the solutions of one problem: each a number, or one number a step."""

    problem: str | int
    correct: Sequence[Score]
    incorrect: Sequence[Score]

    @property
    def stepwise(self) -> bool:
        """Whether steps are scored."""
        return any(isinstance(score, Sequence) for score in (*self.correct, *self.incorrect))

    def scores(self, how: Aggregation = "prod") -> tuple[list[float], list[float]]:
        """One number a correct and an incorrect solution; `how` makes it of the numbers of its steps."""
        correct, incorrect = (
            [float(aggregate(score, how)) if isinstance(score, Sequence) else score for score in side]
            for side in (self.correct, self.incorrect)
        )
        return correct, incorrect


def one_to_many_benchmark(problems: Sequence[ScoredProblem], how: Aggregation = "prod") -> Benchmark:
    """RewardMATH's figures of one model: `compare_one_to_many` of every problem, and means.

    `how`: the aggregation of step scores, for a model that scores steps.

    Raises `ValueError` where there is no problem, and what `aggregate` and `compare_one_to_many` raise.

    Sunghwan Kim et al., "Evaluating Robustness of Reward Models for Mathematical Reasoning", arXiv 2410.01729, repository
    kimsh0507/RewardMATH_official.
    """
    return summarize(compare_one_to_many(*problem.scores(how)) for problem in problems)


def read_score_file(path: str | PathLike[str]) -> dict[str, list[ScoredProblem]]:
    """The problems of every model in a score file: JSON, or JSON in gzip by its name.

    The file is an object of model name to rows. A row has `problem_id` and `score`, whose first entry is the correct
    solution's: numbers, or lists of step scores. The row of a pairwise judge has also `chosen_position`; its `score`
    are the verdicts ("A", "B" or null), one for each incorrect solution, and become scores by `scores_of_verdicts`.

    Raises `ValueError`, which names model and row, on anything else, on a problem twice, and on a model whose rows are of
    two kinds; `FileNotFoundError`.

    Sunghwan Kim et al., "Evaluating Robustness of Reward Models for Mathematical Reasoning", arXiv 2410.01729, repository
    kimsh0507/RewardMATH_official.
    """
    documents = read_rows(path, _models)
    if len(documents) != 1:
        raise ValueError(f"{path}: expected one object with the rows of every model, got {len(documents)}")
    return documents[0]


def _models(document: Mapping[str, Any]) -> dict[str, list[ScoredProblem]]:
    if not document:
        raise ValueError("no model in the file")
    return {model: _problems(rows, model) for model, rows in document.items()}


def _problems(rows: Any, where: str) -> list[ScoredProblem]:
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{where}: expected a list of at least one row")
    found = dict[str | int, ScoredProblem]()
    for number, row in enumerate(rows):
        try:
            problem = _problem(row)
        except ValueError as error:
            raise ValueError(f"{where}: row {number}: {error}") from None
        if problem.problem in found:
            raise ValueError(f"{where}: row {number}: problem {problem.problem!r} is there already")
        found[problem.problem] = problem
    problems = list(found.values())
    if len({problem.stepwise for problem in problems}) > 1:
        raise ValueError(f"{where}: some rows score steps and others solutions")
    return problems


def _problem(row: Any) -> ScoredProblem:
    if not isinstance(row, Mapping):
        raise ValueError(f"expected an object, got {type(row).__name__}")
    name, score = row.get("problem_id"), row.get("score")
    if type(name) is not int and type(name) is not str:
        raise ValueError(f"problem_id: expected a number or text, got {name!r:.40}")
    if not isinstance(score, list):
        raise ValueError(f"score: expected a list, got {type(score).__name__}")
    if "chosen_position" in row:
        positions = row["chosen_position"]
        if not isinstance(positions, list):
            raise ValueError(f"chosen_position: expected a list, got {type(positions).__name__}")
        correct, incorrect = scores_of_verdicts(score, positions)
        return ScoredProblem(name, [correct], incorrect)
    if len(score) < 2:
        raise ValueError(f"score: expected the correct solution's and at least one more, got {len(score)}")
    stepwise = isinstance(score[0], list)
    expected = "a list of at least one number" if stepwise else "a number"
    for i, entry in enumerate(score):
        sound = isinstance(entry, list) and entry and all(map(_number, entry)) if stepwise else _number(entry)
        if not sound:
            raise ValueError(f"score[{i}]: expected {expected}, got {entry!r:.40}")
    return ScoredProblem(name, score[:1], score[1:])


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
