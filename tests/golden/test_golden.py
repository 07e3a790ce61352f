"""The golden cases, and the replay itself on folders made here."""

from __future__ import annotations

import json
import math
import pkgutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from guerdon.core.context import Context
from guerdon.core.samples import Chat
from guerdon.verify.tool_calls import ToolCallMatch
from tests.golden import adapters

from .__main__ import main
from .adapters import load_adapters
from .replay import DISPUTED, CaseFileError, difference, read_cases, replay_folder

SLUGS = [
    module.name.replace("_", "-")
    for module in pkgutil.iter_modules(adapters.__path__)
    if module.name != "registry"
]


@pytest.mark.parametrize("slug", SLUGS)
def test_golden_cases(slug: str, shared_golden: Path) -> None:
    report = replay_folder(shared_golden, load_adapters(), only=[slug])[slug]
    assert report.failed == {}
    assert report.missing == []
    assert report.passed > 0


def test_disputed_cases_exist_and_have_a_reason(shared_golden: Path) -> None:
    for slug, cases in json.loads(DISPUTED.read_text(encoding="utf-8")).items():
        names = {case.name for case in read_cases(shared_golden / f"{slug}.json")[1]}
        assert set(cases) <= names
        assert all(reason.strip() for reason in cases.values())


def test_strict_mode_agrees_with_the_cases_of_the_released_code(shared_golden: Path) -> None:
    for case in read_cases(shared_golden / "toolrl.json")[1]:
        reward = ToolCallMatch(case.inputs.get("variant_flags", ()))
        sample = Chat("", case.inputs["response"], reference=case.inputs["ground_truth"])
        total = reward([sample], Context(step=case.inputs["step"])).outcome[0]
        assert total == pytest.approx(case.expected["total"]), case.name


# -- other folders -------------------------------------------------------------------------------------------


def case(name: str = "a", call: str = "otc_ppo_tool_reward_cos_m_pi_2m_c", **fields: Any) -> dict[str, Any]:
    made = {
        "name": name,
        "call": call,
        "function": "f",
        "inputs": {"m": 0, "c": 2},
        "expected": 1.0,
        "tolerance": 1e-9,
    }
    return {**made, **fields}


def write(folder: Path, cases: Any, slug: str = "made") -> Path:
    (folder / f"{slug}.json").write_text(json.dumps({"slug": slug, "source": "here", "cases": cases}))
    return folder


def test_report_of_passed_failed_and_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = [case(), case("b", expected=0.5), case("c", inputs={}), case("d", call="no_such_call")]
    write(tmp_path, cases)
    assert main([str(tmp_path), "--json"]) == 1
    expected = {"passed": 1, "failed": ["b", "c"], "disputed": [], "missing": ["no_such_call"]}
    assert json.loads(capsys.readouterr().out) == {"made": expected}
    assert main([str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "b: got 1.0, expected 0.5" in printed
    assert "c: raised KeyError" in printed
    assert "missing   no_such_call" in printed


def test_missing_calls_fail_nothing_and_only_selects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(write(tmp_path, [case(call="no_such_call")]), [case(expected=0)], slug="other")
    assert main([str(tmp_path), "--only", "made", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"made"}
    assert main([str(tmp_path), "--only", "mode"]) == 2
    assert "no case file of the slug mode" in capsys.readouterr().err


def test_disputed_cases_are_reported_as_such(tmp_path: Path) -> None:
    write(tmp_path, [case(), case("b", expected=0.5)])
    report = replay_folder(tmp_path, load_adapters(), disputed={"made": {"b": "worked by hand: 1"}})["made"]
    assert (report.passed, report.failed, report.disputed) == (1, {}, {"b": "worked by hand: 1"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not readable as JSON"),
        ("\xff", "not readable as JSON"),
        ("[" * 100_000, "not readable as JSON"),
        ("[]", "expected an object, got list"),
        ('{"slug": "x"}', "cases: is missing"),
        ('{"slug": 1, "cases": []}', "slug: unexpected int"),
        ('{"slug": "x", "cases": [3]}', r"cases\[0\]: expected an object, got int"),
        (json.dumps({"slug": "x", "cases": [case(inputs=[])]}), r"cases\[0\].inputs: unexpected list"),
        (json.dumps({"slug": "x", "cases": [case(tolerance=True)]}), "tolerance: expected a number"),
        (json.dumps({"slug": "x", "cases": [case(tolerance=-1)]}), "tolerance: expected a number"),
        (json.dumps({"slug": "x", "cases": [case(tolerance=math.nan)]}), "tolerance: expected a number"),
    ],
)
def test_a_malformed_file_is_an_error_that_names_it(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "bad.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(CaseFileError, match=f"bad.json.*{message}"):
        replay_folder(tmp_path, {})
    assert main([str(tmp_path)]) == 2


def test_a_folder_without_case_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CaseFileError, match="no case file"):
        replay_folder(tmp_path / "absent", {})


@pytest.mark.parametrize(
    ("got", "expected", "same"),
    [
        (1.0, 1, True),
        (1.0 + 1e-7, 1, True),
        (1.0 + 3e-6, 1, False),
        (1000.0 + 5e-4, 1000, True),
        (1e-7, 0, True),
        (True, 1, False),
        (1, True, False),
        (True, True, True),
        (None, None, True),
        (None, 0, False),
        (math.nan, math.nan, True),
        (math.nan, None, False),
        (math.nan, 0, False),
        (math.inf, math.inf, True),
        (-math.inf, math.inf, False),
        ("a", "a", True),
        ("1", 1, False),
        (np.float64(1), 1, True),
        (np.array([1.0, 2.0]), [1, 2], True),
        ((1, 2), [1, 2], True),
        ([2, 1], [1, 2], False),
        ([1], [1, 1], False),
        ("ab", ["a", "b"], False),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2.0}]}, True),
        ({"a": 1, "b": 2}, {"a": 1}, False),
        ([1], {"0": 1}, False),
    ],
)
def test_what_counts_as_the_same(got: Any, expected: Any, same: bool) -> None:
    assert (difference(got, expected, 1e-6) is None) == same


def test_the_difference_says_where() -> None:
    assert difference({"a": [1, 2]}, {"a": [1, 3]}, 0.0) == ".a[1]: got 2, expected 3"
