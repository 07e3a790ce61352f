"""Short formulas as sympy objects, read from LaTeX or from how a program prints them, without evaluating any code."""

from __future__ import annotations

import ast
import math
import operator
import re
from functools import cache, lru_cache
from typing import Any

from guerdon.verify.math import MOST_BRACKETS, TOO_DEEP

_FUNCTIONS = ("sqrt", "exp", "log", "sin", "cos", "tan")
_NAMES = "|".join((*_FUNCTIONS, "pi"))
# Three letters or more outside of a LaTeX command.
_WORD = re.compile(rf"(?<![\\A-Za-z])(?!(?:{_NAMES})(?![A-Za-z]))[A-Za-z]{{3,}}")
_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}


@lru_cache(maxsize=1024)
def equal_formulas(a: str, b: str, *, relative: float) -> bool:
    """Whether `simplify(a - b)` is 0, or both are real numbers within `relative` of the larger one.

    Sets, intervals, matrices and relations are equal where they are the same sympy object. What can't be read as a
    formula is equal to nothing, and so is a text with a word in it: read as a formula, a word is a product of letters
    and equals its anagrams.

    Raises `ValueError` where over 12 brackets open in a row, which would take the parser minutes. There is no time limit
    here: the engine's applies to the reward that calls this.
    """
    import sympy

    left = None if _WORD.search(a) or _WORD.search(b) else _read(a)
    right = None if left is None else _read(b)
    if left is None or right is None:
        return False
    if not (isinstance(left, sympy.Expr) and isinstance(right, sympy.Expr)):
        return bool(left == right)
    if left.is_comparable and right.is_comparable:
        values = float(left), float(right)
        if all(map(math.isfinite, values)):
            return math.isclose(*values, rel_tol=relative) or sympy.simplify(left - right) == 0
    return bool(sympy.simplify(left - right) == 0)


@lru_cache(maxsize=1024)
def _read(text: str) -> Any:
    """A sympy object; None where the text is no formula."""
    printed = _printed(text)
    return _latex(text) if printed is None else printed


def _printed(text: str) -> Any:
    """What a program printed: arithmetic of numbers, single letters and a few functions; None for anything else."""
    try:
        return _expression(ast.parse(text, mode="eval").body)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _expression(node: ast.expr) -> Any:
    import sympy

    match node:
        case ast.Constant(value=value) if type(value) in (int, float):
            return sympy.sympify(value)
        case ast.Name(id="pi"):
            return sympy.pi
        case ast.Name(id="e"):
            return sympy.E
        case ast.Name(id=name) if len(name) == 1 and name.islower():
            return sympy.Symbol(name)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_expression(operand))
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return sympy.Pow(_expression(left), _expression(right), evaluate=False)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_expression(left), _expression(right))
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _FUNCTIONS:
            return getattr(sympy, name)(_expression(argument))
        case _:
            raise ValueError(f"no formula: {type(node).__name__}")


def _latex(text: str) -> Any:
    if TOO_DEEP.search(text):
        raise ValueError(
            f"over {MOST_BRACKETS} brackets open in a row; the formula's parser would take minutes"
        )
    try:
        return _latex_parser()(text)
    except Exception:  # The parser raises bare exceptions for what isn't LaTeX.
        return None


@cache
def _latex_parser() -> Any:
    from latex2sympy2_extended import latex2sympy

    return latex2sympy
