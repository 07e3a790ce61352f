"""Plain numbers, read exactly: the part of mathematical equality that needs no computer algebra."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias

Number: TypeAlias = int | Decimal | Fraction

# No leading zeros, and at most 300 digits: math-verify reads the rest differently in a reference and in an answer.
_DIGITS = r"(?:0|[1-9]\d{0,299})"
_WHOLE = rf"(?:[1-9]\d{{0,2}}(?:,\d{{3}}){{1,99}}|{_DIGITS})"
# At most 9 digits before the point: a double then tells apart any two numbers that math-verify's rounding does.
_DECIMAL = r"(?:[1-9]\d{0,2}(?:,\d{3}){1,2}|0|[1-9]\d{0,8})\.\d{1,30}"
_NUMBER = re.compile(
    rf"(?P<whole>-?{_WHOLE})"
    rf"|(?P<decimal>-?{_DECIMAL})"
    rf"|(?P<sign>-?)(?:\\frac\{{(?P<top>{_DIGITS})\}}\{{(?P<bottom>{_DIGITS})\}}|(?P<over>{_DIGITS})/(?P<under>{_DIGITS}))",
    re.ASCII,
)
PLAIN = rf"-?(?:{_DECIMAL}|{_WHOLE})"
MOST_PLACES = 6


@lru_cache(maxsize=2048)
def plain_number(text: str) -> Number | None:
    r"""Exact value of a text that is nothing but a number; None where it isn't.

    Read are `-1,234`, `2.50`, `3/4` and `\frac{3}{4}`, in ASCII digits.
    """
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        return None
    whole, decimal, sign, top, bottom, over, under = match.groups()
    if whole is not None:
        return int(whole.replace(",", ""))
    if decimal is not None:
        return Decimal(decimal.replace(",", ""))
    denominator = int(bottom or under)
    return Fraction(int(sign + (top or over)), denominator) if denominator else None


def same_number(gold: Number, answer: Number, places: int) -> bool | None:
    """Whether the two are equal; None where a decimal is so close that rounding to `places` decimals decides."""
    kinds = {type(gold), type(answer)}
    if Decimal not in kinds:
        return gold == answer
    if _far(float(gold), float(answer), places):
        return False
    exact = all(-int(n.as_tuple().exponent) <= places for n in (gold, answer) if isinstance(n, Decimal))
    return gold == answer if exact and Fraction not in kinds else None


def other_than_rate(gold: Number, rate: Number, places: int) -> bool:
    """Whether a number is certainly not `rate` percent; math-verify takes 20% for 0.2 and, mostly, for 20."""
    return gold != rate and _far(float(gold), float(rate) / 100.0, places)


def _far(a: float, b: float, places: int) -> bool:
    return abs(a - b) > 10.0 * 10.0**-places
