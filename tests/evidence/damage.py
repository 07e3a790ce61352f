"""Systematic damage to a turn of tool calls: one thing that a policy gets wrong at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from guerdon.core.tagged import last
from guerdon.verify.tool_turns import read_turn


class Turn(NamedTuple):
    """Thoughts, the lines of the call block, and a reply; what is None or empty isn't there."""

    thoughts: str | None
    lines: tuple[str, ...] = ()
    response: str | None = None

    @property
    def text(self) -> str:
        parts = list[str]()
        if self.thoughts is not None:
            parts.append(f"<think>{self.thoughts}</think>")
        if self.lines:
            parts.append("\n".join(["<tool_call>", *self.lines, "</tool_call>"]))
        if self.response is not None:
            parts.append(f"<response>{self.response}</response>")
        return "\n".join(parts)

    @property
    def calls(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


def parse_turn(text: str) -> Turn:
    """The parts of a well-formed turn, whose `text` is the given one again; `ValueError` where it isn't."""
    found = read_turn(text)
    thoughts, rest = text[: found.thoughts_end], text[found.thoughts_end :]
    response = last(rest, "response") if found.response else None
    turn = Turn(
        thoughts.removeprefix("<think>").removesuffix("</think>"),
        () if found.block is None else tuple(found.block.split("\n")),
        None if response is None else response.inner(rest),
    )
    if turn.text != text:
        raise ValueError(f"text: expected a well-formed turn, got {text[:80]!r}")
    return turn


def turn_of(calls: Sequence[dict[str, Any]], thoughts: str = "") -> Turn:
    return Turn(thoughts, tuple(json.dumps(call) for call in calls))


Damage: TypeAlias = Callable[[Turn], "Turn | None"]
"""The damaged turn, or None where this can't be done to the turn. Which call is damaged: the first that can be."""


def swapped_order(turn: Turn) -> Turn | None:
    return _with_calls(turn, turn.calls[::-1]) if turn.calls != turn.calls[::-1] else None


def extra_call(turn: Turn) -> Turn | None:
    return _with_calls(turn, [*turn.calls, {"name": "unasked_tool", "parameters": {"page": 1}}])


def wrong_value(turn: Turn) -> Turn | None:
    def change(call: dict[str, Any]) -> None:
        key = next(iter(call["parameters"]))
        call["parameters"][key] = f"not {call['parameters'][key]}"

    return _change_one(turn, change)


def missing_argument(turn: Turn) -> Turn | None:
    return _change_one(turn, lambda call: call["parameters"].pop(next(iter(call["parameters"]))))


def wrong_name(turn: Turn) -> Turn | None:
    return _change_one(turn, lambda call: call.update(name="another_tool"))


def bad_json(turn: Turn) -> Turn | None:
    return turn._replace(lines=(turn.lines[0][:-1], *turn.lines[1:]))


def no_thoughts(turn: Turn) -> Turn | None:
    return turn._replace(thoughts=None)


def reply_instead(turn: Turn) -> Turn | None:
    return Turn(turn.thoughts, (), "Done.")


DAMAGES: dict[str, Damage] = {
    "swapped order": swapped_order,
    "no thoughts": no_thoughts,
    "extra call": extra_call,
    "wrong value": wrong_value,
    "missing argument": missing_argument,
    "wrong name": wrong_name,
    "bad JSON": bad_json,
    "reply instead": reply_instead,
}


def _change_one(turn: Turn, change: Callable[[dict[str, Any]], Any]) -> Turn | None:
    calls = turn.calls
    call = next((call for call in calls if call["parameters"]), None)
    if call is None:
        return None
    change(call)
    return _with_calls(turn, calls)


def _with_calls(turn: Turn, calls: Sequence[dict[str, Any]]) -> Turn:
    return turn._replace(lines=tuple(json.dumps(call, ensure_ascii=False) for call in calls))
