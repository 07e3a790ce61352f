"""Reward for a turn of tool calls: its layout, and how well its calls match the expected ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from guerdon.core.checks import check_choice
from guerdon.core.context import Context
from guerdon.core.guarded import explain
from guerdon.core.messages import ToolCall
from guerdon.core.registry import did_you_mean, register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Abstain, Score, Signal, Status
from guerdon.verify.call_matching import (
    Call,
    multiset_jaccard,
    parameter_match,
    same_list,
    whole_call_match,
)
from guerdon.verify.tool_turns import CODE, STRICT, Reader, Target, listed_target, structured_calls

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


@register("toolrl", example="{reward: toolrl, variants: [CORRECTMAX1]}")
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
        check_choice(mode, "mode", get_args(Mode))
        check_choice(layout, "layout", get_args(Layout))
        self.name = "toolrl"
        self.variants = tuple(variant for variant in VARIANTS if variant in variants)
        self.mode: Mode = mode
        self.layout: Layout = layout
        self.uses_context = bool(_scheduled(self.variants))
        self._reader = STRICT if mode == "strict" else CODE
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
                share = _share(self._reader, self._match, target, partial(structured_calls, calls))
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
            return listed_target(reference)
        got = "empty text" if isinstance(reference, str) else type(reference).__name__
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


# -- one sample -----------------------------------------------------------------------------------------------


def _has_parts(sample: Chat, calls: Sequence[ToolCall], target: Target) -> bool:
    return (
        all(call.error is None for call in calls)
        and bool(calls) == target.call
        and (not target.response or bool(sample.final.strip()))
    )


def _share(reader: Reader, match: Match, target: Target, read: Callable[[], list[Call]]) -> float:
    """`S/S_max`; 0, hence `R_min`, where either side can't be read."""
    if target.calls is None:
        return 0.0
    try:
        predicted = read()
        return 1.0 if reader.same(target.calls, predicted) else match(target.calls, predicted)
    except reader.unreadable:
        return 0.0


@lru_cache(maxsize=8192)
def _remembered_share(reader: Reader, match: Match, reference: str, block: str) -> float:
    """`_share` of a block of text: the same calls come back within a group and over epochs."""
    return _share(reader, match, reader.target(reference), partial(reader.calls, block))
