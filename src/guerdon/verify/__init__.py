"""Rewards computed from rules: mathematics, output format, tool calls, overlap with references, length and cost."""

from guerdon.core.registry import register_method
from guerdon.verify.bandit import BanditChoice, strategic_reward, ucb_action
from guerdon.verify.bandit_runs import cumulative_regret, greedy_fraction, min_fraction, suffix_failure
from guerdon.verify.bleu import SACREBLEU, sentence_bleu
from guerdon.verify.boxed import LastBoxed, last_boxed
from guerdon.verify.call_matching import (
    call_similarity,
    greedy_assignment,
    matched_share,
    multiset_jaccard,
    optimal_assignment,
    ordered_assignment,
    parameter_match,
    whole_call_match,
)
from guerdon.verify.chrf import sentence_chrf
from guerdon.verify.code import CodeTests
from guerdon.verify.column import Column
from guerdon.verify.cost import Cost
from guerdon.verify.expected_calls import CallMatch
from guerdon.verify.format import JsonSchema, PatternFormat, Sections, TagFormat, parse_json
from guerdon.verify.judged_search import JudgedSearch, judged_search_score
from guerdon.verify.length import Length, Overlong, UnitCount, length_band, overlong_penalty
from guerdon.verify.math import MathAnswer
from guerdon.verify.math_grading import answers_equal
from guerdon.verify.nugget_labels import parse_labels
from guerdon.verify.nuggets import NuggetLabels, label_f1, nugget_recall
from guerdon.verify.overlap import Bleu, BleuRouge, Chrf, Rouge
from guerdon.verify.programs import fenced_programs, final_answer, last_program
from guerdon.verify.qa import QuestionAnswer, cover_match, exact_match, normalize_answer, token_f1
from guerdon.verify.reasoning_steps import ReasoningStep, ToolSteps, parse_steps
from guerdon.verify.repetition import Repetition, repeated_share
from guerdon.verify.rouge import sentence_rouge
from guerdon.verify.routing import RoutedAnswer, RunningCostReward, routing_reward
from guerdon.verify.routing_format import RoutingFormat
from guerdon.verify.search_quality import SearchQuality, novel_rounds
from guerdon.verify.sql import SqlExecution, SqlFormat, SqlNgram, SqlSchemaLinking, SqlSyntax
from guerdon.verify.state_overlap import StateMatch, StateOverlap, state_overlap
from guerdon.verify.tagged_answer import TaggedAnswerF1
from guerdon.verify.tool_calls import ToolCallMatch
from guerdon.verify.tool_efficiency import (
    ToolCount,
    ToolEfficiency,
    otc_grpo_factor,
    otc_ppo_factor,
    tool_productivity,
)
from guerdon.verify.tool_integrated import ToolIntegratedMath
from guerdon.verify.tool_use import tool_overuse, tool_step_counts

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

register_method(
    "igpo",
    title="Information Gain-based Policy Optimization: A Simple and Effective Approach for Multi-Turn LLM Agents",
    arxiv="2510.14967",
    room="verify",
    public="guerdon.verify.TaggedAnswerF1",
)
register_method(
    "reseek",
    title="ReSeek: A Self-Correcting Framework for Search Agents with Instructive Rewards",
    arxiv="2510.00568",
    room="verify",
    public="guerdon.verify.JudgedSearch",
)
register_method(
    "router-r1",
    title="Router-R1: Teaching LLMs Multi-Round Routing and Aggregation via Reinforcement Learning",
    arxiv="2506.09033",
    room="verify",
    public="guerdon.verify.RoutedAnswer",
)
register_method(
    "smartsearch",
    title="SmartSearch: Process Reward-Guided Query Refinement for Search Agents",
    arxiv="2601.04888",
    room="verify",
    public="guerdon.verify.SearchQuality",
)

register_method(
    "meta-bandit-greedy",
    title="When Greedy Wins: Emergent Exploitation Bias in Meta-Bandit LLM Training",
    arxiv="2509.24923",
    room="verify",
    public="guerdon.verify.BanditChoice",
)
register_method(
    "tora",
    title="ToRA: A Tool-Integrated Reasoning Agent for Mathematical Problem Solving",
    arxiv="2309.17452",
    room="verify",
    public="guerdon.verify.ToolIntegratedMath",
)
register_method(
    "retool",
    title="ReTool: Reinforcement Learning for Strategic Tool Use in LLMs",
    arxiv="2504.11536",
    room="verify",
    public="guerdon.verify.LastBoxed",
)
register_method(
    "smart-agent",
    title="SMART: Self-Aware Agent for Tool Overuse Mitigation",
    arxiv="2502.11435",
    room="verify",
    public="guerdon.verify.parse_steps",
)
register_method(
    "search-gen-v",
    title="An Efficient Rubric-based Generative Verifier for Search-Augmented LLMs",
    arxiv="2510.14660",
    room="verify",
    public="guerdon.verify.NuggetLabels",
)
register_method(
    "reasoning-sql",
    title="Reasoning-SQL: Reinforcement Learning with SQL Tailored Partial Rewards for Reasoning-Enhanced Text-to-SQL",
    arxiv="2503.23157",
    room="verify",
    public="guerdon.verify.SqlExecution",
)

__all__ = [
    "SACREBLEU",
    "BanditChoice",
    "Bleu",
    "BleuRouge",
    "CallMatch",
    "Chrf",
    "CodeTests",
    "Column",
    "Cost",
    "JsonSchema",
    "JudgedSearch",
    "LastBoxed",
    "Length",
    "MathAnswer",
    "NuggetLabels",
    "Overlong",
    "PatternFormat",
    "QuestionAnswer",
    "ReasoningStep",
    "Repetition",
    "Rouge",
    "RoutedAnswer",
    "RoutingFormat",
    "RunningCostReward",
    "SearchQuality",
    "Sections",
    "SqlExecution",
    "SqlFormat",
    "SqlNgram",
    "SqlSchemaLinking",
    "SqlSyntax",
    "StateMatch",
    "StateOverlap",
    "TagFormat",
    "TaggedAnswerF1",
    "ToolCallMatch",
    "ToolCount",
    "ToolEfficiency",
    "ToolIntegratedMath",
    "ToolSteps",
    "UnitCount",
    "answers_equal",
    "call_similarity",
    "cover_match",
    "cumulative_regret",
    "exact_match",
    "fenced_programs",
    "final_answer",
    "greedy_assignment",
    "greedy_fraction",
    "judged_search_score",
    "label_f1",
    "last_boxed",
    "last_program",
    "length_band",
    "matched_share",
    "min_fraction",
    "multiset_jaccard",
    "normalize_answer",
    "novel_rounds",
    "nugget_recall",
    "otc_grpo_factor",
    "otc_ppo_factor",
    "optimal_assignment",
    "ordered_assignment",
    "overlong_penalty",
    "parameter_match",
    "parse_json",
    "parse_labels",
    "parse_steps",
    "repeated_share",
    "routing_reward",
    "sentence_bleu",
    "sentence_chrf",
    "sentence_rouge",
    "state_overlap",
    "strategic_reward",
    "suffix_failure",
    "token_f1",
    "tool_overuse",
    "tool_productivity",
    "tool_step_counts",
    "ucb_action",
    "whole_call_match",
]
