"""A recipe as a formula to read: `0.2 · format + correct`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Token = tuple[str, str]
"""What it is (`part`, `number`, `call` or `op`) and its text."""


def formula(recipe: str | None) -> list[Token]:
    """Tokens of the formula that a recipe (YAML text) describes; empty where it isn't a recipe."""
    data = _recipe_data(recipe)
    weights = data.get("weights")
    if isinstance(weights, Mapping):
        tokens = _sum(list(weights), list(weights.values()), 0)
    elif "total" in data:
        tokens = _expression(data["total"])
    else:
        return []
    transforms = data.get("transforms")
    return _piped(tokens, transforms if isinstance(transforms, list) else [])


def recipe_weights(recipe: str | None) -> Mapping[str, Any]:
    """Weight of each part, where the total is their weighted sum and nothing else; empty otherwise."""
    data = _recipe_data(recipe)
    weights = data.get("weights")
    return weights if isinstance(weights, Mapping) and not data.get("transforms") else {}


def _recipe_data(recipe: str | None) -> Mapping[str, Any]:
    import yaml

    try:
        data = yaml.safe_load(recipe or "")
    except (yaml.YAMLError, RecursionError):
        return {}
    return data if isinstance(data, Mapping) else {}


def _expression(node: Any, inside: bool = False) -> list[Token]:
    """Tokens of one node; `inside` puts a sum or a pipe in brackets."""
    if not isinstance(node, Mapping):
        return [("part", str(node))]
    if "sum" in node:
        parts = _items(node["sum"])
        weights = node.get("weights")
        tokens = _sum(
            parts, weights if isinstance(weights, list) else [1.0] * len(parts), node.get("bias", 0)
        )
        return _bracketed(tokens) if inside else tokens
    if "product" in node:
        return _joined([_expression(part, inside=True) for part in _items(node["product"])], " × ")
    for name in ("minimum", "maximum"):
        if name in node:
            return _call(name, [_expression(part) for part in _items(node[name])])
    if "gate" in node:
        threshold = f" > {node.get('threshold', 0):g}" if _is_number(node.get("threshold", 0)) else ""
        by = [("op", "by "), *_expression(node.get("by")), ("number", threshold)]
        return _call("gate", [_expression(node["gate"]), by])
    if "when" in node:
        return [
            *_expression(node.get("then"), inside=True),
            ("op", " when "),
            *_named(node["when"], "predicate"),
        ]
    if "pipe" in node:
        stages = _items(node["pipe"])
        tokens = _piped(_expression(stages[0], inside=True), stages[1:]) if stages else []
        return _bracketed(tokens) if inside else tokens
    return _named(node, "reward")


def _sum(parts: Sequence[Any], weights: Sequence[Any], bias: Any) -> list[Token]:
    tokens = list[Token]()
    for part, weight in zip(parts, weights, strict=False):
        negative = _is_number(weight) and weight < 0
        if tokens or negative:
            tokens.append(("op", (" − " if negative else " + ") if tokens else "−"))
        size = abs(weight) if _is_number(weight) else weight
        if size != 1:
            tokens += [("number", f"{size:g}" if _is_number(size) else str(size)), ("op", " · ")]
        tokens += _expression(part, inside=True)
    if _is_number(bias) and bias:
        tokens += [("op", " + " if bias > 0 else " − "), ("number", f"{abs(bias):g}")]
    return tokens


def _piped(tokens: list[Token], transforms: Sequence[Any]) -> list[Token]:
    if transforms and any(kind == "op" and text in (" + ", " − ") for kind, text in tokens):
        tokens = _bracketed(tokens)
    for transform in transforms:
        tokens = [*tokens, ("op", " | "), *_named(transform, "transform")]
    return tokens


def _named(node: Any, kind: str) -> list[Token]:
    """A registered name, with its arguments where it has some."""
    if not isinstance(node, Mapping):
        return [("call" if kind != "reward" else "part", str(node))]
    name = str(node.get(kind) or node.get("python") or "?")
    arguments = [f"{key}={value}" for key, value in node.items() if key not in (kind, "python", "name")]
    return [
        ("call" if kind != "reward" else "part", name),
        ("op", f"({', '.join(arguments)})" if arguments else ""),
    ]


def _call(name: str, arguments: Sequence[list[Token]]) -> list[Token]:
    return [("call", name), *_bracketed(_joined(arguments, ", "))]


def _joined(pieces: Sequence[list[Token]], between: str) -> list[Token]:
    return [token for i, piece in enumerate(pieces) for token in ([("op", between)] if i else []) + piece]


def _bracketed(tokens: Sequence[Token]) -> list[Token]:
    return [("op", "("), *tokens, ("op", ")")]


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
