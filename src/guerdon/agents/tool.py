"""Tools: typed Python functions that a model may call, their JSON schemas, and the answers to a turn's calls."""

from __future__ import annotations

import functools
import inspect
import re
import reprlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, overload

from guerdon.agents.signature import SignatureReader
from guerdon.core.checks import check_number
from guerdon.core.extras import need
from guerdon.core.guarded import explain
from guerdon.core.messages import Message, ToolCall, tool_calls_of
from guerdon.core.registry import did_you_mean

_LONGEST_NAME = 64
_NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{_LONGEST_NAME}}}")


class ToolError(ValueError):
    """A call that can't be answered; its text is written for the model that made the call."""


class PricedText(str):
    """The text that a tool answers with, and in `cost` what making it cost."""

    cost: float

    def __new__(cls, text: str, cost: float) -> PricedText:
        priced = super().__new__(cls, text)
        priced.cost = check_number(cost, "cost", low=0.0)
        return priced


@dataclass(frozen=True, eq=False)
class Tool:
    """A function that a model may call; `tool` makes one.

    `name`: letters, digits, `_` and `-`, at most 64 · `description`: what the model is told · `parameters`: JSON
    schema of the arguments object, from the function's signature and docstring · `price`: cost of each call, at
    least 0, in the caller's unit.

    It has its function's docstring, signature and `__wrapped__`, and `__name__` is its name. Compared by identity.

    Raises `TypeError` for a function that can't be one, see `tool`, and `ValueError` for a name or price outside
    the bounds.
    """

    function: Callable[..., Any]
    name: str
    description: str
    parameters: Mapping[str, Any] = field(init=False)
    price: float = 0.0
    _reader: SignatureReader = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"Tool.name: expected 1 to 64 letters, digits, underscores or hyphens, got {self.name!r}"
            )
        check_number(self.price, "Tool.price", low=0.0)
        reader = SignatureReader(self.function)
        vars(self).update(parameters=reader.parameters, _reader=reader, __wrapped__=self.function)
        for attribute in functools.WRAPPER_ASSIGNMENTS:
            if hasattr(self.function, attribute):
                vars(self)[attribute] = getattr(self.function, attribute)
        vars(self)["__name__"] = self.name

    @property
    def schema(self) -> dict[str, Any]:
        """The tool in the OpenAI form, as chat templates take it."""
        function = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": function}

    def read(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """JSON arguments as what the function takes: a member for an enum, an instance for a dataclass.

        Nothing is converted between JSON's own types: "3" is no integer. Raises `ToolError`, which names the
        argument, what was expected and what it was.
        """
        known = self.parameters["properties"]
        for name in arguments:
            if name not in known:
                raise ToolError(f"{self.name}: no argument is called {_quoted(name, known)}")
        try:
            return self._reader.read(arguments)
        except need("pydantic", "agents").ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, [self.name, *first["loc"]]))
            got = "" if first["type"] == "missing" else f", got {reprlib.repr(first['input'])}"
            raise ToolError(f"{where}: {first['msg']}{got}") from None
        except ValueError as error:
            raise ToolError(f"{self.name}: expected arguments that JSON can hold; {explain(error)}") from None

    def __call__(self, /, **arguments: Any) -> Any:
        """Call the function. Raises `ToolError` where the arguments don't fit, and what the function raises."""
        return self.function(**self.read(arguments))

    def as_function(self) -> Callable[..., Any]:
        """A plain function that calls the tool, for what takes nothing else, such as TRL's `GRPOTrainer(tools=…)`."""

        @functools.wraps(self, updated=())
        def call(**arguments: Any) -> Any:
            return self(**arguments)

        return call


@overload
def tool(function: Callable[..., Any], *, name: str | None = None, price: float = 0.0) -> Tool: ...


@overload
def tool(*, name: str | None = None, price: float = 0.0) -> Callable[[Callable[..., Any]], Tool]: ...


def tool(
    function: Callable[..., Any] | None = None, *, name: str | None = None, price: float = 0.0
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a `Tool` of a typed function; also a decorator, with or without options.

    The description is the docstring up to its sections, and each argument's is in `Args` (Google style). Arguments
    with a default aren't required. Types are those that pydantic can describe in JSON: `str`, `int`, `float`,
    `bool`, `list[…]`, `dict[…]`, `Literal`, unions and `| None`, enums, `TypedDict`, dataclasses, …

    The schema is written as transformers' `get_json_schema` writes it, since chat templates read that: no titles or
    defaults, `nullable` for `| None`, no references. The return value isn't in it.

    Raises `TypeError` where `function` isn't a plain function or method, has a parameter without a type, with a type
    that JSON has no schema for, positional-only, `*args` or `**kwargs`. Needs `guerdon[agents]`.
    """
    if function is None:
        return functools.partial(tool, name=name, price=price)
    if not inspect.isroutine(function) or inspect.iscoroutinefunction(function):
        raise TypeError(f"tool: expected a plain function, got {function!r}")
    docstring = need("docstring_parser", "agents").parse(inspect.getdoc(function) or "")
    return Tool(function, name or function.__name__, (docstring.description or "").strip(), price=price)


def as_tools(tools: Iterable[Tool | Callable[..., Any]]) -> dict[str, Tool]:
    """Tools by name, in order; functions become tools. Raises `ValueError` where two have the same name."""
    by_name = dict[str, Tool]()
    for one in tools:
        made = one if isinstance(one, Tool) else tool(one)
        if made.name in by_name:
            raise ValueError(f"tools: expected one tool a name, got two called {made.name!r}")
        by_name[made.name] = made
    return by_name


def answer_calls(message: Message, tools: Mapping[str, Tool]) -> list[Message]:
    """One `tool` message for each tool call of an assistant message, in order; `as_tools` makes `tools`.

    `content` is what the tool returned: text as it is, anything else as JSON. Where the call can't be read, names no
    tool, has arguments that don't fit, or the tool raises, `content` is `error: …` and nothing is raised.
    `tool_call_id` is there where the call had an id. `cost` is there where the call cost something: the `price` of a
    tool that was run, plus the `cost` of a `PricedText`.
    """
    return [_answer(call, tools) for call in tool_calls_of(message)]


def spent(messages: Iterable[Message]) -> float:
    """What the answered calls in `messages` cost, which the reward `cost` expects in a sample's `extra["cost"]`."""
    return float(sum(message.get("cost", 0.0) for message in messages))


def _answer(call: ToolCall, tools: Mapping[str, Tool]) -> Message:
    cost = 0.0
    try:
        called, arguments = _resolve(call, tools)
        cost = called.price
        returned = called.function(**arguments)
        content = _text(returned)
        cost += returned.cost if isinstance(returned, PricedText) else 0.0
    except ToolError as error:
        content = f"error: {error}"
    except Exception as error:
        content = f"error: {explain(error)}"
    answer: dict[str, Any] = {"role": "tool", "name": call.name, "content": content}
    if call.id is not None:
        answer["tool_call_id"] = call.id
    if cost:
        answer["cost"] = cost
    return answer


def _resolve(call: ToolCall, tools: Mapping[str, Tool]) -> tuple[Tool, dict[str, Any]]:
    if call.arguments is None:
        raise ToolError(call.error)
    if call.name not in tools:
        raise ToolError(f"no tool is called {_quoted(call.name, tools)}")
    called = tools[call.name]
    return called, called.read(call.arguments)


def _quoted(name: str, known: Iterable[str]) -> str:
    return f"{reprlib.repr(name)}{did_you_mean(name[:_LONGEST_NAME], known)}"


def _text(returned: Any) -> str:
    if isinstance(returned, str):
        return str(returned)
    return need("pydantic_core", "agents").to_json(returned, inf_nan_mode="constants").decode()
