"""Signal → Signal: scaling, clipping, centring, normalising, reducing, scheduling and combining.

Nothing here reads what a sample says; a transform sees numbers, groups and the context.
"""

from guerdon.core.registry import register_method
from guerdon.shape.channel import ChannelTransform
from guerdon.shape.clip_delta import StepClip, StepDelta, step_deltas
from guerdon.shape.combine import NormalizedSum, normalized_sum, zscore_average
from guerdon.shape.length_penalty import GroupLengthPenalty, excess_length
from guerdon.shape.normalize import BatchNormalize, Center, GroupNormalize
from guerdon.shape.percentile import PercentileNormalize
from guerdon.shape.pointwise import Affine, Clip, Threshold
from guerdon.shape.process_outcome import ProcessOutcome, step_rewards
from guerdon.shape.relative_length import (
    SavingAmongCorrect,
    SavingOverMean,
    saving_among_correct,
    saving_over_mean,
)
from guerdon.shape.routing import ExtraIn, NotRouted, route
from guerdon.shape.running import RunningNormalize
from guerdon.shape.schedule import Schedule
from guerdon.shape.statistics import GroupStatistics, group_statistics
from guerdon.shape.total import Total
from guerdon.shape.verified_score import VerifiedScore, verified_score

register_method(
    "ppr",
    title="Hybrid Reward Normalization for Process-supervised Non-verifiable Agentic Tasks",
    arxiv="2509.25598",
    room="shape",
    public="guerdon.shape.ProcessOutcome",
)
register_method(
    "harmo",
    title="Beyond Monolithic Rewards: A Hybrid and Multi-Aspect Reward Optimization for MLLM Alignment",
    arxiv="2510.05283",
    room="shape",
    public="guerdon.shape.GroupLengthPenalty",
)
register_method(
    "rl-reward-clip-delta",
    title="On Designing Effective RL Reward at Training Time for LLM Reasoning",
    arxiv="2410.15115",
    room="shape",
    public="guerdon.shape.StepDelta",
)
register_method(
    "qwen25-math",
    title="Qwen2.5-Math Technical Report: Toward Mathematical Expert Model via Self-Improvement",
    arxiv="2409.12122",
    room="shape",
    public="guerdon.shape.VerifiedScore",
)

__all__ = [
    "Affine",
    "BatchNormalize",
    "Center",
    "ChannelTransform",
    "Clip",
    "ExtraIn",
    "GroupLengthPenalty",
    "GroupNormalize",
    "GroupStatistics",
    "NormalizedSum",
    "NotRouted",
    "PercentileNormalize",
    "ProcessOutcome",
    "RunningNormalize",
    "SavingAmongCorrect",
    "SavingOverMean",
    "Schedule",
    "StepClip",
    "StepDelta",
    "Threshold",
    "Total",
    "VerifiedScore",
    "excess_length",
    "group_statistics",
    "normalized_sum",
    "route",
    "saving_among_correct",
    "saving_over_mean",
    "step_deltas",
    "step_rewards",
    "verified_score",
    "zscore_average",
]
