"""From a name, a file, text or a mapping to a Reward."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from guerdon.core import registry
from guerdon.core.recipe.reader import Recipe
from guerdon.core.recipe.text import RecipeError, read_yaml
from guerdon.core.reward import Reward


def load_reward(
    source: str | os.PathLike[str] | Mapping[str, Any], *, trust: bool = False, **arguments: Any
) -> Reward:
    """A Reward from a registered name, a recipe (file, YAML text or mapping), or the name of a shipped recipe.

    `arguments` go to the registered reward. `trust=True` lets a recipe import the Python objects that it names,
    from beside its file, too.
    Raises `RecipeError` with line and key, `registry.UnknownName`, or `TypeError` for a wrong argument.
    """
    if isinstance(source, Mapping):
        return Recipe(source, {}, "recipe", trust).reward()
    text = os.fspath(source)
    if "\n" in text:
        return _refuse_arguments(arguments, parse_recipe(text, trust=trust))
    if text.endswith((".yaml", ".yml")):
        path = Path(text)
        if not path.is_file():
            raise RecipeError(f"{text}: no such recipe file")
        folder = str(path.resolve().parent)
        if trust and folder not in sys.path:
            sys.path.insert(0, folder)
        return _refuse_arguments(arguments, parse_recipe(path.read_text("utf-8"), str(path), trust=trust))
    shipped = shipped_recipe(text)
    known = any(entry.name == text for entry in registry.entries("reward"))
    if shipped is not None and not known:
        return _refuse_arguments(
            arguments, parse_recipe(shipped.read_text("utf-8"), f"recipe {text}", trust=trust)
        )
    return registry.create(text, "reward", arguments)


def _refuse_arguments(arguments: Mapping[str, Any], loaded: Reward) -> Reward:
    if arguments:
        raise TypeError(f"a recipe takes no arguments, got {', '.join(arguments)}; change the recipe instead")
    return loaded


def shipped_recipe(name: str) -> Path | None:
    """The file of a recipe that comes with the package."""
    path = Path(__file__).resolve().parents[2] / "recipes" / f"{name}.yaml"
    return path if path.is_file() else None


def parse_recipe(text: str, where: str = "recipe", *, trust: bool = False) -> Reward:
    """The Reward that YAML text describes."""
    data, lines = read_yaml(text, where)
    return Recipe(data, lines, where, trust).reward()
