"""Reward for the tool calls of a whole trajectory, matched with those that are expected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Abstain, Score
from guerdon.core.tagged import blocks
from guerdon.verify.call_matching import Arguments, Call, Divisor, Matching, matched_share
from guerdon.verify.format import parse_json
from guerdon.verify.tool_turns import listed_target

# No expected call has this name, so what can't be read matches nothing and still counts as a call.
_UNREADABLE: Call = {"name": None, "parameters": {}}


@register("call_match", example="{reward: call_match, matching: ordered, divide_by: longer}")
class CallMatch(Reward):
    """Share of the expected tool calls that a trajectory makes, in [0, 1].

        R = max over alternatives a of matched_share(a, calls)        see there for the options and their equations

    The calls are the `tool_calls` of all assistant messages, or with `tag` the JSON in every block of that tag in what
    the assistant wrote: one call `{"name", "arguments"}` (or `"parameters"`), or a list of them. A call that can't be
    read matches nothing, yet it is one: it lowers the share wherever the number of predicted calls counts.

    The reference is a list of calls in the same forms, or in OpenAI's `function` form; or a list of such lists, each of
    which is right. With an empty list R is 1 where no call is made, else 0.

    `Signal.parts`: `calls` and `unreadable`, how many of each the trajectory has. Abstains where the reference is
    missing or a call of it can't be read; more than 1,000,000 pairs of calls fail the sample. Raises `ValueError` for an
    unknown option.
    """

    name = "call_match"
    uses_context = False

    def __init__(
        self,
        matching: Matching = "optimal",
        *,
        arguments: Arguments = "exact",
        divide_by: Divisor = "mean",
        tag: str | None = None,
    ) -> None:
        if tag is not None and not tag:
            raise ValueError("tag: expected the name of a tag, got empty text")
        self.matching: Matching = matching
        self.arguments: Arguments = arguments
        self.divide_by: Divisor = divide_by
        self.tag = tag
        self._share([], [])  # a wrong option raises here rather than in every sample

    def score(self, sample: Chat, context: Context) -> Score:
        alternatives = _alternatives(sample.reference)
        calls = _structured(sample) if self.tag is None else _tagged(sample.text, self.tag)
        unreadable = sum(call is _UNREADABLE for call in calls)
        return Score(
            max(self._share(gold, calls) for gold in alternatives),
            parts={"calls": float(len(calls)), "unreadable": float(unreadable)},
        )

    def _share(self, gold: Sequence[Call], calls: Sequence[Call]) -> float:
        return matched_share(
            gold, calls, matching=self.matching, arguments=self.arguments, divide_by=self.divide_by
        )


def _alternatives(reference: Any) -> list[list[Call]]:
    if not isinstance(reference, (list, tuple)):
        raise Abstain(f"reference: expected a list of calls, got {type(reference).__name__}")
    nested = bool(reference) and all(isinstance(each, (list, tuple)) for each in reference)
    return [_expected(each) for each in (reference if nested else [reference])]


def _expected(calls: Sequence[Any]) -> list[Call]:
    plain = [_plain(call) for call in calls]
    if None not in plain:
        return [call for call in plain if call is not None]
    target = listed_target(calls)
    if target.problem:
        raise Abstain(target.problem)
    return target.calls or []


def _plain(value: Any) -> Call | None:
    """The call that `value` is where it has the usual form, `{"name": text, "arguments" or "parameters": object}`."""
    if type(value) is not dict or len(value) != 2 or type(value.get("name")) is not str or not value["name"]:
        return None
    parameters = value.get("parameters", value.get("arguments"))
    return {"name": value["name"], "parameters": parameters} if type(parameters) is dict else None


def _structured(sample: Chat) -> list[Call]:
    return [
        _UNREADABLE if call.error else {"name": call.name, "parameters": call.arguments}
        for call in sample.tool_calls
    ]


def _tagged(text: str, tag: str) -> list[Call]:
    found = list[Call]()
    for block in blocks(text, tag):
        try:
            value = parse_json(block.inner(text))
        except ValueError:
            found.append(_UNREADABLE)
            continue
        for call in value if isinstance(value, list) else [value]:
            read = _plain(call)
            if read is None:
                target = listed_target([call])
                read = target.calls[0] if target.calls else _UNREADABLE
            found.append(read)
    return found
