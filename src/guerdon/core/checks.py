"""Checks of options, for errors at the door that name the argument."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from typing import Any


def check_choice(value: Any, name: str, choices: Iterable[str]) -> None:
    """Raise `ValueError` where `value` isn't one of `choices`."""
    known = tuple(choices)
    if value not in known:
        raise ValueError(f"{name}: expected one of {', '.join(known)}, got {value!r}")


def check_number(
    value: Any, name: str, low: float = -math.inf, high: float = math.inf, *, above: float = -math.inf
) -> float:
    """`value` as a float. Raises `ValueError` unless it is a finite number in [low, high] and greater than `above`."""
    number = math.nan if isinstance(value, bool) or not isinstance(value, numbers.Real) else float(value)
    if not (math.isfinite(number) and low <= number <= high and number > above):
        raise ValueError(f"{name}: expected a finite number{_bounds(low, high, above)}, got {value!r}")
    return number


def check_count(value: Any, name: str, low: int = 1, high: int | None = None) -> None:
    """Raise `ValueError` where `value` isn't an integer in [low, high]."""
    if type(value) is not int or value < low or (high is not None and value > high):
        bounds = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name}: expected an integer {bounds}, got {value!r}")


def _bounds(low: float, high: float, above: float) -> str:
    if above > -math.inf:
        return f" above {above:g}"
    if low == -math.inf:
        return "" if high == math.inf else f" of at most {high:g}"
    return f" of at least {low:g}" if high == math.inf else f" in [{low:g}, {high:g}]"
