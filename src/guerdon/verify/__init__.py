"""Rewards computed from rules: mathematics, output format, tool calls, overlap with references, length and cost."""

from guerdon.core.registry import register_method
from guerdon.verify.bleu import SACREBLEU, sentence_bleu
from guerdon.verify.call_matching import (
    greedy_assignment,
    multiset_jaccard,
    parameter_match,
    whole_call_match,
)
from guerdon.verify.chrf import sentence_chrf
from guerdon.verify.cost import Cost
from guerdon.verify.format import JsonSchema, Sections, TagFormat, parse_json
from guerdon.verify.length import Length, Overlong, length_band, overlong_penalty
from guerdon.verify.math import MathAnswer
from guerdon.verify.overlap import Bleu, BleuRouge, Chrf, Rouge
from guerdon.verify.repetition import Repetition, repeated_share
from guerdon.verify.rouge import sentence_rouge
from guerdon.verify.tool_calls import ToolCallMatch
from guerdon.verify.tool_efficiency import (
    ToolCount,
    ToolEfficiency,
    otc_grpo_factor,
    otc_ppo_factor,
    tool_productivity,
)

register_method(
    "toolrl",
    title="ToolRL: Reward is All Tool Learning Needs",
    arxiv="2504.13958",
    room="verify",
    public="guerdon.verify.ToolCallMatch",
)
register_method(
    "otc-po",
    title="Acting Less is Reasoning More! Teaching Model to Act Efficiently",
    arxiv="2504.14870",
    room="verify",
    public="guerdon.verify.ToolEfficiency",
)
register_method(
    "bleuberi",
    title="BLEUBERI: BLEU is a surprisingly effective reward for instruction following",
    arxiv="2505.11080",
    room="verify",
    public="guerdon.verify.Bleu",
)

__all__ = [
    "SACREBLEU",
    "Bleu",
    "BleuRouge",
    "Chrf",
    "Cost",
    "JsonSchema",
    "Length",
    "MathAnswer",
    "Overlong",
    "Repetition",
    "Rouge",
    "Sections",
    "TagFormat",
    "ToolCallMatch",
    "ToolCount",
    "ToolEfficiency",
    "greedy_assignment",
    "length_band",
    "multiset_jaccard",
    "otc_grpo_factor",
    "otc_ppo_factor",
    "overlong_penalty",
    "parameter_match",
    "parse_json",
    "repeated_share",
    "sentence_bleu",
    "sentence_chrf",
    "sentence_rouge",
    "tool_productivity",
    "whole_call_match",
]
