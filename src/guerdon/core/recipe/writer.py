"""From an expression graph to the recipe that says it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from guerdon.core.algebra import Apply, Expression, Extremum, Gate, Product, Sum, When
from guerdon.core.identity import Spec
from guerdon.core.recipe.text import RecipeError
from guerdon.core.reference import WithReference
from guerdon.core.registry import takes
from guerdon.core.reward import Reward


def dump_recipe(reward: Reward) -> str:
    """YAML from which `load_reward` builds the same expression graph.

    Every leaf becomes a part, so that one that is shared stays shared. Raises `RecipeError` for a leaf that isn't
    registered: it has no name that another program could load.
    """
    import yaml

    return yaml.safe_dump(recipe_data(reward), sort_keys=False, allow_unicode=True, width=100)


def describe(reward: Reward) -> dict[str, Any]:
    """What a file of results says of its reward: `reward`, its recipe or at least its name, and a sum's `weights`."""
    try:
        described: dict[str, Any] = {"reward": dump_recipe(reward)}
    except RecipeError:
        described = {"reward": reward.name}
    if isinstance(reward, Sum):
        described["weights"] = {part.name: w for w, part in zip(reward.weights, reward.parts, strict=True)}
    return described


def recipe_data(reward: Reward) -> dict[str, Any]:
    """The recipe of a reward as plain data."""
    writer = _Writer()
    total = writer.expression(reward)
    version = {} if reward.version == "1" else {"version": reward.version}
    return {**version, "parts": writer.parts, "total": total}


class _Writer:
    """Turns an expression graph into recipe data, giving each distinct leaf a name of its own."""

    def __init__(self) -> None:
        self.parts: dict[str, Any] = {}
        self._names: dict[int, str] = {}

    def expression(self, node: Reward) -> Any:
        if not isinstance(node, Expression) or node.spec is not None:
            return self._leaf(node)
        parts: Sequence[Any] = [self.expression(part) for part in node.parts]
        named = {"name": node.name}
        if isinstance(node, Sum):
            return {
                "sum": parts,
                "weights": list(node.weights),
                "bias": node.bias,
                **({} if node.anonymous else named),
            }
        if isinstance(node, Product):
            return {"product": parts, **({} if node.anonymous else named)}
        if isinstance(node, Extremum):
            return {"maximum" if node.largest else "minimum": parts, **named}
        if isinstance(node, Gate):
            return {
                "gate": parts[0],
                "by": parts[1],
                "threshold": node.threshold,
                "otherwise": node.otherwise,
                **named,
            }
        if isinstance(node, When):
            return {"when": self._spec(node.predicate, "predicate"), "then": parts[0], **named}
        if isinstance(node, Apply):
            return {"pipe": [parts[0], self._spec(node.transform, "transform")], **named}
        raise RecipeError(f"{node.name}: {type(node).__name__} has no form in a recipe; register it")

    def _leaf(self, node: Reward) -> str:
        if id(node) not in self._names:
            data = self._spec(node, "reward")
            name, count = node.name, 1
            while name in self.parts:
                count += 1
                name = f"{node.name}-{count}"
            self._names[id(node)] = name
            self.parts[name] = data
        return self._names[id(node)]

    def _spec(self, made: Any, kind: str) -> dict[str, Any]:
        if isinstance(made, WithReference):
            spec = self._spec(made.part, kind)
            if takes(str(spec.get("reward")), "reference"):
                raise RecipeError(
                    f"{spec['reward']}: has an argument `reference`, so its column can't be named"
                )
            return {**spec, "reference": made.key}
        spec = getattr(made, "spec", None)
        if not isinstance(spec, Spec):
            raise RecipeError(
                f"{getattr(made, 'name', made)!r} is not registered, so a recipe can't name it; use @guerdon.register"
            )
        arguments = {key: self._argument(value) for key, value in spec.arguments.items()}
        if spec.name.startswith("python:"):
            return {"python": spec.name.removeprefix("python:"), **arguments}
        return {kind: spec.name, **arguments}

    def _argument(self, value: Any) -> Any:
        if isinstance(value, Reward):
            return self.expression(value)
        if isinstance(value, tuple):
            return [self._argument(item) for item in cast("tuple[Any, ...]", value)]
        return value
