"""ToRA. The cases were computed with the released grader, hence `percentages=True`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guerdon.verify.math_grading import answers_equal
from guerdon.verify.math_strings import normalize_answer
from guerdon.verify.programs import final_answer, last_program

from .registry import adapter


@adapter("extract_final_answer_tool_integrated")
def extracted(inputs: Mapping[str, Any]) -> str:
    return final_answer(inputs["text"])


@adapter("normalise_answer_string")
def normalised(inputs: Mapping[str, Any]) -> str:
    return normalize_answer(inputs["text"])


@adapter("mathematical_equality_prediction_reference")
def equal(inputs: Mapping[str, Any]) -> bool:
    return answers_equal(inputs["prediction"], inputs["reference"], percentages=True)


@adapter("extract_last_python_program_trajectory")
def program(inputs: Mapping[str, Any]) -> str:
    return last_program(inputs["text"])
