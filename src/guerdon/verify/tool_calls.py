"""Reward for a turn of tool calls: its layout, and how well its calls match the expected ones."""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from guerdon.core.context import Context
from guerdon.core.messages import ToolCall, tool_calls_of
from guerdon.core.registry import did_you_mean, register
from guerdon.core.reward import Reward, explain
from guerdon.core.samples import Chat
from guerdon.core.signal import Abstain, Score, Signal, Status
from guerdon.core.tagged import blocks, count, one_of_each
from guerdon.verify.call_matching import (
    Call,
    multiset_jaccard,
    parameter_match,
    same_json,
    same_list,
    whole_call_match,
)
from guerdon.verify.format import parse_json

Mode: TypeAlias = Literal["strict", "code"]
Match: TypeAlias = Callable[[list[Call], list[Call]], float]
Layout: TypeAlias = Literal["auto", "tagged", "structured"]

VARIANTS = (
    "WITHLENGTH",
    "SCHEDULELENGTH",
    "CORRECTMAX1",
    "MAX1STEP30MAX3",
    "SCHEDULEREWARD",
    "REFINEDREWARD",
    "INTERMEDIATEREWARD",
    "COARSEREWARD",
)
_PARTS = ("format", "correctness", "length")
# Longer blocks of calls aren't remembered, so that the memory of 8192 of them stays small.
_REMEMBERED_LENGTH = 4096


@register("toolrl", example='toolrl(variants=["CORRECTMAX1"])')
class ToolCallMatch(Reward):
    """Format bit plus graded match of a turn's tool calls with the expected ones.

        R = R_format + R_correct (+ R_length)          in [-3, 4] by default

    **The turn** is the last assistant turn: `<think>…</think>`, then on new lines a `<tool_call>` block with
    one JSON object `{"name": …, "parameters": {…}}` a line and/or a `<response>` block. **The reference** is
    a turn of the same layout, or a list of calls (`{"name", "parameters"}`, `{"name", "arguments"}`, or
    OpenAI's `function` form) that stands for a turn with just these; an empty list stands for a turn with
    just a response.

    **R_format** in {0, 1}: 1 where the turn has the blocks that the reference has, each once, and nothing
    else.

    **R_correct** in [R_min, R_max] = [-3, 3]: 0 where the reference has no call. `R_max` where both lists of
    calls are equal; `R_min` where the turn has no call that can be read; else
    `R_min + (R_max − R_min) · S/S_max`, with `S/S_max` from `parameter_match`: the order of calls doesn't
    matter, and a call too many lowers only the match of names.

    `variants`, any of:

    - `WITHLENGTH`: adds `R_length = min(1, round(words/512, 2))`, words of the thoughts split at whitespace.
    - `SCHEDULELENGTH`: the divisor 512 becomes `384 + 256·step/105`; only with `WITHLENGTH`.
    - `CORRECTMAX1`: `[R_min, R_max] = [-1, 1]`.
    - `MAX1STEP30MAX3`: the bounds of correctness are divided by 3 while `step < 30`, later those of format
      by 2.
    - `SCHEDULEREWARD`: both bounds move linearly from ±2 at step 0 through those above at step 150; the
      maximum of format never falls below 1, its minimum never rises above -1, and correctness stays within
      ±3.
    - `REFINEDREWARD`: lists of names and of parameter names count only where they are equal, order included.
    - `INTERMEDIATEREWARD`: a gold call counts as a whole or not at all (`whole_call_match`).
    - `COARSEREWARD`: `R_max` where the lists are equal, else `R_min`.

    Where a variant follows the training step and `context.step` is absent, every sample fails.

    `mode="strict"` (default): the thoughts are set apart first, so a tag quoted in them, in an argument or in
    the response does no harm; JSON is read by `parse_json`; a call needs text as `name` and an object as
    `parameters`, and other keys are ignored; a boolean is not a number. A reference that can't be read
    abstains. `mode="code"` reproduces the released code, which takes the first `<tool_call>` anywhere (in the
    thoughts, too), looks at `parameters` only when it compares them, and holds `1 == 1.0 == True`; where its
    reading of a reference breaks the result is `R_min` with the format bit.

    `layout="structured"`: the calls are the `tool_calls` of all assistant messages. `R_format` is then 1
    where every call can be read, calls are present just where the reference has some, and the last turn has
    text where the reference has a response. There are no thoughts, so `R_length` is 0. `auto` is `structured`
    where a message has `tool_calls` and `tagged` otherwise; so choose `structured` yourself where a reply
    without tags is fine.

    `Signal.parts`: `format`, `correctness`, `length` (0 without `WITHLENGTH`). A missing reference abstains.

    Cheng Qian et al., "ToolRL: Reward is All Tool Learning Needs", arXiv:2504.13958; github
    qiancheng0/ToolRL. The paper describes an optimal assignment; like the code, both modes assign greedily in
    the order of the reference.
    """

    citation = "Qian et al., ToolRL: Reward is All Tool Learning Needs, arXiv:2504.13958"

    def __init__(
        self, variants: Collection[str] = (), *, mode: Mode = "strict", layout: Layout = "auto"
    ) -> None:
        if isinstance(variants, str):
            raise TypeError(f"variants: expected a list of names, got the text {variants!r}")
        for variant in variants:
            if variant not in VARIANTS:
                raise ValueError(
                    f"variants: unknown variant {variant!r}{did_you_mean(str(variant), VARIANTS)}"
                )
        if mode not in get_args(Mode):
            raise ValueError(f"mode: expected one of {', '.join(get_args(Mode))}, got {mode!r}")
        if layout not in get_args(Layout):
            raise ValueError(f"layout: expected one of {', '.join(get_args(Layout))}, got {layout!r}")
        self.name = "toolrl"
        self.variants = tuple(variant for variant in VARIANTS if variant in variants)
        self.mode: Mode = mode
        self.layout: Layout = layout
        self.uses_context = bool(_scheduled(self.variants))
        self._reader = _STRICT if mode == "strict" else _CODE
        self._match = _matcher(self.variants, self._reader.same)

    def score(self, sample: Chat, context: Context) -> Score:
        values = self._values(sample, scale_at(self.variants, context.step))
        return Score(sum(values), parts=dict(zip(_PARTS, values, strict=True)))

    def score_batch(self, samples: Sequence[Chat], context: Context) -> Signal:
        scale = scale_at(self.variants, context.step)
        rows = list[tuple[float, float, float]]()
        status = np.zeros(len(samples), dtype=np.uint8)
        reasons = dict[int, str]()
        for i, sample in enumerate(samples):
            try:
                rows.append(self._values(sample, scale))
            except Exception as error:
                rows.append((math.nan, math.nan, math.nan))
                abstains = isinstance(error, Abstain)
                status[i] = Status.ABSTAINED if abstains else Status.FAILED
                reasons[i] = str(error) if abstains else explain(error)
        columns = np.array(rows, dtype=np.float64).reshape(-1, 3)
        parts = {name: Signal(columns[:, k], status, reasons=reasons) for k, name in enumerate(_PARTS)}
        return Signal(columns.sum(axis=1), status, parts=parts, reasons=reasons)

    def _values(self, sample: Chat, scale: Scale) -> tuple[float, float, float]:
        reference = sample.reference
        target = self._target(reference)
        if target.problem:
            raise Abstain(target.problem)
        share = length = 0.0
        if self.layout == "structured" or (self.layout == "auto" and sample.tool_calls):
            calls = sample.tool_calls
            formed = _has_parts(sample, calls, target)
            if target.call:
                share = _share(self._reader, self._match, target, partial(_structured_calls, calls))
        else:
            text = sample.final.strip()
            formed, block = self._reader.turn(text, target)
            if target.call and block is not None:
                share = 1.0 if block == target.block else self._text_share(reference, target, block)
            if "WITHLENGTH" in self.variants:
                length = min(1.0, round(len(self._reader.thoughts(text).split()) / scale.words, 2))
        span = scale.correct_max - scale.correct_min
        correctness = scale.correct_min + span * share if target.call else 0.0
        return scale.format_max if formed else scale.format_min, correctness, length

    def _target(self, reference: Any) -> Target:
        if isinstance(reference, str) and reference:
            return self._reader.target(reference)
        if isinstance(reference, (list, tuple)):
            return _listed_target(reference)
        got = "empty text" if reference == "" else type(reference).__name__
        raise Abstain(f"reference: expected a tagged turn or a list of calls, got {got}")

    def _text_share(self, reference: Any, target: Target, block: str) -> float:
        if isinstance(reference, str) and len(block) < _REMEMBERED_LENGTH:
            return _remembered_share(self._reader, self._match, reference, block)
        return _share(self._reader, self._match, target, partial(self._reader.calls, block))


# -- scale over training -------------------------------------------------------------------------------------


class Scale(NamedTuple):
    """Bounds of both terms, and how many words of thought are worth 1."""

    format_min: float
    format_max: float
    correct_min: float
    correct_max: float
    words: float


def scale_at(variants: Collection[str], step: int | None) -> Scale:
    """The scale that these variants give at a training step, counted from 0.

    Raises `ValueError` where one of them follows the step and there is none.
    """
    scheduled = _scheduled(variants)
    if scheduled and (step is None or step < 0):
        raise ValueError(f"toolrl: {', '.join(scheduled)} needs context.step of at least 0, got {step}")
    step = step or 0
    format_min, format_max = 0.0, 1.0
    correct_min, correct_max = (-1.0, 1.0) if "CORRECTMAX1" in variants else (-3.0, 3.0)
    if "MAX1STEP30MAX3" in variants:
        if step < 30:
            correct_min, correct_max = correct_min / 3, correct_max / 3
        else:
            format_min, format_max = format_min / 2, format_max / 2
    if "SCHEDULEREWARD" in variants:
        moved = step / 150
        format_max = max(1.0, 2 + (format_max - 2) * moved)
        format_min = min(-1.0, -2 + (format_min + 2) * moved)
        correct_max = min(3.0, 2 + (correct_max - 2) * moved)
        correct_min = max(-3.0, -2 + (correct_min + 2) * moved)
    words = 384 + 256 * step / 105 if "SCHEDULELENGTH" in variants else 512.0
    return Scale(format_min, format_max, correct_min, correct_max, words)


def _scheduled(variants: Collection[str]) -> list[str]:
    names = ["MAX1STEP30MAX3", "SCHEDULEREWARD"] + ["SCHEDULELENGTH"] * ("WITHLENGTH" in variants)
    return [name for name in names if name in variants]


def _matcher(variants: Collection[str], same: Callable[[Any, Any], bool]) -> Match:
    if "COARSEREWARD" in variants:
        return _no_match
    match = whole_call_match if "INTERMEDIATEREWARD" in variants else parameter_match
    similarity = same_list if "REFINEDREWARD" in variants else multiset_jaccard
    return partial(match, similarity=similarity, same=same)


def _no_match(gold: Sequence[Call], predicted: Sequence[Call]) -> float:
    return 0.0


# -- what the reference asks for -----------------------------------------------------------------------------


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


def _listed_target(reference: Sequence[Any]) -> Target:
    given = [
        {"name": call.get("name"), "arguments": call["parameters"]}
        if isinstance(call, Mapping) and "parameters" in call
        else call
        for call in reference
    ]
    try:
        calls = _structured_calls(tool_calls_of({"tool_calls": given}))
    except ValueError as error:
        return Target(False, False, problem=f"reference: {error}")
    return Target(bool(calls), not calls, calls)


# -- structured calls ----------------------------------------------------------------------------------------


def _structured_calls(calls: Sequence[ToolCall]) -> list[Call]:
    for call in calls:
        if call.error is not None:
            raise ValueError(call.error)
    return [{"name": call.name, "parameters": call.arguments} for call in calls]


def _has_parts(sample: Chat, calls: Sequence[ToolCall], target: Target) -> bool:
    return (
        all(call.error is None for call in calls)
        and bool(calls) == target.call
        and (not target.response or bool(sample.final.strip()))
    )


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
class _Reader:
    """What the two modes differ in."""

    target: Callable[[str], Target]
    turn: Callable[[str, Target], tuple[bool, str | None]]
    thoughts: Callable[[str], str]
    calls: Callable[[str], list[Call]]
    same: Callable[[Any, Any], bool]
    unreadable: tuple[type[Exception], ...]


def _share(reader: _Reader, match: Match, target: Target, read: Callable[[], list[Call]]) -> float:
    """`S/S_max`; 0, hence `R_min`, where either side can't be read."""
    if target.calls is None:
        return 0.0
    try:
        predicted = read()
        return 1.0 if reader.same(target.calls, predicted) else match(target.calls, predicted)
    except reader.unreadable:
        return 0.0


@lru_cache(maxsize=8192)
def _remembered_share(reader: _Reader, match: Match, reference: str, block: str) -> float:
    """`_share` of a block of text: the same calls come back within a group and over epochs."""
    return _share(reader, match, reader.target(reference), partial(reader.calls, block))


_STRICT = _Reader(
    _strict_target, _strict_turn, _strict_thoughts, _strict_calls, same_json, (ValueError, RecursionError)
)
_CODE = _Reader(
    _code_target,
    _code_turn,
    _code_thoughts,
    _code_calls,
    operator.eq,
    (ValueError, RecursionError, TypeError, KeyError, AttributeError),
)
