"""YAML with the line of every key, and the error that tells it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias, cast

KeyPath: TypeAlias = tuple[str, ...]

# YAML 1.1 reads 1e-6 as text, which nobody who writes a learning rate means.
_EXPONENT = re.compile(r"[-+]?\d+(?:\.\d*)?[eE][-+]?\d+")


class RecipeError(ValueError):
    """A recipe that can't be read; the text gives file, line and key, and what was meant."""


def read_yaml(text: str, where: str = "recipe") -> tuple[Mapping[str, Any], dict[KeyPath, int]]:
    """YAML as plain data, with the line of every key. Raises `RecipeError` on bad YAML and on keys that occur twice."""
    import yaml

    lines = dict[KeyPath, int]()

    def build(node: Any, path: KeyPath) -> Any:
        lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            result = dict[str, Any]()
            for key_node, value_node in node.value:
                key = str(key_node.value)
                line = key_node.start_mark.line + 1
                if key in result:
                    raise RecipeError(f"{where}:{line}: `{'.'.join((*path, key))}`: this key occurs twice")
                result[key] = build(value_node, (*path, key))
                lines[(*path, key)] = line
            return result
        if isinstance(node, yaml.SequenceNode):
            return [build(child, (*path, str(i))) for i, child in enumerate(node.value)]
        if not node.style and _EXPONENT.fullmatch(node.value):
            return float(node.value)
        return loader.construct_object(node, deep=True)

    try:
        loader: Any = yaml.SafeLoader(text)
        root = loader.get_single_node()
        data: Any = {} if root is None else build(root, ())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        raise RecipeError(f"{where}{line}: not YAML: {getattr(error, 'problem', None) or error}") from None
    except RecursionError:
        raise RecipeError(f"{where}: nested too deeply") from None
    if not isinstance(data, Mapping):
        raise RecipeError(
            f"{where}: expected a mapping with `parts` and `weights` or `total`, got {type(data).__name__}"
        )
    return cast("Mapping[str, Any]", data), lines
