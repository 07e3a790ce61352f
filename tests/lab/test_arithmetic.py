from __future__ import annotations

import ast
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.core.registry import create
from guerdon.core.samples import Chat
from guerdon.lab import CALCULATOR, Arithmetic, ArithmeticEnv, Problem, calculator, check, evaluate

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
    for problem in world.problems(5, seed):
        assert evaluate(problem.expression) == problem.answer > 0
        numbers = [n.value for n in ast.walk(ast.parse(problem.expression)) if isinstance(n, ast.Constant)]
        assert len(numbers) == world.operations + 1
        asked = [int(word.strip(".,?")) for word in problem.question.split() if word.strip(".,?").isdigit()]
        for number in numbers:
            assert number in asked


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_seeds_decide_the_problems(seed: int) -> None:
    world = Arithmetic(2)
    assert world.problems(8, seed) == world.problems(8, seed)
    assert world.problems(3, seed) == world.problems(8, seed)[:3]
    assert world.problems(8, seed) != world.problems(8, seed + 1)


def test_all_four_operators_occur_and_values_on_the_way_are_whole() -> None:
    problems = Arithmetic(3, low=2, high=50).problems(300)
    seen = {symbol for problem in problems for symbol in problem.expression if symbol in "+-*/"}
    assert seen == set("+-*/")

    def check_values(node: ast.expr) -> Fraction:
        value = evaluate(ast.unparse(node))
        assert value.denominator == 1
        assert value > 0
        if isinstance(node, ast.BinOp):
            check_values(node.left)
        return value

    for problem in problems:
        check_values(ast.parse(problem.expression, mode="eval").body)


def test_the_range_is_kept() -> None:
    for problem in Arithmetic(1, low=100, high=110).problems(100):
        first = int(problem.expression.replace("*", "+").replace("-", "+").replace("/", "+").split("+")[0])
        assert 100 <= first <= 110


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="operations: expected 1 to 3, got 4"):
        Arithmetic(4)
    with pytest.raises(ValueError, match="low=9, high=9"):
        Arithmetic(1, 9, 9)
    assert create("arithmetic", "world", {"operations": 2}).operations == 2


# -- the calculator ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("12*7", "84"),
        (" (12+7) * 3 ", "57"),
        ("7/2", "3.5"),
        ("-3-4", "-7"),
        ("1/3", "0.333333"),
        ("0.1+0.2", "0.3"),
    ],
)
def test_calculator(expression: str, value: str) -> None:
    assert calculator(expression) == value


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "12*",
        "2**9",
        "__import__('os')",
        "a+1",
        "True+1",
        "1,2",
        "'a'*9",
        "1j",
        "1e400",
        "9" * 13,
        "999999999999*999999999999",
        "(" * 49 + "1" + ")" * 49 + "+",
        "1+" * 60 + "1",
        "1\0",
        "\ud800",
    ],
)
def test_calculator_refuses(expression: str) -> None:
    with pytest.raises(ValueError, match="expression"):
        calculator(expression)


def test_calculator_refuses_other_types_and_division_by_zero() -> None:
    with pytest.raises(TypeError, match="expected text, got int"):
        calculator(12)  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        calculator("1/(2-2)")


@given(st.text(alphabet="0123456789+-*/(). ", max_size=30))
@settings(max_examples=200, deadline=None)
def test_calculator_agrees_with_python_or_raises(expression: str) -> None:
    try:
        ours = evaluate(expression)
    except (ValueError, ZeroDivisionError):
        return
    python = eval(expression.strip(), {"__builtins__": {}})
    assert float(ours) == pytest.approx(float(python))


def test_schema_is_that_of_the_function() -> None:
    transformers = pytest.importorskip("transformers")
    made = transformers.utils.get_json_schema(calculator)["function"]
    assert {k: made[k] for k in ("name", "description", "parameters")} == CALCULATOR["function"]


# -- the checker ---------------------------------------------------------------------------------------------------

PROBLEM = Problem("There are 12 boxes of 7.", "12*7", 84)


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
    assert check(PROBLEM.chat([call(expression)])).call is right


def test_only_the_first_call_of_the_calculator_counts() -> None:
    assert not check(PROBLEM.chat([call("12+7"), call("12*7")])).call
    assert not check(PROBLEM.chat([call("12*7", name="search")])).call
    assert not check(PROBLEM.chat([call(None)])).call
    assert not check(PROBLEM.chat([{"role": "assistant", "tool_calls": "12*7"}])).call
    assert not check(PROBLEM.chat("12*7")).call


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
    assert check(PROBLEM.chat(text)).answer is right


def test_columns_of_a_row() -> None:
    row = PROBLEM.row()
    assert row["reference"] == row["answer"] == "84"
    assert [m["role"] for m in row["prompt"]] == ["system", "user"]
    assert PROBLEM.row("calls")["reference"] == [call("12*7")["tool_calls"][0]]  # type: ignore[index]
    assert PROBLEM.chat("84", "calls").extra["expression"] == "12*7"
    assert Arithmetic().rows(2, 3)[1] == Arithmetic().problems(2, 3)[1].row()


# -- the environment -----------------------------------------------------------------------------------------------


def test_an_episode_with_a_call_and_an_answer() -> None:
    env = ArithmeticEnv()
    prompt, info = env.reset(seed=3)
    problem = info["problem"]
    assert prompt == problem.prompt
    results, reward, terminated, truncated, info = env.step(call(problem.expression))
    assert results == [{"role": "tool", "name": "calculator", "content": str(problem.answer)}]
    assert (reward, terminated, truncated, info["check"].call) == (0.0, False, False, True)
    results, reward, terminated, truncated, _ = env.step(f"The answer is {problem.answer}.")
    assert (results, reward, terminated, truncated) == ([], 1.0, True, False)
    assert isinstance(env.sample, Chat)
    assert check(env.sample) == (True, True)
    assert [m["role"] for m in env.sample.completion_messages] == ["assistant", "tool", "assistant"]


def test_a_wrong_answer_gets_nothing_and_the_end_is_the_end() -> None:
    env = ArithmeticEnv()
    with pytest.raises(RuntimeError, match="call reset first"):
        env.step("1")
    with pytest.raises(RuntimeError, match="no turn was taken"):
        _ = env.sample
    env.reset(seed=0)
    assert env.step("no idea")[1:4] == (0.0, True, False)
    with pytest.raises(RuntimeError, match="call reset first"):
        env.step("1")


def test_tool_errors_come_back_as_results_and_turns_are_bounded() -> None:
    env = ArithmeticEnv(max_turns=3)
    env.reset(seed=0)
    assert "can't read" in env.step(call("1+"))[0][0]["content"]
    assert "Tool search not found" in env.step(call("1", name="search"))[0][0]["content"]
    assert env.step(call("1/0"))[1:4] == (0.0, False, True)
    env.reset()
    with pytest.raises(ValueError, match="expected an assistant message"):
        env.step({"role": "user", "content": "1"})


def test_seeding_the_environment_repeats_its_problems() -> None:
    env = ArithmeticEnv()
    seeds = random.Random(1).sample(range(100), 3)
    for seed in seeds:
        first = [env.reset(seed=seed)[1]["problem"], env.reset()[1]["problem"]]
        assert first == [env.reset(seed=seed)[1]["problem"], env.reset()[1]["problem"]]
        assert first[0] != first[1]
