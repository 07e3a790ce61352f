"""RewardMATH."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guerdon.audit import compare_one_to_many, parse_rating, parse_verdict, scores_of_verdicts
from guerdon.steer.aggregate import AGGREGATIONS, aggregate

from .registry import adapter


@adapter("step_score_aggregations_min_max_prod")
def aggregations(inputs: Mapping[str, Any]) -> dict[str, float]:
    return {how: float(aggregate(inputs["step_scores"], how)) for how in AGGREGATIONS}


@adapter("one_many_comparison_one_problem_strict_every")
def one_to_many(inputs: Mapping[str, Any]) -> dict[str, Any]:
    found = compare_one_to_many(inputs["correct"], inputs["incorrect"])
    return {"strict": found.strict, "with_tie": found.with_ties, "mrr": found.reciprocal_rank}


@adapter("pairwise_judge_ranks_wins_verdict_equals")
def pairwise(inputs: Mapping[str, Any]) -> dict[str, Any]:
    chosen, rejected = scores_of_verdicts(inputs["verdicts"], inputs["correct_position"])
    compared = one_to_many({"correct": [chosen], "incorrect": rejected})
    return {"chosen": chosen, "rejected": rejected, **compared}


@adapter("direct_assessment_parse_first_integer_after")
def rating(inputs: Mapping[str, Any]) -> int | None:
    return parse_rating(inputs["text"])


@adapter("pairwise_parse_first_or_b_after_last")
def verdict(inputs: Mapping[str, Any]) -> str | None:
    return parse_verdict(inputs["text"])
