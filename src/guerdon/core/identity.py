"""What an object is: how it was made, and a hash of what it computes."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from guerdon.core.arrays import is_array


@dataclass(frozen=True, slots=True)
class Spec:
    """Under which registered name, and with which arguments, an object was made; what a recipe writes down."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])


def canonical(value: Any) -> Any:
    """A JSON-able form in which equal configurations are equal."""
    if hasattr(value, "fingerprint"):
        return ["fingerprint", value.fingerprint()]
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {str(k): canonical(v) for k, v in sorted(items, key=lambda item: str(item[0]))}
    if isinstance(value, (list, tuple)):
        return [canonical(v) for v in cast("Sequence[Any]", value)]
    if isinstance(value, (set, frozenset)):
        return ["set", sorted(map(repr, cast("set[Any]", value)))]
    if is_array(value):
        return ["array", str(value.dtype), list(value.shape), hashlib.blake2b(value.tobytes()).hexdigest()]
    if isinstance(value, Spec):
        return [value.name, canonical(value.arguments)]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if inspect.isfunction(value):
        return ["function", *function_identity(value)]
    return repr(value)


def digest(value: Any) -> str:
    """Short stable hash of a configuration."""
    text = json.dumps(canonical(value), sort_keys=True, ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def function_identity(function: Callable[..., Any]) -> list[Any]:
    """Name, code, defaults and captured values of a function: editing it changes its fingerprint."""
    code = getattr(function, "__code__", None)
    captured = [
        canonical(cell.cell_contents)
        for cell in (getattr(function, "__closure__", None) or ())
        if _full(cell)
    ]
    return [
        getattr(function, "__qualname__", repr(function)),
        _code_hash(code) if code is not None else "",
        canonical(getattr(function, "__defaults__", None)),
        captured,
    ]


def _full(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _code_hash(code: Any) -> str:
    hasher = hashlib.blake2b(code.co_code, digest_size=16)
    hasher.update(repr((code.co_names, code.co_varnames)).encode("utf-8", "backslashreplace"))
    for constant in code.co_consts:
        nested = hasattr(constant, "co_code")
        hasher.update(
            (_code_hash(constant) if nested else repr(constant)).encode("utf-8", "backslashreplace")
        )
    return hasher.hexdigest()
