from __future__ import annotations

import operator
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.agents import answer_calls, as_tools, calculator, evaluate, operands

OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}


@given(
    st.recursive(
        st.integers(0, 99).map(lambda n: (str(n), Fraction(n))),
        lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(
            lambda t: (f"({t[0][0]}{t[1]}{t[2][0]})", OPERATORS[t[1]](t[0][1], t[2][1]))
        ),
        max_leaves=5,
    )
)
@settings(max_examples=100, deadline=None)
def test_values_are_exact(made: tuple[str, Fraction]) -> None:
    expression, value = made
    assert evaluate(expression) == value
    assert calculator(expression) == str(value)


def test_decimals_and_fractions_are_exact_inside_and_short_outside() -> None:
    assert evaluate("0.1 + 0.2") == Fraction(3, 10)
    assert calculator("1/3*3") == "1"
    assert calculator("1/3") == "0.333333"
    assert calculator("-7 / 2") == "-3.5"


def test_operands_are_the_numbers_in_ascending_order() -> None:
    assert operands("3 + 2*(10 - 2.5)") == [2, 2.5, 3, 10]


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ("", "can't read"),
        ("1 +", "can't read"),
        ("\x00", "can't read"),
        ("\ud800", "can't read"),
        ("2 ** 9", "found BinOp"),
        ("__import__('os')", "found Call"),
        ("x", "found Name"),
        ("True", "found Constant"),
        ("1e13", "expected numbers up to"),
        ("999999 * 9999999", "passes 1000000000000"),
        ("1+" * 1_000_000 + "1", "at most 100 characters"),
        ("(" * 49 + ")" * 49, "found Tuple"),
    ],
)
def test_what_is_no_arithmetic_is_refused(expression: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        evaluate(expression)


def test_other_errors() -> None:
    with pytest.raises(ZeroDivisionError):
        evaluate("1 / (2 - 2)")
    with pytest.raises(TypeError, match="expected text, got int"):
        evaluate(3)  # pyright: ignore[reportArgumentType]


def test_a_model_can_call_it() -> None:
    calls = [
        {"function": {"name": "calculator", "arguments": {"expression": text}}} for text in ("2*21", "1/0")
    ]
    first, second = answer_calls({"role": "assistant", "tool_calls": calls}, as_tools([calculator]))
    assert first["content"] == "42"
    assert second["content"].startswith("error: ZeroDivisionError")
