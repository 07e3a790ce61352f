"""Is a reward any good: benchmarks on recorded scores, best-of-n, and what selection does to the true reward."""

from guerdon.audit.best_of_n import (
    BestOfN,
    Candidates,
    SelectionPoint,
    best_of_n_accuracy,
    best_of_n_kl,
    math_equal,
    selection_curve,
)
from guerdon.audit.candidate_files import read_candidates
from guerdon.audit.judge_replies import parse_rating, parse_verdict
from guerdon.audit.one_to_many import (
    Benchmark,
    Comparison,
    compare_one_to_many,
    scores_of_verdicts,
    summarize,
)
from guerdon.audit.score_files import ScoredProblem, one_to_many_benchmark, read_score_file
from guerdon.audit.step_labels import LabelledSolution, LabelledStep, read_step_labels
from guerdon.core.registry import register_method

register_method(
    "rewardmath",
    title="Evaluating Robustness of Reward Models for Mathematical Reasoning (RewardMATH)",
    arxiv="2410.01729",
    room="audit",
    public="guerdon.audit.one_to_many_benchmark",
)

__all__ = [
    "Benchmark",
    "BestOfN",
    "Candidates",
    "Comparison",
    "LabelledSolution",
    "LabelledStep",
    "ScoredProblem",
    "SelectionPoint",
    "best_of_n_accuracy",
    "best_of_n_kl",
    "compare_one_to_many",
    "math_equal",
    "one_to_many_benchmark",
    "parse_rating",
    "parse_verdict",
    "read_candidates",
    "read_score_file",
    "read_step_labels",
    "scores_of_verdicts",
    "selection_curve",
    "summarize",
]
