"""The arguments of a Python function as JSON: their schema, and reading them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_type_hints

from guerdon.core.extras import need

_DROPPED = frozenset({"title", "default", "$defs"})


class SignatureReader:
    """Schema and reader of the arguments of one function, by keyword.

    `parameters`: JSON schema of the arguments object.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        try:
            self._adapter = _adapter(function)
            schema = self._adapter.json_schema()
        except need("pydantic", "agents").PydanticUserError as error:
            raise TypeError(f"{_name(function)}: a parameter has no JSON schema; {error.message}") from None
        self.parameters: dict[str, Any] = {
            "type": "object",
            "properties": {},
            **_plain(schema, schema.get("$defs", {}), ()),
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._function,)

    def read(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What the function takes. Raises `pydantic.ValidationError`, and `ValueError` where JSON can't hold it."""
        # Through JSON, because only there a strict reader still makes enums and dataclasses.
        text = need("pydantic_core", "agents").to_json(dict(arguments), inf_nan_mode="constants")
        return self._adapter.validate_json(text, strict=True)


def _adapter(function: Callable[..., Any]) -> Any:
    pydantic, extensions = need("pydantic", "agents"), need("typing_extensions", "agents")
    described = _descriptions(function)
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise TypeError(f"{_name(function)}: expected types that can be looked up; {error}") from None
    fields = dict[str, Any]()
    for parameter in inspect.signature(function).parameters.values():
        _check(parameter, function)
        info = pydantic.Field(description=described.get(parameter.name))
        hint = Annotated[hints[parameter.name], info]
        required = parameter.default is parameter.empty
        fields[parameter.name] = hint if required else extensions.NotRequired[hint]
    return pydantic.TypeAdapter(extensions.TypedDict("arguments", fields))


def _check(parameter: inspect.Parameter, function: Callable[..., Any]) -> None:
    where = f"{_name(function)}.{parameter.name}"
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise TypeError(
            f"{where}: expected a parameter with a keyword, got a {parameter.kind.description} one"
        )
    if parameter.annotation is parameter.empty:
        raise TypeError(f"{where}: expected a type, got none")


def _descriptions(function: Callable[..., Any]) -> dict[str, str]:
    docstring = need("docstring_parser", "agents").parse(inspect.getdoc(function) or "")
    return {one.arg_name: " ".join((one.description or "").split()) for one in docstring.params}


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", repr(function))


def _plain(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], inside: tuple[str, ...]
) -> dict[str, Any]:
    """The schema as chat templates read it: references filled in, `nullable` for null, no titles or defaults."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name in inside:
            raise TypeError(f"{name}: expected a type that doesn't contain itself")
        own = {key: value for key, value in schema.items() if key != "$ref"}
        return _plain({**definitions[name], **own}, definitions, (*inside, name))
    plain = dict[str, Any]()
    for key, value in schema.items():
        if key == "properties":
            plain[key] = {name: _plain(one, definitions, inside) for name, one in value.items()}
        elif key == "const":
            plain["enum"] = [value]
        elif key not in _DROPPED:
            plain[key] = _plain_value(value, definitions, inside)
    return _nullable(plain)


def _plain_value(value: Any, definitions: Mapping[str, Any], inside: tuple[str, ...]) -> Any:
    if isinstance(value, Mapping):
        return _plain(value, definitions, inside)
    if isinstance(value, list):
        return [_plain_value(one, definitions, inside) for one in value]
    return value


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    members = schema.get("anyOf", [])
    others = [one for one in members if one != {"type": "null"}]
    if len(others) == len(members):
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**(others[0] if len(others) == 1 else {"anyOf": others}), **rest, "nullable": True}
