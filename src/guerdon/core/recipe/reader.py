"""From the plain data of a recipe to its expression graph."""

from __future__ import annotations

import copy
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

from guerdon.core import registry
from guerdon.core.algebra import Apply, Extremum, Gate, Product, Sum, When
from guerdon.core.identity import Spec
from guerdon.core.recipe.text import KeyPath, RecipeError
from guerdon.core.registry import did_you_mean
from guerdon.core.reward import Reward
from guerdon.core.transform import Transform

_TOP = ("name", "version", "parts", "weights", "total", "transforms", "train", "data", "about")
_FORMS = ("sum", "product", "minimum", "maximum", "gate", "when", "pipe", "reward", "python")


class Recipe:
    """One recipe being read: plain data, where each key stands, and the parts made so far."""

    def __init__(
        self, data: Mapping[str, Any], lines: Mapping[KeyPath, int], where: str, trust: bool
    ) -> None:
        self.data, self.lines, self.where, self.trust = data, lines, where, trust
        self.parts: dict[str, Reward] = {}
        self._open: list[str] = []

    def fail(self, path: KeyPath, problem: str) -> RecipeError:
        """The error for a key, with its line."""
        known = next((self.lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in self.lines), None)
        place = f"{self.where}:{known}" if known is not None else self.where
        return RecipeError(f"{place}: `{'.'.join(path) or 'recipe'}`: {problem}")

    def reward(self) -> Reward:
        """Build the whole."""
        for key in self.data:
            if key not in _TOP:
                raise self.fail((key,), f"unknown section{did_you_mean(key, _TOP)}")
        named = self._mapping(self.data.get("parts", {}), ("parts",))
        for name in named:
            self._part(name, ("parts", name))
        if ("weights" in self.data) == ("total" in self.data):
            raise self.fail((), "expected either `weights` or `total`")
        built = (
            self._weighted() if "weights" in self.data else self.expression(self.data["total"], ("total",))
        )
        for i, entry in enumerate(self._list(self.data.get("transforms", []), ("transforms",))):
            built = Apply(built, self.transform(entry, ("transforms", str(i))))
        if "name" in self.data:
            built = built.named(str(self.data["name"]))
        if "version" in self.data:
            built = copy.copy(built)
            built.version = str(self.data["version"])
        return built

    def _part(self, name: str, path: KeyPath) -> Reward:
        if name not in self.parts:
            if name in self._open:
                raise self.fail(path, f"the parts {' → '.join([*self._open, name])} need each other")
            self._open.append(name)
            built = self.expression(self.data["parts"][name], ("parts", name))
            self._open.pop()
            self.parts[name] = built if built.name == name else built.named(name)
        return self.parts[name]

    def _weighted(self) -> Reward:
        weights = self._mapping(self.data["weights"], ("weights",))
        for name in weights:
            if name not in self.parts:
                raise self.fail(("weights", name), f"unknown part{did_you_mean(name, self.parts)}")
        for name in self.parts:
            if name not in weights:
                raise self.fail(
                    ("parts", name), "this part has no weight; give it one under `weights` or leave it out"
                )
        if not weights:
            raise self.fail(("weights",), "expected at least one part")
        return Sum(
            [(self._number(weight, ("weights", name)), self.parts[name]) for name, weight in weights.items()]
        )

    def expression(self, node: Any, path: KeyPath) -> Reward:
        """A Reward from one node of the recipe."""
        if isinstance(node, str):
            if node in self._mapping(self.data.get("parts", {}), ("parts",)) and path != ("parts", node):
                return self._part(node, path)
            return self._create(node, "reward", {}, path)
        node = self._mapping(node, path)
        # A registered reward's own arguments may be called like a form, so that the name decides.
        forms = [form for form in ("reward", "python") if form in node] or [f for f in _FORMS if f in node]
        if len(forms) != 1:
            raise self.fail(path, f"expected one of {', '.join(_FORMS)}, got {', '.join(node) or 'nothing'}")
        return cast("Reward", getattr(self, f"_{forms[0]}")(node, path))

    def _sum(self, node: Mapping[str, Any], path: KeyPath) -> Reward:
        self._only(node, path, "sum", "weights", "bias", "name")
        parts = self._several(node, path, "sum")
        weights = self._list(node.get("weights", [1.0] * len(parts)), (*path, "weights"))
        if len(weights) != len(parts):
            raise self.fail((*path, "weights"), f"expected {len(parts)} weights, got {len(weights)}")
        terms = [
            (self._number(w, (*path, "weights", str(i))), part)
            for i, (w, part) in enumerate(zip(weights, parts, strict=True))
        ]
        return Sum(terms, self._number(node.get("bias", 0.0), (*path, "bias")), self._name(node))

    def _product(self, node: Mapping[str, Any], path: KeyPath) -> Reward:
        self._only(node, path, "product", "name")
        return Product(self._several(node, path, "product"), self._name(node))

    def _minimum(self, node: Mapping[str, Any], path: KeyPath) -> Reward:
        self._only(node, path, "minimum", "name")
        return Extremum(self._several(node, path, "minimum"), False, self._name(node))

    def _maximum(self, node: Mapping[str, Any], path: KeyPath) -> Reward:
        self._only(node, path, "maximum", "name")
        return Extremum(self._several(node, path, "maximum"), True, self._name(node))

    def _gate(self, node: Mapping[str, Any], path: KeyPath) -> Reward:
        self._only(node, path, "gate", "by", "threshold", "otherwise", "name")
        if "by" not in node:
            raise self.fail(path, "a gate needs `by`, the reward that opens it")
        return Gate(
            self.expression(node["gate"], (*path, "gate")),
            self.expression(node["by"], (*path, "by")),
            self._number(node.get("threshold", 0.0), (*path, "threshold")),
            self._number(node.get("otherwise", 0.0), (*path, "otherwise")),
            self._name(node),
        )

    def _when(self, node: Mapping[str, Any], path: KeyPath) -> Reward:
        self._only(node, path, "when", "then", "name")
        if "then" not in node:
            raise self.fail(path, "`when` needs `then`, the reward that applies")
        predicate = self._named_object(node["when"], "predicate", (*path, "when"))
        return When(self.expression(node["then"], (*path, "then")), predicate, self._name(node))

    def _pipe(self, node: Mapping[str, Any], path: KeyPath) -> Reward:
        self._only(node, path, "pipe", "name")
        stages = self._list(node["pipe"], (*path, "pipe"))
        if len(stages) < 2:
            raise self.fail((*path, "pipe"), "expected a reward and at least one transform")
        built = self.expression(stages[0], (*path, "pipe", "0"))
        for i, stage in enumerate(stages[1:], start=1):
            built = Apply(built, self.transform(stage, (*path, "pipe", str(i))))
        return built if self._name(node) is None else built.named(str(node["name"]))

    def _reward(self, node: Mapping[str, Any], path: KeyPath) -> Reward:
        name = str(node["reward"])
        own = registry.takes(name, "reference")
        arguments = {k: v for k, v in node.items() if k != "reward" and (own or k != "reference")}
        made = self._create(name, "reward", arguments, path)
        return made.with_reference(str(node["reference"])) if "reference" in node and not own else made

    def _python(self, node: Mapping[str, Any], path: KeyPath) -> Reward:
        built = self._import(node, path)
        if not isinstance(built, Reward):
            raise self.fail((*path, "python"), f"expected a Reward, got {type(built).__name__}")
        return built

    def transform(self, node: Any, path: KeyPath) -> Transform:
        """A Transform from one node of the recipe."""
        built = self._named_object(node, "transform", path)
        if not isinstance(built, Transform):
            raise self.fail(path, f"expected a transform, got {type(built).__name__}")
        return built

    # -- shared checks ------------------------------------------------------------------------------------------

    def _named_object(self, node: Any, kind: registry.Kind, path: KeyPath) -> Any:
        if isinstance(node, str):
            return self._create(node, kind, {}, path)
        node = self._mapping(node, path)
        if "python" in node:
            return self._import(node, path)
        if kind not in node:
            raise self.fail(path, f"expected the name of a {kind} or {{{kind}: NAME, …}}")
        return self._create(str(node[kind]), kind, {k: v for k, v in node.items() if k != kind}, path)

    def _create(self, name: str, kind: registry.Kind, arguments: Mapping[str, Any], path: KeyPath) -> Any:
        try:
            entry = registry.lookup(name, kind)
        except registry.UnknownName:
            known = [e.name for e in registry.entries(kind)]
            if kind == "reward":
                known += list(self._mapping(self.data.get("parts", {}), ("parts",)))
            raise self.fail(path, f"unknown {kind} {name!r}{did_you_mean(name, known)}") from None
        given = dict(arguments)
        for key, annotation in inspect.signature(entry.factory).parameters.items():
            if (
                key in given
                and "Reward" in str(annotation.annotation)
                and isinstance(given[key], (str, Mapping))
            ):
                given[key] = self.expression(given[key], (*path, key))
        try:
            return registry.create(name, kind, given)
        except (TypeError, ValueError) as error:
            bad = next(
                (key for key in arguments if f"{key!r}" in str(error) or str(error).startswith(key)), None
            )
            raise self.fail((*path, bad) if bad else path, str(error)) from None

    def _import(self, node: Mapping[str, Any], path: KeyPath) -> Any:
        target = str(node["python"])
        if not self.trust:
            raise self.fail(
                (*path, "python"),
                f"{target!r} is code of this recipe's author; pass --trust (trust=True) to import it",
            )
        module, _, attribute = target.partition(":")
        if not attribute:
            raise self.fail((*path, "python"), f"expected 'module:attribute', got {target!r}")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise self.fail((*path, "python"), str(error)) from None
        arguments = {k: v for k, v in node.items() if k not in ("python", "name")}
        made = isinstance(found, (Reward, Transform)) or (not inspect.isclass(found) and not arguments)
        built = found if made else cast("Callable[..., Any]", found)(**arguments)
        if isinstance(built, (Reward, Transform)):
            built.spec = Spec(f"python:{target}", arguments)
        return built

    def _several(self, node: Mapping[str, Any], path: KeyPath, key: str) -> list[Reward]:
        entries = self._list(node[key], (*path, key))
        if not entries:
            raise self.fail((*path, key), "expected at least one reward")
        return [self.expression(entry, (*path, key, str(i))) for i, entry in enumerate(entries)]

    def _only(self, node: Mapping[str, Any], path: KeyPath, *allowed: str) -> None:
        for key in node:
            if key not in allowed:
                raise self.fail((*path, key), f"unknown key{did_you_mean(key, allowed)}")

    def _name(self, node: Mapping[str, Any]) -> str | None:
        return str(node["name"]) if "name" in node else None

    def _mapping(self, value: Any, path: KeyPath) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise self.fail(path, f"expected a mapping, got {type(value).__name__}")
        return cast("Mapping[str, Any]", value)

    def _list(self, value: Any, path: KeyPath) -> list[Any]:
        if not isinstance(value, list):
            raise self.fail(path, f"expected a list, got {type(value).__name__}")
        return cast("list[Any]", value)

    def _number(self, value: Any, path: KeyPath) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.fail(path, f"expected a number, got {value!r}")
        return float(value)
