"""What a turn of tool calls says: the reference as a target, and turns in text or structured calls, in two readings."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from guerdon.core.messages import ToolCall, tool_calls_of
from guerdon.core.tagged import blocks, count, one_of_each
from guerdon.verify.call_matching import Call, same_json
from guerdon.verify.format import parse_json


class Target(NamedTuple):
    """Which blocks the reference has and its calls: None where they can't be read.

    `block` is the text of the calls where equal text means equal calls; `problem` says why it can't be used
    at all.
    """

    call: bool
    response: bool
    calls: list[Call] | None = None
    block: str | None = None
    problem: str = ""


def listed_target(reference: Sequence[Any]) -> Target:
    given = [
        {"name": call.get("name"), "arguments": call["parameters"]}
        if isinstance(call, Mapping) and "parameters" in call
        else call
        for call in reference
    ]
    try:
        calls = structured_calls(tool_calls_of({"tool_calls": given}))
    except ValueError as error:
        return Target(False, False, problem=f"reference: {error}")
    return Target(bool(calls), not calls, calls)


# -- structured calls ----------------------------------------------------------------------------------------


def structured_calls(calls: Sequence[ToolCall]) -> list[Call]:
    for call in calls:
        if call.error is not None:
            raise ValueError(call.error)
    return [{"name": call.name, "parameters": call.arguments} for call in calls]


# -- strict reading ------------------------------------------------------------------------------------------


class Turn(NamedTuple):
    """A tagged turn: is its layout right, the text of its calls, does it respond, where its thoughts end."""

    formed: bool
    block: str | None
    response: bool
    thoughts_end: int


def read_turn(text: str) -> Turn:
    """Take a stripped turn apart, thoughts first, so that what they quote isn't mistaken for a block.

    Thoughts end at the first `</think>` that a block or the end of the turn follows. In a turn of the right
    layout the calls end at the first `</tool_call>` on a line of its own, where no JSON text can hold it.
    Thoughts that are never closed can't be set apart: then, as in any other layout, the first block counts.
    """
    end = _thoughts_end(text)
    rest = text[end:]
    thinks = end > 0 and text.startswith("<think>")
    block, tail, formed = None, rest, thinks
    if rest.startswith(_CALL_OPEN) and (close := rest.find(_CALL_CLOSE, len(_CALL_OPEN))) >= 0:
        block, tail = rest[len(_CALL_OPEN) : close], rest[close + len(_CALL_CLOSE) :]
        formed = thinks and "\n<tool_call>" not in rest[1:close]
    responds = (
        tail.startswith(_RESPONSE_OPEN) and tail.endswith("</response>") and one_of_each(tail, "response")
    )
    if formed and (responds or not tail):
        return Turn(True, block, responds, end)
    found = blocks(rest, "tool_call", "response")
    block = next((each.inner(rest) for each in found if each.tag == "tool_call"), None)
    return Turn(False, block, any(each.tag == "response" for each in found), end)


def _thoughts_end(text: str) -> int:
    close = text.find("</think>")
    if close < 0:
        return 0
    end = close + len("</think>")
    if text.startswith((_CALL_OPEN, _RESPONSE_OPEN), end):
        return end
    before_block = _BEFORE_BLOCK.search(text, close)
    return end if before_block is None else before_block.end()


_CALL_OPEN, _CALL_CLOSE, _RESPONSE_OPEN = "\n<tool_call>\n", "\n</tool_call>", "\n<response>"
_BEFORE_BLOCK = re.compile(r"</think>(?=\n<tool_call>\n|\n<response>|\Z)")


def _strict_turn(text: str, target: Target) -> tuple[bool, str | None]:
    turn = read_turn(text)
    formed = turn.formed and (turn.block is not None) == target.call and turn.response == target.response
    return formed, turn.block


def _strict_thoughts(text: str) -> str:
    end = _thoughts_end(text) - len("</think>")
    return text[len("<think>") : end] if end > 0 and text.startswith("<think>") else ""


def _strict_calls(block: str) -> list[Call]:
    return [_strict_call(line) for line in block.strip().split("\n")]


def _strict_call(line: str) -> Call:
    call = parse_json(line)
    if not (
        isinstance(call, dict)
        and isinstance(call.get("name"), str)
        and isinstance(call.get("parameters"), dict)
    ):
        raise ValueError(f'expected a call {{"name": text, "parameters": object}}, got {line[:80]!r}')
    return call if len(call) == 2 else {"name": call["name"], "parameters": call["parameters"]}


@lru_cache(maxsize=8192)
def _strict_target(reference: str) -> Target:
    turn = read_turn(reference.strip())
    if turn.block is None:
        if not (turn.response or turn.thoughts_end):
            return Target(False, False, problem="reference: expected a tagged turn, found no closed block")
        return Target(False, turn.response)
    try:
        return Target(True, turn.response, _strict_calls(turn.block), turn.block)
    except (ValueError, RecursionError) as error:
        return Target(True, turn.response, problem=f"reference: {error}")


# -- reading as the released code does -----------------------------------------------------------------------


def _code_turn(text: str, target: Target) -> tuple[bool, str | None]:
    once = ["tool_call"] * target.call + ["response"] * target.response
    formed = all(count(text, tag) == (1, 1) for tag in once)
    return formed and _in_order(text, *_CODE_LAYOUT[target.call, target.response]), _code_block(text)


def _in_order(text: str, opening: str, *markers: str) -> bool:
    at = len(opening) if text.startswith(opening) else -1
    for marker in markers[:-1]:
        found = text.find(marker, at) if at >= 0 else -1
        at = found + len(marker) if found >= 0 else -1
    return 0 <= at <= len(text) - len(markers[-1]) and text.endswith(markers[-1])


def _code_block(text: str) -> str | None:
    inner, close, _ = text.partition("<tool_call>")[2].partition("</tool_call>")
    return inner.strip() if close else None


def _code_thoughts(text: str) -> str:
    if "<think>" not in text or "</think>" not in text:
        return ""
    return text.rpartition("<think>")[2].partition("</think>")[0]


def _code_calls(block: str) -> list[Call]:
    return [json.loads(line) for line in block.split("\n")]


@lru_cache(maxsize=8192)
def _code_target(reference: str) -> Target:
    call, response = "<tool_call>" in reference, "<response>" in reference
    block = _code_block(reference)
    if not call or block is None:
        return Target(call, response)
    try:
        return Target(call, response, _code_calls(block), block)
    except (ValueError, RecursionError):
        return Target(call, response)


# What must stand in this order, with anything between, from the first character to the last.
_CODE_LAYOUT = {
    (False, False): ("<think>", "</think>"),
    (True, False): ("<think>", "</think>\n<tool_call>\n", "\n</tool_call>"),
    (False, True): ("<think>", "</think>\n<response>", "</response>"),
    (True, True): ("<think>", "</think>\n<tool_call>\n", "\n</tool_call>\n<response>", "</response>"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """What the two modes differ in."""

    target: Callable[[str], Target]
    turn: Callable[[str, Target], tuple[bool, str | None]]
    thoughts: Callable[[str], str]
    calls: Callable[[str], list[Call]]
    same: Callable[[Any, Any], bool]
    unreadable: tuple[type[Exception], ...]


STRICT = Reader(
    _strict_target, _strict_turn, _strict_thoughts, _strict_calls, same_json, (ValueError, RecursionError)
)
CODE = Reader(
    _code_target,
    _code_turn,
    _code_thoughts,
    _code_calls,
    operator.eq,
    (ValueError, RecursionError, TypeError, KeyError, AttributeError),
)
