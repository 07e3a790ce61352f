"""Recipes: a reward written down as YAML, and back.

    name: tool-use
    parts:
      format: {reward: tags, tags: [think, answer]}
      correct: math
    weights: {format: 0.2, correct: 1.0}

`parts` are named leaves; a name that is used twice is scored once. Then either `weights` (a weighted sum of parts) or
`total`, an expression: a part's name, a registered reward, or one of

    {sum: [A, B], weights: [0.2, 1.0], bias: 0.0}      {product: [A, B]}
    {minimum: [A, B]}                                  {maximum: [A, B]}
    {gate: A, by: B, threshold: 0.0, otherwise: 0.0}   {when: PREDICATE, then: A}
    {pipe: [A, TRANSFORM, …]}                          each may add `name: …`

A registered reward is its name, or `{reward: NAME, argument: value, …}`, where `reference: KEY` makes it read its
reference from that extra column; a transform is `{transform: NAME, …}`, a
predicate `{predicate: NAME, …}`. Code that isn't registered is only imported from `{python: "module:attribute"}` where
the caller trusts the recipe. Other top-level sections (`train`, `data`) belong to the commands that read them.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

from guerdon.core import registry
from guerdon.core.algebra import Apply, Expression, Extremum, Gate, Product, Sum, When
from guerdon.core.reference import WithReference
from guerdon.core.registry import did_you_mean
from guerdon.core.reward import Reward, Spec
from guerdon.core.transform import Transform

Path_: TypeAlias = tuple[str, ...]
# YAML 1.1 reads 1e-6 as text, which nobody who writes a learning rate means.
_EXPONENT = re.compile(r"[-+]?\d+(?:\.\d*)?[eE][-+]?\d+")
_TOP = ("name", "version", "parts", "weights", "total", "transforms", "train", "data", "about")
_FORMS = ("sum", "product", "minimum", "maximum", "gate", "when", "pipe", "reward", "python")


class RecipeError(ValueError):
    """A recipe that can't be read; the text gives file, line and key, and what was meant."""


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
    path = Path(__file__).resolve().parent.parent / "recipes" / f"{name}.yaml"
    return path if path.is_file() else None


def parse_recipe(text: str, where: str = "recipe", *, trust: bool = False) -> Reward:
    """The Reward that YAML text describes."""
    data, lines = read_yaml(text, where)
    return Recipe(data, lines, where, trust).reward()


def read_yaml(text: str, where: str = "recipe") -> tuple[Mapping[str, Any], dict[Path_, int]]:
    """YAML as plain data, with the line of every key. Raises `RecipeError` on bad YAML and on keys that occur twice."""
    import yaml

    lines = dict[Path_, int]()

    def build(node: Any, path: Path_) -> Any:
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


class Recipe:
    """One recipe being read: plain data, where each key stands, and the parts made so far."""

    def __init__(self, data: Mapping[str, Any], lines: Mapping[Path_, int], where: str, trust: bool) -> None:
        self.data, self.lines, self.where, self.trust = data, lines, where, trust
        self.parts: dict[str, Reward] = {}
        self._open: list[str] = []

    def fail(self, path: Path_, problem: str) -> RecipeError:
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

    def _part(self, name: str, path: Path_) -> Reward:
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

    def expression(self, node: Any, path: Path_) -> Reward:
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

    def _sum(self, node: Mapping[str, Any], path: Path_) -> Reward:
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

    def _product(self, node: Mapping[str, Any], path: Path_) -> Reward:
        self._only(node, path, "product", "name")
        return Product(self._several(node, path, "product"), self._name(node))

    def _minimum(self, node: Mapping[str, Any], path: Path_) -> Reward:
        self._only(node, path, "minimum", "name")
        return Extremum(self._several(node, path, "minimum"), False, self._name(node))

    def _maximum(self, node: Mapping[str, Any], path: Path_) -> Reward:
        self._only(node, path, "maximum", "name")
        return Extremum(self._several(node, path, "maximum"), True, self._name(node))

    def _gate(self, node: Mapping[str, Any], path: Path_) -> Reward:
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

    def _when(self, node: Mapping[str, Any], path: Path_) -> Reward:
        self._only(node, path, "when", "then", "name")
        if "then" not in node:
            raise self.fail(path, "`when` needs `then`, the reward that applies")
        predicate = self._named_object(node["when"], "predicate", (*path, "when"))
        return When(self.expression(node["then"], (*path, "then")), predicate, self._name(node))

    def _pipe(self, node: Mapping[str, Any], path: Path_) -> Reward:
        self._only(node, path, "pipe", "name")
        stages = self._list(node["pipe"], (*path, "pipe"))
        if len(stages) < 2:
            raise self.fail((*path, "pipe"), "expected a reward and at least one transform")
        built = self.expression(stages[0], (*path, "pipe", "0"))
        for i, stage in enumerate(stages[1:], start=1):
            built = Apply(built, self.transform(stage, (*path, "pipe", str(i))))
        return built if self._name(node) is None else built.named(str(node["name"]))

    def _reward(self, node: Mapping[str, Any], path: Path_) -> Reward:
        arguments = {k: v for k, v in node.items() if k not in ("reward", "reference")}
        made = self._create(str(node["reward"]), "reward", arguments, path)
        return made.with_reference(str(node["reference"])) if "reference" in node else made

    def _python(self, node: Mapping[str, Any], path: Path_) -> Reward:
        built = self._import(node, path)
        if not isinstance(built, Reward):
            raise self.fail((*path, "python"), f"expected a Reward, got {type(built).__name__}")
        return built

    def transform(self, node: Any, path: Path_) -> Transform:
        """A Transform from one node of the recipe."""
        built = self._named_object(node, "transform", path)
        if not isinstance(built, Transform):
            raise self.fail(path, f"expected a transform, got {type(built).__name__}")
        return built

    # -- shared checks ------------------------------------------------------------------------------------------

    def _named_object(self, node: Any, kind: registry.Kind, path: Path_) -> Any:
        if isinstance(node, str):
            return self._create(node, kind, {}, path)
        node = self._mapping(node, path)
        if "python" in node:
            return self._import(node, path)
        if kind not in node:
            raise self.fail(path, f"expected the name of a {kind} or {{{kind}: NAME, …}}")
        return self._create(str(node[kind]), kind, {k: v for k, v in node.items() if k != kind}, path)

    def _create(self, name: str, kind: registry.Kind, arguments: Mapping[str, Any], path: Path_) -> Any:
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

    def _import(self, node: Mapping[str, Any], path: Path_) -> Any:
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

    def _several(self, node: Mapping[str, Any], path: Path_, key: str) -> list[Reward]:
        entries = self._list(node[key], (*path, key))
        if not entries:
            raise self.fail((*path, key), "expected at least one reward")
        return [self.expression(entry, (*path, key, str(i))) for i, entry in enumerate(entries)]

    def _only(self, node: Mapping[str, Any], path: Path_, *allowed: str) -> None:
        for key in node:
            if key not in allowed:
                raise self.fail((*path, key), f"unknown key{did_you_mean(key, allowed)}")

    def _name(self, node: Mapping[str, Any]) -> str | None:
        return str(node["name"]) if "name" in node else None

    def _mapping(self, value: Any, path: Path_) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise self.fail(path, f"expected a mapping, got {type(value).__name__}")
        return cast("Mapping[str, Any]", value)

    def _list(self, value: Any, path: Path_) -> list[Any]:
        if not isinstance(value, list):
            raise self.fail(path, f"expected a list, got {type(value).__name__}")
        return cast("list[Any]", value)

    def _number(self, value: Any, path: Path_) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.fail(path, f"expected a number, got {value!r}")
        return float(value)


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
            return {"when": _spec_data(node.predicate, "predicate"), "then": parts[0], **named}
        if isinstance(node, Apply):
            return {"pipe": [parts[0], _spec_data(node.transform, "transform")], **named}
        raise RecipeError(f"{node.name}: {type(node).__name__} has no form in a recipe; register it")

    def _leaf(self, node: Reward) -> str:
        if id(node) not in self._names:
            name, count = node.name, 1
            while name in self.parts:
                count += 1
                name = f"{node.name}-{count}"
            self._names[id(node)] = name
            self.parts[name] = _spec_data(node, "reward")
        return self._names[id(node)]


def _spec_data(made: Any, kind: str) -> dict[str, Any]:
    if isinstance(made, WithReference):
        return {**_spec_data(made.part, kind), "reference": made.key}
    spec = getattr(made, "spec", None)
    if not isinstance(spec, Spec):
        raise RecipeError(
            f"{getattr(made, 'name', made)!r} is not registered, so a recipe can't name it; use @guerdon.register"
        )
    arguments = {key: _argument(value) for key, value in spec.arguments.items()}
    if spec.name.startswith("python:"):
        return {"python": spec.name.removeprefix("python:"), **arguments}
    return {kind: spec.name, **arguments}


def _argument(value: Any) -> Any:
    if isinstance(value, Reward):
        return (
            _spec_data(value, "reward") if not isinstance(value, Expression) else _Writer().expression(value)
        )
    if isinstance(value, tuple):
        return [_argument(item) for item in cast("tuple[Any, ...]", value)]
    return value
