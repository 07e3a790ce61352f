"""The reward for mathematics with programs, on made-up samples and on released trajectories."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest

from guerdon.core.registry import create
from guerdon.core.samples import Chat
from guerdon.core.signal import Status
from guerdon.verify.programs import final_answer
from guerdon.verify.tool_integrated import ToolIntegratedMath

TRAJECTORY = "```python\nprint(6*2)\n```\n```output\n12\n```\n"


def outcome(reference: Any, completion: Any = TRAJECTORY, **arguments: Any) -> float:
    return create("tool_integrated_math", arguments=arguments)([Chat("q", completion, reference)]).outcome[0]


def test_the_output_is_the_answer_where_the_text_gives_none() -> None:
    assert outcome("12") == 1
    assert outcome("13") == 0
    assert outcome("13", TRAJECTORY + "So $\\boxed{13}$.") == 1
    assert outcome("12", [{"role": "assistant", "content": "run"}, {"role": "tool", "content": "12"}]) == 1


def test_percentages_are_off_by_default() -> None:
    assert outcome("1200") == 0
    assert outcome("1200", percentages=True) == 1


def test_references_may_be_numbers_and_lists() -> None:
    assert outcome(12.0) == 1
    assert outcome(["5", 12]) == 1
    assert outcome(["5", "6"]) == 0


@pytest.mark.parametrize("reference", [None, "", "$", [], {"a": 1}, True, math.nan, ["12", ""]])
def test_unusable_references_abstain_with_a_reason(reference: Any) -> None:
    signal = ToolIntegratedMath()([Chat("q", TRAJECTORY, reference)])
    assert signal.status[0] == Status.ABSTAINED
    assert signal.reasons[0].startswith("reference: ")


def test_an_empty_answer_scores_zero_and_deep_brackets_fail() -> None:
    assert outcome("12", "") == 0
    signal = ToolIntegratedMath()([Chat("q", f"\\boxed{{{'[' * 20}y}}", "x")])
    assert signal.status[0] == Status.FAILED
    assert "over 12 brackets" in signal.reasons[0]


def test_percentages_must_be_a_truth_value() -> None:
    with pytest.raises(TypeError, match="percentages"):
        ToolIntegratedMath(percentages=1)  # type: ignore[arg-type]


def test_released_trajectories(shared_data: Path) -> None:
    """Every released answer is extracted as released, and the grades are those of the plain numbers."""
    with gzip.open(shared_data / "tora_gsm8k_tora_70b.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    assert [final_answer(row["code"][0]) for row in rows] == [row["pred"][0] for row in rows]
    samples = [Chat(row["question"], row["code"][0], row["gt"]) for row in rows]
    signal = ToolIntegratedMath(percentages=True)(samples)
    assert (signal.status == Status.OK).all()
    assert signal.outcome.mean() == pytest.approx(0.843, abs=5e-4)  # as published
    assert signal.outcome.tolist() == [float(same_number(row["gt"], row["pred"][0])) for row in rows]
    assert ToolIntegratedMath()(samples).outcome.tolist() == signal.outcome.tolist()


def same_number(gold: str, predicted: str) -> bool:
    try:
        return abs(float(predicted) / float(gold.replace(",", "")) - 1) < 1e-4
    except ValueError:
        return False
