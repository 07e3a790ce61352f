"""Verdicts of the answer graders beside those of the records, and every row in which they differ."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from guerdon import Chat, Reward
from guerdon.verify import MathAnswer, ToolIntegratedMath, final_answer

MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


class Graded(NamedTuple):
    """An answer, and whether the record holds it right; `where` names the row."""

    where: str
    sample: Chat
    right: bool


class Agreement(NamedTuple):
    """What a reward says of a set of records: how many are right, and where it and the record differ."""

    answers: int
    right_in_record: int
    right_by_reward: int
    differing: list[Graded]


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def tool_integrated(folder: Path) -> Iterator[Graded]:
    """These records have no verdict: the released prediction is right where it is the same number as the answer."""
    for row in rows(folder / "tora_gsm8k_tora_70b.jsonl.gz"):
        sample = Chat(row["question"], row["code"][0], reference=row["gt"])
        yield Graded(f"idx {row['idx']}", sample, _same_number(row["pred"][0], row["gt"]))


def grade_school(folder: Path) -> Iterator[Graded]:
    for i, row in enumerate(rows(folder / "gsm8k_model_solutions.jsonl.gz")):
        for model in MODELS:
            sample = Chat(row["question"], row[model]["solution"], reference=row["ground_truth"])
            yield Graded(f"row {i}, {model}", sample, row[model]["is_correct"])


def competition(folder: Path) -> Iterator[Graded]:
    for i, row in enumerate(rows(folder / "math_rm_at_8.jsonl.gz")):
        for k, (answer, right) in enumerate(zip(row["code"], row["score"], strict=True)):
            yield Graded(f"row {i}, answer {k}", Chat(row["question"], answer, reference=row["gt"]), right)


GRADERS: dict[tuple[str, str], tuple[Callable[[Path], Iterator[Graded]], Reward]] = {
    ("tora_gsm8k_tora_70b", "tool_integrated_math"): (tool_integrated, ToolIntegratedMath()),
    ("tora_gsm8k_tora_70b", "tool_integrated_math, percentages"): (tool_integrated, ToolIntegratedMath(True)),
    ("tora_gsm8k_tora_70b", "math"): (tool_integrated, MathAnswer()),
    ("gsm8k_model_solutions", "math"): (grade_school, MathAnswer()),
    ("math_rm_at_8", "math"): (competition, MathAnswer()),
}


def compare(graded: list[Graded], reward: Reward) -> Agreement:
    """`ValueError` where the reward has no value for an answer."""
    signal = reward([each.sample for each in graded])
    if not signal.ok.all():
        raise ValueError(f"{reward.name}: {signal.reasons}")
    right = signal.outcome > 0
    differing = [each for each, found in zip(graded, right, strict=True) if found != each.right]
    return Agreement(len(graded), sum(each.right for each in graded), int(right.sum()), differing)


def extraction(folder: Path) -> list[str]:
    """Rows in which the answer found in a trajectory isn't the released prediction."""
    found = rows(folder / "tora_gsm8k_tora_70b.jsonl.gz")
    return [f"idx {row['idx']}" for row in found if final_answer(row["code"][0]) != row["pred"][0]]


def _same_number(predicted: str, gold: str) -> bool:
    try:
        return float(predicted.replace(",", "")) == float(gold.replace(",", ""))
    except ValueError:
        return False
