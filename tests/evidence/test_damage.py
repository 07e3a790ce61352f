"""What each kind of damage to a real turn costs, against the definition worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from guerdon import Context
from guerdon.verify import ToolCallMatch, ToolEfficiency
from guerdon.verify.tool_calls import VARIANTS

from .damage import DAMAGES, Turn, parse_turn, turn_of
from .tool_records import (
    COLUMNS,
    RECORDS,
    REFERENCE,
    Case,
    Column,
    all_calls_made,
    cases,
    executed,
    tagged,
    values,
)

CALL = {"name": "weather", "parameters": {"city": "Paris", "unit": "C"}}
ORDER = (
    "swapped order",
    "extra call",
    "wrong value",
    "missing argument",
    "wrong name",
    "bad JSON",
    "reply instead",
)
SIZES = {"rlla_dialogues": (200, 166), "rlla_verl_test": (80, 71), "apibank_level1": (399, 399)}


@pytest.fixture(scope="module", params=RECORDS)
def real(request: pytest.FixtureRequest, shared_data: Path) -> list[Case]:
    turns = RECORDS[request.param](shared_data)
    made = list(cases(turns))
    assert (len(turns), len({case.group for case in made})) == SIZES[request.param]
    return made


def of_kind(made: list[Case], kind: str) -> dict[int, int]:
    """Group → row."""
    return {case.group: row for row, case in enumerate(made) if case.kind == kind}


def test_each_kind_does_what_its_name_says() -> None:
    turn = turn_of([CALL, {"name": "clock", "parameters": {}}], "plan")
    made = {kind: damage(turn) for kind, damage in DAMAGES.items()}
    assert [call["name"] for call in made["swapped order"].calls] == ["clock", "weather"]
    assert made["no thoughts"].text == turn.text.removeprefix("<think>plan</think>\n")
    assert made["extra call"].calls[:2] == turn.calls
    assert made["wrong value"].calls[0]["parameters"] == {"city": "not Paris", "unit": "C"}
    assert made["missing argument"].calls[0]["parameters"] == {"unit": "C"}
    assert made["wrong name"].calls[0] == {**CALL, "name": "another_tool"}
    with pytest.raises(ValueError):
        _ = made["bad JSON"].calls
    assert made["reply instead"].text == "<think>plan</think>\n<response>Done.</response>"


def test_kinds_that_do_not_apply_give_nothing() -> None:
    turn = turn_of([{"name": "clock", "parameters": {}}])
    absent = {kind for kind, damage in DAMAGES.items() if damage(turn) is None}
    assert absent == {"swapped order", "wrong value", "missing argument", "wrong name"}


def test_a_turn_is_the_sum_of_its_parts() -> None:
    text = "<think> a <tool_call> b </think>\n<tool_call>\n{}\n</tool_call>\n<response>ok</response>"
    assert parse_turn(text) == Turn(" a <tool_call> b ", ("{}",), "ok")
    with pytest.raises(ValueError, match="well-formed turn"):
        parse_turn("no tags")


@pytest.mark.parametrize("variant", ["", *VARIANTS])
def test_damage_never_pays(real: list[Case], variant: str) -> None:
    variants = ["WITHLENGTH", variant] if variant == "SCHEDULELENGTH" else [variant] * bool(variant)
    found = values(Column(ToolCallMatch(variants), tagged), real, Context(step=50))
    reference = of_kind(real, REFERENCE)
    assert all(found[row] <= found[reference[case.group]] for row, case in enumerate(real))


@pytest.mark.parametrize("mode", ["grpo", "ppo"])
def test_damage_never_pays_with_efficiency(real: list[Case], mode: str) -> None:
    found = values(Column(ToolEfficiency(all_calls_made, c=4, mode=mode), executed), real)  # type: ignore[arg-type]
    reference = of_kind(real, REFERENCE)
    for row, case in enumerate(real):
        best = found[reference[case.group]]
        if case.kind in (REFERENCE, "swapped order", "no thoughts"):
            assert found[row] == best
        elif case.kind == "extra call":
            assert 0 < found[row] < best
        else:
            assert found[row] == 0


def test_order_of_the_kinds_holds_in_every_turn(real: list[Case]) -> None:
    found = values(COLUMNS["fine"], real)
    rows = [of_kind(real, kind) for kind in (REFERENCE, *ORDER)]
    for group in rows[0]:
        costs = [found[each[group]] for each in rows if group in each]
        assert costs == sorted(costs, reverse=True)
    strict = ("extra call", "wrong value", "missing argument", "wrong name", "bad JSON", "reply instead")
    for kind in strict:
        assert all(found[row] < 4 for row in of_kind(real, kind).values())


def share_lost(kind: str, case: Case) -> tuple[float, float]:
    """What a kind of damage costs of S in the fine and the intermediate reading, all names of the turn differing."""
    n, damaged = len(case.reference.calls), next((c for c in case.reference.calls if c["parameters"]), None)
    k = len(damaged["parameters"]) if damaged else 0
    name = 2 / (n + 1)  # 1 − (n − 1)/(n + 1): one name of n is another
    return {
        REFERENCE: (0.0, 0.0),
        "swapped order": (0.0, 0.0),
        "no thoughts": (0.0, 0.0),
        "extra call": (1 / (n + 1), 1 / (n + 1)),
        "wrong value": (1.0, 1.0),
        "missing argument": (1 + 1 / max(k, 1), 1.0),
        "wrong name": (name + 1 + k, name + 1),
    }[kind]


def test_every_cost_is_what_the_definition_says(real: list[Case]) -> None:
    """R = format − 3 + 6·S/S_max, by hand for turns whose calls have different names."""
    fine, intermediate = (values(COLUMNS[name], real) for name in ("fine", "intermediate"))
    coarse = values(COLUMNS["coarse"], real)
    for row, case in enumerate(real):
        gold = case.reference.calls
        if len({call["name"] for call in gold}) < len(gold):
            continue
        formed = float(case.kind not in ("no thoughts", "reply instead"))
        if case.kind in ("bad JSON", "reply instead"):
            expected = [formed - 3] * 3
        else:
            lost_fine, lost_whole = share_lost(case.kind, case)
            possible = 1 + len(gold) + sum(len(call["parameters"]) for call in gold)
            equal = case.kind in (REFERENCE, "no thoughts")
            expected = [
                formed + 3 - 6 * lost_fine / possible,
                formed + 3 - 6 * lost_whole / (1 + len(gold)),
                formed + (3 if equal else -3),
            ]
        np.testing.assert_allclose([fine[row], intermediate[row], coarse[row]], expected, atol=1e-12)


@pytest.mark.parametrize("record", RECORDS)
def test_turns_without_a_call(shared_data: Path, record: str) -> None:
    """Correctness says nothing there: a needless call costs the format, and nothing more."""
    replies = [turn for turn in RECORDS[record](shared_data) if not turn.lines]
    needless = [turn._replace(lines=turn_of([CALL]).lines) for turn in replies]
    for turns, expected in ((replies, 1.0), (needless, 0.0)):
        made = [Case("", turn, reply, i) for i, (turn, reply) in enumerate(zip(turns, replies, strict=True))]
        assert set(values(COLUMNS["fine"], made)) <= {expected}
