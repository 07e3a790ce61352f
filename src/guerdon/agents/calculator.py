"""Exact arithmetic for models: read as an expression tree, never run as code."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

MAX_EXPRESSION = 100
MAX_VALUE = 10**12

OPERATORS: Mapping[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def evaluate(expression: str) -> Fraction:
    """The exact value of an expression of whole or decimal numbers, `+ - * /` and parentheses.

    Raises `TypeError` where `expression` isn't text, `ZeroDivisionError` on division by zero, and
    `ValueError` where it is longer than `MAX_EXPRESSION` characters, holds anything else, or passes
    `MAX_VALUE` in size on the way.
    """
    return _value(_parse(expression))


def operands(expression: str) -> list[float]:
    """The numbers in an expression, ascending. Raises `TypeError` or `ValueError` where it can't be read."""
    nodes = ast.walk(_parse(expression))
    return sorted(n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, (int, float)))


def calculator(expression: str) -> str:
    """Work out an arithmetic expression.

    Args:
        expression: Numbers with + - * / and parentheses

    Returns:
        The value
    """
    value = evaluate(expression)
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.6g}"


def _parse(expression: str) -> ast.expr:
    if not isinstance(expression, str):
        raise TypeError(f"expression: expected text, got {type(expression).__name__}")
    if len(expression) > MAX_EXPRESSION:
        raise ValueError(f"expression: expected at most {MAX_EXPRESSION} characters, got {len(expression)}")
    try:
        return ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"expression: can't read {expression!r} as arithmetic") from error


def _value(node: ast.expr) -> Fraction:
    if (
        isinstance(node, ast.Constant)
        and isinstance(node.value, (int, float))
        and not isinstance(node.value, bool)
        and abs(node.value) <= MAX_VALUE
    ):
        value = Fraction(str(node.value))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = -_value(node.operand)
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Div) and right == 0:
            raise ZeroDivisionError("division by zero")  # a fraction would say something else
        value = OPERATORS[type(node.op)](left, right)
    else:
        raise ValueError(
            f"expression: expected numbers up to {MAX_VALUE}, + - * / and parentheses, "
            f"found {type(node).__name__}"
        )
    if abs(value) > MAX_VALUE:
        raise ValueError(f"expression: passes {MAX_VALUE} in size")
    return value
