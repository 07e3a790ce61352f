"""Solutions whose steps people rated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, NamedTuple

from guerdon.audit.rows import read_rows


class LabelledStep(NamedTuple):
    """A step: −1 is wrong, 0 neither right nor wrong, 1 right; None was not rated, as what the rater wrote."""

    text: str
    label: int | None


@dataclass(frozen=True, slots=True)
class LabelledSolution:
    """A problem and its rated solution.

    `steps`: the path that was taken, each step one of the alternatives or the rater's own · `alternatives[i]`: what was
    proposed and rated at position i · `answer`: the true one. Where the rater chose none of the last alternatives, they
    go one position further than the path.
    """

    problem: str
    answer: str
    steps: Sequence[LabelledStep]
    alternatives: Sequence[Sequence[LabelledStep]]

    @property
    def first_error(self) -> int | None:
        """The position of the first step labelled −1, or None.

        It is `len(steps)`, a position of `alternatives`, where the only proposal for what follows the path is a wrong one,
        as where the second phase of the labelling ends at a mistake. The first phase goes on with a right alternative, so
        its paths have none.
        """
        first = next((i for i, step in enumerate(self.steps) if step.label == -1), None)
        rejected = [step.label for proposed in self.alternatives[len(self.steps) :] for step in proposed]
        return len(self.steps) if first is None and rejected == [-1] else first


def read_step_labels(path: str | PathLike[str]) -> list[LabelledSolution]:
    """The rated solutions of a file of PRM800K, with every alternative.

    One row a solution, as JSON lines, gzipped or not: `question.problem`, `question.ground_truth_answer` and
    `label.steps`, of which each has `completions` (`text`, `rating`), `chosen_completion` (an index or null) and
    `human_completion` (or null). A step without a choice has the human's; with neither, the path ends, as at a step whose
    `completions` are null.

    Raises `ValueError`, which names the line, on any other row; `FileNotFoundError`.

    Hunter Lightman et al., "Let's Verify Step by Step", arXiv 2305.20050, repository openai/prm800k.
    """
    return read_rows(path, _solution)


def _solution(row: Mapping[str, Any]) -> LabelledSolution:
    question, label = _entry(row, "question", dict), _entry(row, "label", dict)
    path = list[LabelledStep]()
    alternatives = list[list[LabelledStep]]()
    ended = False
    for position in _entry(label, "steps", list):
        if ended:
            raise ValueError("label.steps: there is a step after one that has neither a choice nor a human's")
        unproposed = isinstance(position, Mapping) and position.get("completions") is None
        proposed = [] if unproposed else [_step(one) for one in _entry(position, "completions", list)]
        alternatives.append(proposed)
        taken = _taken(position, proposed)
        ended = taken is None
        if taken is not None:
            path.append(taken)
    problem, answer = _entry(question, "problem", str), _entry(question, "ground_truth_answer", str)
    return LabelledSolution(problem, answer, path, alternatives)


def _taken(position: Mapping[str, Any], proposed: Sequence[LabelledStep]) -> LabelledStep | None:
    choice, human = position.get("chosen_completion"), position.get("human_completion")
    if choice is None:
        return None if human is None else _step(human)
    if type(choice) is not int or not 0 <= choice < len(proposed):
        raise ValueError(
            f"chosen_completion: expected an index into {len(proposed)} completions, got {choice!r:.40}"
        )
    return proposed[choice]


def _step(entry: Any) -> LabelledStep:
    text = _entry(entry, "text", str)
    rating = entry.get("rating")
    if rating is not None and (type(rating) is not int or rating not in (-1, 0, 1)):
        raise ValueError(f"rating: expected -1, 0, 1 or null, got {rating!r:.40}")
    return LabelledStep(text, rating)


def _entry(mapping: Any, key: str, kind: type) -> Any:
    if not isinstance(mapping, Mapping):
        raise ValueError(f"{key}: expected an object that has it, got {type(mapping).__name__}")
    if not isinstance(mapping.get(key), kind):
        raise ValueError(f"{key}: expected {kind.__name__}, got {type(mapping.get(key)).__name__}")
    return mapping[key]
