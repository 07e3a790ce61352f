"""JSON rows without the leniency of the standard reader: what would become a wrong value is an error."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, cast

MAX_DEPTH = 100


def parse_row(raw: bytes) -> dict[str, Any]:
    """The object that one row of JSON holds. Integers stay exact.

    Raises `ValueError` with the reason where the row is not UTF-8, not JSON, not an object or nested deeper than
    `MAX_DEPTH`; where it has NaN, an infinity, a number beyond float64, a key twice or a lone surrogate.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: byte 0x{raw[error.start]:02x} at {error.start}") from None
    try:
        value = _STRICT.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"invalid JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels") from None
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, got {type(value).__name__}")
    # The walk is slow beside the parser, and these two counts are what makes it unnecessary for most rows.
    if "\\ud" in text or "\\uD" in text or text.count("{") + text.count("[") > MAX_DEPTH:
        check(value)
    return cast("dict[str, Any]", value)


def check(value: Any, depth: int = 0) -> None:
    """Raise `ValueError` on a lone surrogate or on nesting deeper than `MAX_DEPTH` in a value of any origin."""
    if isinstance(value, str):
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise ValueError(f"lone surrogate U+{ord(value[error.start]):04X} in a string") from None
        return
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value)
        inner = chain(items, items.values())
    elif isinstance(value, (list, tuple)):
        inner = cast("Sequence[Any]", value)
    else:
        return
    if depth == MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    for part in inner:
        check(part, depth + 1)


def elements(text: str) -> Iterator[tuple[int, str, str | None]]:
    """The rows of a JSON array, or of the objects that stand one after the other: `(offset, raw, reason)`.

    The rows are found but not checked. What follows a syntax error can't be split into rows: it comes as one,
    with the reason.
    """
    position = _after_space(text, 0)
    array = text.startswith("[", position)
    position = _after_space(text, position + array)
    while position < len(text):
        if array and text[position] == "]":
            array, position = False, _after_space(text, position + 1)
            continue
        try:
            end = _LENIENT.raw_decode(text, position)[1]
            after = _after_space(text, end)
            if array and text[after : after + 1] not in ("]", ","):
                raise json.JSONDecodeError("Expecting ',' or ']'", text, after)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            yield position, text[position:], f"invalid JSON: {reason}; what follows can't be split into rows"
            return
        yield position, text[position:end], None
        position = _after_space(text, after + (array and text[after] == ","))
    if array:
        yield position, "", "invalid JSON: the array is not closed"


def _after_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:40]} is beyond the range of float64")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(
            f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice in one object"
        )
    return result


_STRICT = json.JSONDecoder(parse_constant=_constant, parse_float=_finite, object_pairs_hook=_object)
_LENIENT = json.JSONDecoder(parse_int=str, parse_float=str)
