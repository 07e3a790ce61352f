"""Reference turns of three sets of records, each with its damaged versions, as samples for the tool-call rewards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from guerdon import Chat, Context, Reward, read, reward
from guerdon.verify import ToolCallMatch, ToolEfficiency, greedy_assignment
from guerdon.verify.call_matching import same_json

from .damage import DAMAGES, Turn, parse_turn, turn_of

REFERENCE = "reference"


class Case(NamedTuple):
    """A turn to score, what happened to it, and the reference that it was made from."""

    kind: str
    turn: Turn
    reference: Turn
    group: int


def dialogues(folder: Path) -> list[Turn]:
    columns = {"prompt": ("instruction", "input"), "completion": "output", "reference": "output"}
    return [
        parse_turn(sample.reference) for sample in read(folder / "rlla_dialogues.jsonl.gz", columns=columns)
    ]


def verl_rows(folder: Path) -> list[Turn]:
    columns = {"completion": "reward_model.ground_truth"}
    return [
        parse_turn(sample.reference) for sample in read(folder / "rlla_verl_test.parquet", columns=columns)
    ]


def api_bank(folder: Path) -> list[Turn]:
    columns = {"prompt": ("system", "user"), "reference": "answer"}
    rows = read(folder / "apibank_level1.json.gz", columns=columns, require_completion=False)
    return [turn_of(sample.reference) for sample in rows]


RECORDS: dict[str, Callable[[Path], list[Turn]]] = {
    "rlla_dialogues": dialogues,
    "rlla_verl_test": verl_rows,
    "apibank_level1": api_bank,
}


def cases(turns: Sequence[Turn]) -> Iterator[Case]:
    """Of every turn that calls a tool: itself, and each kind of damage that applies."""
    for group, turn in enumerate(turns):
        if turn.lines:
            yield Case(REFERENCE, turn, turn, group)
            for kind, damage in DAMAGES.items():
                damaged = damage(turn)
                if damaged is not None:
                    yield Case(kind, damaged, turn, group)


def tagged(case: Case) -> Chat:
    return Chat("", case.turn.text, reference=case.reference.text, group=case.group)


def executed(case: Case) -> Chat:
    """The turn as a trajectory in which every call that can be read is executed, for rewards that count calls."""
    messages = list[dict[str, object]]()
    for line in case.turn.lines:
        try:
            call = Turn(None, (line,)).calls[0]
        except ValueError:
            messages.append({"role": "assistant", "tool_calls": [{"name": "unreadable", "arguments": line}]})
            continue
        asked = {"id": str(len(messages)), "name": call["name"], "arguments": call["parameters"]}
        messages.append({"role": "assistant", "tool_calls": [asked]})
        messages.append({"role": "tool", "tool_call_id": asked["id"], "content": "ok"})
    messages.append({"role": "assistant", "content": case.turn.response or ""})
    return Chat("", messages, reference=case.reference.calls, group=case.group)


@reward
def all_calls_made(sample: Chat) -> float:
    """1 where every expected call was made, whatever else was."""
    made = [
        {"name": call.name, "parameters": call.arguments} for call in sample.tool_calls if call.error is None
    ]
    found = greedy_assignment(sample.reference, made, lambda gold, call: float(same_json(gold, call)))
    return float(found == len(sample.reference))


class Column(NamedTuple):
    reward: Reward
    sample: Callable[[Case], Chat]


COLUMNS: dict[str, Column] = {
    "fine": Column(ToolCallMatch(), tagged),
    "refined": Column(ToolCallMatch(["REFINEDREWARD"]), tagged),
    "intermediate": Column(ToolCallMatch(["INTERMEDIATEREWARD"]), tagged),
    "coarse": Column(ToolCallMatch(["COARSEREWARD"]), tagged),
    "otc": Column(ToolEfficiency(all_calls_made, c=4), executed),
}


def values(column: Column, of: Sequence[Case], context: Context | None = None) -> NDArray[np.float64]:
    """The reward of every case; `ValueError` where one has none."""
    signal = column.reward([column.sample(case) for case in of], context)
    if not signal.ok.all():
        raise ValueError(f"{column.reward.name}: {signal.reasons}")
    return signal.outcome
