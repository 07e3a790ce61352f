from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, Optional

import cloudpickle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.agents import PricedText, Tool, ToolError, answer_calls, as_tools, calculator, spent, tool
from guerdon.core.samples import Chat
from guerdon.verify.cost import Cost


class Unit(Enum):
    METRE = "m"
    FOOT = "ft"


@dataclass
class Place:
    """Where something is."""

    x: float
    y: float = 0.0


def convert(value: float, unit: Unit = Unit.METRE) -> str:
    """Convert a length.

    The result is in the other unit.

    Args:
        value: How long it is
        unit: The unit: metre or foot
    """
    return f"{value} from {unit.name}"


def book(
    city: str,
    nights: int,
    quiet: bool,
    tags: list[str],
    prices: dict[str, float],
    kind: Literal["single", "double"],
    note: Optional[str] = None,  # noqa: UP045
    floors: list[list[int]] | None = None,
    only: Literal[1] = 1,
) -> dict[str, Any]:
    """Book a room.

    Args:
        city: Where
        nights: How many nights,
            at least one
        quiet: Whether it has to be quiet
        tags: Words about the room
        prices: Price by month
        kind: Size of the room
        note: Anything else
        floors: Floors by building
        only: A constant

    Returns:
        The booking
    """
    return {"city": city, "note": note, "nights": nights}


def distance(place: Place, other: Place | None = None) -> float:
    """How far a place is from another one."""
    origin = other or Place(0.0)
    return abs(place.x - origin.x) + abs(place.y - origin.y)


@tool(name="half", price=0.5)
def halve(number: int) -> float:
    """Half of a number."""
    return number / 2


def fails(times: int = 1) -> str:
    """Raise."""
    raise LookupError("nothing there " * times)


def call(name: object, arguments: object, **keys: object) -> dict[str, object]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **keys}


def answers(*calls: object, tools: list[Any] | None = None) -> list[Any]:
    message = {"role": "assistant", "content": "", "tool_calls": list(calls)}
    return list(answer_calls(message, as_tools(tools or [calculator, convert, book, halve, fails])))


# -- schemas -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [calculator, convert, book])
def test_the_schema_is_that_of_transformers(function: Any) -> None:
    get_json_schema = pytest.importorskip("transformers.utils").get_json_schema
    made = tool(function)
    theirs = get_json_schema(function)
    assert get_json_schema(made) == theirs, "the tool itself passes for its function"
    theirs["function"].pop("return", None)
    assert made.schema == theirs


def test_chat_templates_take_its_schema_and_its_function() -> None:
    templates = pytest.importorskip("transformers.utils.chat_template_utils")

    def rendered(shown: Any) -> Any:
        chat = [{"role": "user", "content": "hi"}]
        (text,), _ = templates.render_jinja_template([chat], [shown], chat_template="{{ tools[0] | tojson }}")
        schema = json.loads(text)
        schema["function"].pop("return", None)
        return schema

    made = tool(convert, name="convert_length")
    assert rendered(made.schema) == made.schema
    function = made.as_function()
    assert rendered(function) == made.schema
    assert function.__name__ == "convert_length"
    assert function(value=3, unit="ft") == "3.0 from FOOT"
    with pytest.raises(ToolError, match=r"convert_length\.value"):
        function(value="3")


def test_a_dataclass_is_written_out_without_references() -> None:
    parameters = tool(distance).parameters
    point = {"type": "object", "description": "Where something is.", "required": ["x"]}
    point["properties"] = {"x": {"type": "number"}, "y": {"type": "number"}}
    assert parameters["properties"] == {"place": point, "other": {**point, "nullable": True}}
    assert parameters["required"] == ["place"]


def test_a_parameter_may_be_called_like_a_keyword_of_the_schema() -> None:
    def odd(title: str, default: int, properties: str = "") -> str:
        """Odd names."""
        return title + str(default) + properties

    made = tool(odd)
    assert list(made.parameters["properties"]) == ["title", "default", "properties"]
    assert made(title="a", default=1) == "a1"


def test_a_function_without_parameters() -> None:
    def now() -> str:
        """What time it is."""
        return "noon"

    assert tool(now).parameters == {"type": "object", "properties": {}}
    assert tool(now)() == "noon"


def test_it_stands_for_its_function() -> None:
    assert isinstance(halve, Tool)
    assert (halve.__name__, halve.__doc__, halve.price) == ("half", "Half of a number.", 0.5)
    assert halve(number=3) == 1.5
    assert cloudpickle.loads(cloudpickle.dumps(halve))(number=3) == 1.5
    assert tool(Chatty().talk)(word="a") == "aa"


class Chatty:
    def talk(self, word: str) -> str:
        """Say a word twice."""
        return word * 2


class Itself:
    pass


@dataclass
class Tree:
    children: list[Tree]


def test_functions_that_cannot_be_tools() -> None:
    def rest(*words: str) -> None: ...
    def options(**words: str) -> None: ...
    def untyped(word) -> None: ...
    def positional(word: str, /) -> None: ...
    def foreign(word: Itself) -> None: ...
    def callback(then: type(len)) -> None: ...
    def unknown(word: Nowhere) -> None: ...  # noqa: F821  # pyright: ignore
    def recursive(tree: Tree) -> None: ...
    async def later(word: str) -> None: ...

    for function, words in [
        (rest, "rest.words: expected a parameter with a keyword, got a variadic positional one"),
        (options, "options.words: expected a parameter with a keyword, got a variadic keyword one"),
        (untyped, "untyped.word: expected a type, got none"),
        (positional, "positional.word: expected a parameter with a keyword, got a positional-only one"),
        (foreign, "foreign: a parameter has no JSON schema"),
        (callback, "callback"),
        (unknown, "unknown: expected types that can be looked up; name 'Nowhere'"),
        (recursive, "Tree: expected a type that doesn't contain itself"),
        (later, "expected a plain function"),
        (Itself, "expected a plain function"),
        (3, "expected a plain function"),
    ]:
        with pytest.raises(TypeError, match=words):
            tool(function)  # pyright: ignore


def test_names_and_prices_are_checked() -> None:
    with pytest.raises(ValueError, match="got '<lambda>'"):
        tool(lambda: "")
    with pytest.raises(ValueError, match="price"):
        tool(calculator, price=-1)
    with pytest.raises(ValueError, match="two called 'calculator'"):
        as_tools([calculator, calculator])
    assert list(as_tools([halve, calculator])) == ["half", "calculator"]


# -- arguments -----------------------------------------------------------------------------------------------------


def test_arguments_become_what_the_function_takes() -> None:
    assert tool(convert)(value=3, unit="ft") == "3.0 from FOOT"
    assert tool(convert)(value=3) == "3.0 from METRE"
    assert tool(convert)(value=3, unit=Unit.FOOT) == "3.0 from FOOT"
    assert tool(distance)(place={"x": 1, "y": -2}, other={"x": 4}) == 5.0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "half.number: Field required"),
        ({"number": "3"}, "half.number: Input should be a valid integer, got '3'"),
        ({"number": True}, "half.number: Input should be a valid integer, got True"),
        ({"number": None}, "half.number: Input should be a valid integer, got None"),
        ({"number": float("nan")}, "half.number: .*, got nan"),
        ({"number": 3, "numbr": 3}, "half: no argument is called 'numbr'; did you mean 'number'"),
        ({"number": object()}, "half: expected arguments that JSON can hold"),
        ({"number": "\ud800"}, "half: expected arguments that JSON can hold"),
    ],
)
def test_arguments_that_do_not_fit(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ToolError, match=text):
        halve(**arguments)


def test_a_place_inside_an_argument_is_named() -> None:
    with pytest.raises(ToolError, match=r"distance.place.x: Input should be a valid number, got 'here'"):
        tool(distance)(place={"x": "here"})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=8,
    )
)
@settings(max_examples=100, deadline=None)
def test_an_integer_is_taken_and_nothing_else(value: Any) -> None:
    if isinstance(value, int) and not isinstance(value, bool):
        assert halve(number=value) == value / 2
    else:
        with pytest.raises(ToolError):
            halve(number=value)


# -- answers -------------------------------------------------------------------------------------------------------


def test_calls_are_answered_in_order() -> None:
    assert answers(
        call("calculator", '{"expression": "1/8"}', id="a"),
        call("book", {"city": "Ulm", "nights": 1, "quiet": True, "tags": [], "prices": {}, "kind": "single"}),
        call("half", {"number": 3}, id="c"),
    ) == [
        {"role": "tool", "name": "calculator", "content": "0.125", "tool_call_id": "a"},
        {"role": "tool", "name": "book", "content": '{"city":"Ulm","note":null,"nights":1}'},
        {"role": "tool", "name": "half", "content": "1.5", "tool_call_id": "c", "cost": 0.5},
    ]
    assert answers() == []
    assert answer_calls({"role": "assistant", "content": "no calls"}, {}) == []


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (call("calculater", {}), "error: no tool is called 'calculater'; did you mean 'calculator'?"),
        (call("calculator", "{"), "error: arguments: JSONDecodeError"),
        (call("calculator", "[1]"), "error: arguments: expected an object, got list"),
        (call("calculator", "[" * 100_000), "error: arguments: RecursionError"),
        (call("calculator", {}), "error: calculator.expression: Field required"),
        (
            call("calculator", {"expression": 3}),
            "error: calculator.expression: Input should be a valid string, got 3",
        ),
        (call("calculator", {"expression": "1 +"}), "error: ValueError: expression: can't read '1 +'"),
        (call("fails", {}), "error: LookupError: nothing there"),
        (call(7, {}), "error: name: expected text, got int"),
        (7, "error: tool call: expected a mapping, got int"),
    ],
)
def test_what_goes_wrong_is_told_to_the_model(bad: object, text: str) -> None:
    good = call("half", {"number": 2})
    first, second = answers(bad, good)
    assert first["content"].startswith(text)
    assert "cost" not in first
    assert second["content"] == "1.0"


def test_huge_names_and_arguments_give_short_errors() -> None:
    huge = "x" * 10_000_000
    messages = answers(
        call(huge, {}),
        call("half", {"number": huge}),
        call("half", {huge: 1}),
        call("fails", {"times": 10_000}),
    )
    assert max(len(message["content"]) for message in messages) < 700


def test_deep_arguments_are_an_error() -> None:
    deep = json.loads("[" * 400 + "]" * 400)
    (message,) = answers(call("half", {"number": deep}))
    assert message["content"].startswith("error: half")


def test_what_has_no_json_is_an_error() -> None:
    def thing() -> object:
        """Something."""
        return object()

    (message,) = answers(call("thing", {}), tools=[thing])
    assert message["content"].startswith("error: ")


def test_a_tool_that_was_run_costs_its_price_even_where_it_raised() -> None:
    def priced() -> str:
        """Answer for money."""
        return PricedText("yes", 0.25)

    tools = [tool(priced, price=1.0), tool(fails, price=2.0), halve]
    messages = answers(
        call("priced", {}),
        call("fails", {}),
        call("half", {"number": ""}),
        call("half", {"number": 1}),
        tools=tools,
    )
    assert [message.get("cost", 0.0) for message in messages] == [1.25, 2.0, 0.0, 0.5]
    assert type(messages[0]["content"]) is str
    completion = [{"role": "assistant", "content": "", "tool_calls": []}, *messages]
    assert spent(completion) == 3.75
    sample = Chat("go", completion, extra={"cost": spent(completion)})
    assert Cost()([sample]).outcome.tolist() == [-3.75]
    with pytest.raises(ValueError, match="cost"):
        PricedText("no", -1)
