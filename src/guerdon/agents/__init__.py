"""Tools that a model may call, and the loop in which it calls them."""

from guerdon.agents.calculator import calculator, evaluate, operands
from guerdon.agents.guidance import Guide, add_guidance, attempt_with_guidance
from guerdon.agents.loop import LoopOptions, converse, run_agent, run_agents
from guerdon.agents.python import python_tool
from guerdon.agents.refinement import refine_first_bad_round
from guerdon.agents.router import RoutedModel, router_tool
from guerdon.agents.search import Document, DocumentIndex, Hit, search_tool
from guerdon.agents.sql import sql_tool
from guerdon.agents.tool import PricedText, Tool, ToolError, answer_calls, as_tools, spent, tool

__all__ = [
    "Document",
    "DocumentIndex",
    "Guide",
    "Hit",
    "LoopOptions",
    "PricedText",
    "RoutedModel",
    "Tool",
    "ToolError",
    "add_guidance",
    "answer_calls",
    "as_tools",
    "attempt_with_guidance",
    "calculator",
    "converse",
    "evaluate",
    "operands",
    "python_tool",
    "refine_first_bad_round",
    "router_tool",
    "run_agent",
    "run_agents",
    "search_tool",
    "spent",
    "sql_tool",
    "tool",
]
