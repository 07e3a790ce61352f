from __future__ import annotations

import ast
import re
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.agents import evaluate
from guerdon.core.registry import create
from guerdon.core.samples import Chat
from guerdon.lab import Arithmetic

SETTINGS = st.tuples(st.integers(1, 3), st.integers(2, 30), st.integers(1, 60)).map(
    lambda t: Arithmetic(t[0], t[1], t[1] + t[2])
)


def call(expression: object, name: str = "calculator") -> dict[str, object]:
    function = {"name": name, "arguments": {"expression": expression}}
    return {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": function}]}


# -- the generator -------------------------------------------------------------------------------------------------


@given(SETTINGS, st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_every_problem_is_solved_by_its_expression(world: Arithmetic, seed: int) -> None:
    for task in world.tasks(5, seed):
        assert world.check(task.chat(task.solution)) == (True, True)
        assert evaluate(task.extra["expression"]) == int(task.reference) > 0
        numbers = [
            n.value for n in ast.walk(ast.parse(task.extra["expression"])) if isinstance(n, ast.Constant)
        ]
        assert len(numbers) == world.operations + 1
        words = [word.strip(".,?") for word in task.prompt[1]["content"].split()]
        asked = [int(word) for word in words if word.isdigit()]
        for number in numbers:
            assert number in asked


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_seeds_decide_the_problems(seed: int) -> None:
    world = Arithmetic(2)
    assert world.tasks(8, seed) == world.tasks(8, seed)
    assert world.tasks(3, seed) == world.tasks(8, seed)[:3]
    assert world.tasks(8, seed) != world.tasks(8, seed + 1)


def test_all_four_operators_occur_and_values_on_the_way_are_whole() -> None:
    expressions = [task.extra["expression"] for task in Arithmetic(3, low=2, high=50).tasks(300)]
    seen = {symbol for expression in expressions for symbol in expression if symbol in "+-*/"}
    assert seen == set("+-*/")

    def check_values(node: ast.expr) -> Fraction:
        value = evaluate(ast.unparse(node))
        assert value.denominator == 1
        assert value > 0
        if isinstance(node, ast.BinOp):
            check_values(node.left)
        return value

    for expression in expressions:
        check_values(ast.parse(expression, mode="eval").body)


def test_the_range_is_kept() -> None:
    for task in Arithmetic(1, low=100, high=110).tasks(100):
        first = int(re.split(r"[-+*/]", task.extra["expression"])[0])
        assert 100 <= first <= 110


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="operations: expected 1 to 3, got 4"):
        Arithmetic(4)
    with pytest.raises(ValueError, match="low=9, high=9"):
        Arithmetic(1, 9, 9)
    with pytest.raises(ValueError, match="reference: expected one of answer, calls, got 'call'"):
        Arithmetic(reference="call")  # type: ignore[arg-type]
    assert create("arithmetic", "world", {"operations": 2}).operations == 2


# -- the checker ---------------------------------------------------------------------------------------------------

WORLD = Arithmetic()
TASK = WORLD.task("There are 12 boxes of 7.", "12*7")


@pytest.mark.parametrize(
    ("expression", "right"),
    [
        ("12*7", True),
        ("7 * 12", True),
        ("12+7", False),
        ("84", False),
        ("84*1", False),
        ("12*7*1", False),
        ("", False),
    ],
)
def test_a_call_is_right_by_its_numbers_and_its_value(expression: str, right: bool) -> None:
    assert WORLD.check(TASK.chat([call(expression)])).call is right


def test_only_the_first_call_of_the_calculator_counts() -> None:
    assert not WORLD.check(TASK.chat([call("12+7"), call("12*7")])).call
    assert not WORLD.check(TASK.chat([call("12*7", name="search")])).call
    assert not WORLD.check(TASK.chat([call(None)])).call
    assert not WORLD.check(TASK.chat([{"role": "assistant", "tool_calls": "12*7"}])).call
    assert not WORLD.check(TASK.chat("12*7")).call


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("The answer is 84.", True),
        ("84", True),
        ("84 pens", True),
        ("12*7 = 84", False),
        ("184", False),
        ("", False),
    ],
)
def test_an_answer_is_the_only_number(text: str, right: bool) -> None:
    assert WORLD.check(TASK.chat(text)).answer is right


def test_columns_of_a_row() -> None:
    row = TASK.row()
    assert row["reference"] == row["answer"] == "84"
    assert [m["role"] for m in row["prompt"]] == ["system", "user"]
    assert row["expression"] == "12*7"
    calls = Arithmetic(reference="calls").task("There are 12 boxes of 7.", "12*7")
    assert calls.row() == {**row, "reference": call("12*7")["tool_calls"]}
    assert WORLD.rows(2, 3)[1] == WORLD.tasks(2, 3)[1].row()


def test_a_sample_has_the_columns_and_the_tools() -> None:
    sample = TASK.chat("84")
    assert sample.reference == "84"
    assert sample.extra["expression"] == "12*7"
    assert [tool["function"]["name"] for tool in sample.extra["tools"]] == ["calculator"]
    assert "tools" not in TASK.row()


def test_a_sample_without_its_columns_is_no_sample_of_this_world() -> None:
    with pytest.raises(KeyError, match="expression"):
        WORLD.check(Chat("p", "84"))
