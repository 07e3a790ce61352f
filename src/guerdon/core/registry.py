"""The registry: rewards, transforms, predicates, credit estimators and worlds by name, and the published methods.

A room registers its public names when it is imported. Looking a name up imports the rooms, and then the packages
that advertise an entry point in the group `guerdon.plugins`.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

from guerdon.core.identity import Spec

Kind: TypeAlias = Literal["reward", "transform", "predicate", "credit", "world"]
KINDS: tuple[Kind, ...] = ("reward", "transform", "predicate", "credit", "world")
T = TypeVar("T", bound=Callable[..., Any])


class UnknownName(KeyError):
    """No such name; the text names the closest one."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, slots=True)
class Entry:
    """A registered factory: calling it with its arguments makes the object."""

    name: str
    kind: Kind
    factory: Callable[..., Any]
    example: str = ""

    @property
    def room(self) -> str:
        """The room that it lives in."""
        parts = self.factory.__module__.split(".")
        return parts[1] if parts[0] == "guerdon" and len(parts) > 1 else parts[0]

    @property
    def doc(self) -> str:
        """The docstring of the factory."""
        return inspect.getdoc(self.factory) or ""

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return self.doc.split("\n", 1)[0]

    @property
    def signature(self) -> str:
        """`name(argument: type = default, …)`, annotations as they are written."""
        text = re.sub(r" -> .*$", "", f"{self.name}{inspect.signature(self.factory)}")
        return re.sub(r"(?<=: )'([^']+)'", r"\1", text)


@dataclass(frozen=True, slots=True)
class Method:
    """A published method: where it comes from and the public name that implements it."""

    slug: str
    title: str
    arxiv: str
    room: str
    public: str


_entries: dict[tuple[Kind, str], Entry] = {}
_methods: dict[str, Method] = {}
_rooms: list[str] = []


def register(name: str, kind: Kind = "reward", *, example: str = "") -> Callable[[T], T]:
    """Register a class or function under `name`. Raises `ValueError` where another object has that name."""

    def add(factory: T) -> T:
        known = _entries.get((kind, name))
        if known is not None and (known.factory.__module__, known.factory.__qualname__) != (
            factory.__module__,
            factory.__qualname__,
        ):
            raise ValueError(f"register: the {kind} {name!r} exists already, in {known.factory.__module__}")
        _entries[(kind, name)] = Entry(name, kind, factory, inspect.cleandoc(example))
        return factory

    return add


def register_method(slug: str, *, title: str, arxiv: str, room: str, public: str) -> None:
    """Enter a published method into the table that `guerdon methods` prints."""
    _methods[slug] = Method(slug, title, arxiv, room, public)


def set_rooms(rooms: Iterable[str]) -> None:
    """Modules to import before a name is looked up; the package itself says which."""
    _rooms[:] = rooms


def load_rooms() -> None:
    """Import the rooms and plugins, so that everything is registered."""
    while _rooms:
        importlib.import_module(_rooms.pop(0))
    if not _plugins_loaded:
        _plugins_loaded.append(True)
        for plugin in importlib.metadata.entry_points(group="guerdon.plugins"):
            plugin.load()


_plugins_loaded: list[bool] = []


def entries(kind: Kind | None = None) -> list[Entry]:
    """Everything registered, sorted by kind and name."""
    load_rooms()
    return [e for _, e in sorted(_entries.items()) if kind is None or e.kind == kind]


def methods() -> list[Method]:
    """The published methods, sorted by slug."""
    load_rooms()
    return [_methods[slug] for slug in sorted(_methods)]


def lookup(name: str, kind: Kind = "reward") -> Entry:
    """The entry of that name. Raises `UnknownName` with a suggestion."""
    entry = _entries.get((kind, name))
    if entry is None:
        load_rooms()
        entry = _entries.get((kind, name))
    if entry is None:
        raise UnknownName(f"unknown {kind} {name!r}{did_you_mean(name, [e.name for e in entries(kind)])}")
    return entry


def takes(name: str, argument: str, kind: Kind = "reward") -> bool:
    """Whether the factory of that name has such an argument; False for an unknown name."""
    try:
        return argument in inspect.signature(lookup(name, kind).factory).parameters
    except UnknownName:
        return False


def create(name: str, kind: Kind = "reward", arguments: Mapping[str, Any] | None = None) -> Any:
    """Make the object that is registered under `name`, and remember name and arguments in its `spec`.

    Raises `UnknownName` for an unknown name and `TypeError` for an unknown or missing argument, each with what was meant.
    """
    given = dict(arguments or {})
    entry = lookup(name, kind)
    check_arguments(entry, given)
    made = entry.factory(**given)
    if getattr(made, "spec", None) is None:
        made.spec = Spec(name, given)
    return made


def check_arguments(entry: Entry, given: Mapping[str, Any]) -> None:
    """Raise `TypeError` where an argument is unknown or a needed one is missing."""
    parameters = inspect.signature(entry.factory).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for key in given:
            if key not in parameters:
                raise TypeError(f"{entry.name}: unknown argument {key!r}{did_you_mean(key, parameters)}")
    for key, parameter in parameters.items():
        if (
            parameter.default is parameter.empty
            and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            and key not in given
        ):
            raise TypeError(f"{entry.name}: the argument {key!r} is needed; signature: {entry.signature}")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?`, or the known names where nothing is close and they are few."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(names)}" if 0 < len(names) <= 40 else ""
