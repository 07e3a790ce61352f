"""Equality of answers: each rule, and what must not be equal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.verify.formulas import equal_formulas
from guerdon.verify.math_grading import answers_equal

NUMBERS = st.floats(-1e9, 1e9, allow_nan=False).filter(lambda x: abs(x) > 1e-6)


@pytest.mark.parametrize(
    ("prediction", "reference"),
    [
        ("5", "5.0004"),
        ("1,000", "1e3"),
        ("[5]", "5"),
        ("(1,2)", "1,2"),
        ("{East}", "East"),
        ("(1,\\frac{1}{2})", "(1.0,0.5)"),
        ("[[1],2]", "[[1.0],2.0]"),
        ("0.3333", "\\frac{1}{3}"),
        ("x+1", "1+x"),
        ("x*(x+1)", "x^2+x"),
        ("x**2-1", "(x-1)(x+1)"),
        ("2*sqrt(3)", "2\\sqrt{3}"),
        ("2*pi", "2\\pi"),
        ("exp(x)", "e^x"),
        ("2*E", "2E"),
        ("-x**-1", "-\\frac{1}{x}"),
        ("sqrt(2)**2-2", "0\\cdot1"),
        ("(1)(2)", "(2)(1)"),
        ("\\{1,2\\}", "\\{2,1\\}"),
    ],
)
def test_equal(prediction: str, reference: str) -> None:
    assert answers_equal(prediction, reference)


@pytest.mark.parametrize(
    ("prediction", "reference"),
    [
        ("5", "5.01"),
        ("", ""),
        ("", "5"),
        ("nan", "nan"),
        ("(1,2)", "[1,2]"),
        ("[1,2]", "(1,2)"),
        ("(1,2)", "(2,1)"),
        ("(1,2)", "(1,2,3)"),
        ("x+1", "x+2"),
        ("x", "y"),
        ("East", "Seat"),
        ("xyz", "x*y*z"),
        ("x*y*z", "xyz"),
        ("x<5", "x<6"),
        ("\\frac{", "5"),
        ("1/0", "2/0"),
        ("\ud800", "5"),
        ("__import__('os')", "5"),
    ],
)
def test_not_equal(prediction: str, reference: str) -> None:
    assert not answers_equal(prediction, reference)


@given(NUMBERS)
def test_numbers_equal_themselves_and_hundredfold_only_with_percentages(number: float) -> None:
    text, hundredfold = repr(number), repr(number * 100)
    assert answers_equal(text, text)
    assert not answers_equal(hundredfold, text)
    assert answers_equal(hundredfold, text, percentages=True)
    assert answers_equal(text, hundredfold, percentages=True)
    assert not answers_equal(repr(number * 10), text, percentages=True)


def test_percentages_reach_elements() -> None:
    assert answers_equal("(1,50)", "(1,0.5)", percentages=True)
    assert not answers_equal("(1,50)", "(1,0.5)")


def test_once_both_are_numbers_no_formula_is_tried() -> None:
    assert not answers_equal("0.3335", "0.3333")
    assert answers_equal("0.3335", "\\frac{1}{3}")


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_two_texts_have_a_verdict(a: str, b: str) -> None:
    assert answers_equal(a, b) in (True, False)


@given(st.text(min_size=1, max_size=30).filter(lambda text: "nan" not in text.lower()))
def test_a_text_equals_itself(text: str) -> None:
    assert answers_equal(text, text)


def test_long_texts_are_compared_as_text_only() -> None:
    formula = "+".join(["x"] * 400)
    assert answers_equal(formula, formula)
    assert not answers_equal(formula, "400x")
    assert not answers_equal("[" * 1_000_000, "(" * 1_000_000)


def test_deep_brackets_are_named() -> None:
    with pytest.raises(ValueError, match="over 12 brackets"):
        answers_equal("[" * 14 + "y" + "]" * 14 + "z", "x")


def test_code_is_not_run() -> None:
    assert not equal_formulas("().__class__", "x", relative=1e-3)
    assert not equal_formulas("exp(exp)", "x", relative=1e-3)
    assert not equal_formulas("exp(x, y)", "x", relative=1e-3)


@given(st.integers(-50, 50), st.integers(1, 50), st.integers(1, 9))
def test_fractions_equal_their_multiples(top: int, bottom: int, factor: int) -> None:
    assert equal_formulas(f"{top}/{bottom}", f"\\frac{{{top * factor}}}{{{bottom * factor}}}", relative=1e-3)
