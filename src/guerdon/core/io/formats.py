"""Rows to samples: one parser for each layout that people have, and how a layout is recognised."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, cast

from guerdon.core.io.records import CHAT_FIELDS, EPISODE_FIELDS, arrays_of
from guerdon.core.messages import Message, check_messages
from guerdon.core.samples import Chat, Episode, Group, Sample

Format: TypeAlias = Literal["native", "trl", "verl", "openai", "episode"]
FORMATS: dict[Format, str] = {
    "native": "prompt, completion [, reference, group]",
    "trl": "prompt [, completion], solution or answer",
    "verl": "prompt, reward_model.ground_truth [, responses]",
    "openai": "messages [, choices], also inside request/response or body",
    "episode": "observations, actions, rewards [, terminated, truncated, infos]",
}
MAPPABLE = (*dict.fromkeys((*CHAT_FIELDS, "messages", "choices", "tools", *EPISODE_FIELDS)),)
Columns: TypeAlias = Mapping[str, "str | Sequence[str]"]
_ABSENT: Any = object()


class FormatError(ValueError):
    """The layout of a source can't be told, or isn't what was stated."""


def detect(row: Mapping[str, Any]) -> Format | None:
    """The layout of a row by its columns, or None."""
    if {"prompt", "completion", "reference"} <= row.keys():
        return "native"
    if {"observations", "actions", "rewards"} <= row.keys():
        return "episode"
    if "prompt" in row:
        if "reward_model" in row:
            return "verl"
        return "native" if "completion" in row and "solution" not in row and "answer" not in row else "trl"
    return "openai" if any(lookup(row, path) is not _ABSENT for path in _MESSAGES) else None


def check_options(stated: str | None, columns: Columns | None) -> None:
    """Raise `FormatError` on an unknown format and on a native name that no format has."""
    if stated is not None and stated not in FORMATS:
        raise FormatError(f"format: expected one of {', '.join(FORMATS)}, got {stated!r}")
    unknown = next((field for field in columns or () if field not in MAPPABLE), None)
    if unknown is not None:
        raise FormatError(f"columns: expected names among {', '.join(MAPPABLE)}, got {unknown!r}")


def choose(
    name: str, rows: Sequence[Mapping[str, Any]], stated: Format | None, columns: Columns | None
) -> Format:
    """The layout of rows as they came: the stated one, else the first that a row has.

    Raises `FormatError` where no row has a column that `columns` names, and where no row has a known layout.
    """
    seen = ", ".join(dict.fromkeys(str(column) for row in rows for column in row))
    for field, paths in (columns or {}).items():
        for path in _paths(paths):
            if all(lookup(row, path) is _ABSENT for row in rows):
                raise FormatError(f"{name}: columns[{field!r}]: no column {path!r}; the columns are {seen}")
    if stated is not None:
        return stated
    found: Format | None = next(filter(None, (_layout(row, columns) for row in rows)), None)
    if found is None:
        known = "; ".join(f"{layout} ({expects})" for layout, expects in FORMATS.items())
        raise FormatError(
            f"{name}: can't tell the format from the columns {seen or '(none)'}. Known: {known}. "
            "Name yours, for example columns={'prompt': 'question', 'completion': 'output', 'reference': 'label'}"
        )
    return found


def _layout(row: Mapping[str, Any], columns: Columns | None) -> Format | None:
    try:
        return detect(mapped(row, columns))
    except ValueError:
        return None


def mapped(row: Mapping[str, Any], columns: Columns | None) -> dict[str, Any]:
    """The row with the user's columns under their native names; a new mapping in every case.

    Raises `ValueError` where columns that are to be joined are not all text.
    """
    if not columns:
        return dict(row)
    found = {field: _joined(row, _paths(paths)) for field, paths in columns.items()}
    moved = {path for paths in columns.values() for path in _paths(paths)}
    kept = {column: value for column, value in row.items() if column not in moved}
    return kept | {field: value for field, value in found.items() if value is not _ABSENT}


def lookup(row: Mapping[str, Any], path: str) -> Any:
    """The value of a column, or of a key inside one as `column.key`; `_ABSENT` where there is none."""
    if path in row:
        return row[path]
    value: Any = row
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return _ABSENT
        value = cast("Mapping[str, Any]", value)[key]
    return value


def parse(row: dict[str, Any], layout: Format, require_completion: bool) -> list[Sample]:
    """The samples of one row; the row is used up. Raises `ValueError` or `TypeError` with the reason."""
    return _PARSERS[layout](row, require_completion)


def _native(row: dict[str, Any], require_completion: bool) -> list[Sample]:
    prompt, completion = row.pop("prompt", None), row.pop("completion", None)
    return _chats(prompt, _answers(completion), row.pop("reference", None), row, require_completion)


def _trl(row: dict[str, Any], require_completion: bool) -> list[Sample]:
    reference = next((row.pop(name) for name in ("reference", "solution", "answer") if name in row), None)
    return _chats(
        row.pop("prompt", None), _answers(row.pop("completion", None)), reference, row, require_completion
    )


def _verl(row: dict[str, Any], require_completion: bool) -> list[Sample]:
    truth = _take(row, ["reward_model.ground_truth"])
    reference = row.pop("reference", truth)
    completion = row.pop("completion", None)
    if completion is None:
        completion = _take(row, ("responses", "response"))
    return _chats(row.pop("prompt", None), _answers(completion), reference, row, require_completion)


def _openai(row: dict[str, Any], require_completion: bool) -> list[Sample]:
    messages, choices = _take(row, _MESSAGES), _take(row, _CHOICES)
    tools = _take(row, _TOOLS)
    if tools is not None:
        row["tools"] = tools
    if messages is None:
        raise ValueError("no messages")
    check_messages(messages, "messages")
    if choices is None:
        prompt, answer = _split(messages)
        answers = [answer] if answer else []
    else:
        prompt, answers = messages, [[_choice(choice, i)] for i, choice in enumerate(choices)]
    return _chats(prompt, answers, row.pop("reference", None), row, require_completion)


def _episode(row: dict[str, Any], require_completion: bool) -> list[Sample]:
    reference, group = _identity(row, row.pop("reference", None))
    values = {name: arrays_of(row.pop(name)) for name in EPISODE_FIELDS if row.get(name) is not None}
    for name in ("observations", "actions", "rewards"):
        if name not in values:
            raise ValueError(f"no {name}")
    for name in ("terminated", "truncated"):
        if not isinstance(values.get(name, False), bool):
            raise ValueError(f"{name}: expected true or false, got {type(values[name]).__name__}")
    row = {name: arrays_of(value) for name, value in row.items() if name not in EPISODE_FIELDS}
    return [Episode(**values, reference=arrays_of(reference), group=group, extra=row)]


def _chats(
    prompt: Any, answers: Sequence[Any], reference: Any, row: dict[str, Any], require_completion: bool
) -> list[Sample]:
    """One `Chat` an answer; what is left in `row` is its group and its extra columns."""
    if prompt is None:
        raise ValueError("no prompt")
    if not answers:
        if require_completion:
            raise ValueError("no completion")
        answers = [""]
    reference, group = _identity(row, reference)
    return [Chat(prompt, answer, reference, group, row) for answer in answers]


def _identity(row: dict[str, Any], reference: Any) -> tuple[Any, Group]:
    """Reference and group, checked."""
    if isinstance(reference, float) and not math.isfinite(reference):
        raise ValueError(f"reference is {reference}")
    group = row.pop("group", None)
    if group is not None and type(group) is not str and type(group) is not int:
        raise ValueError(f"group: expected text or an integer, got {type(group).__name__}")
    return reference, group


def _answers(completion: Any) -> Sequence[Any]:
    """A completion as a list: several answers to one prompt where it is a list of texts or of message lists."""
    if completion is None:
        return []
    if isinstance(completion, list):
        several = cast("list[Any]", completion)
        if several and all(isinstance(answer, (str, list)) for answer in several):
            return several
    return [completion]


def _split(messages: Sequence[Message]) -> tuple[Sequence[Message], Sequence[Message]]:
    """Prompt and completion of a chat: cut after the last user message, or before the first assistant one."""
    roles = [message["role"] for message in messages]
    if "user" in roles:
        cut = len(roles) - roles[::-1].index("user")
    else:
        cut = roles.index("assistant") if "assistant" in roles else len(roles)
    if cut == 0:
        raise ValueError("no prompt: the chat starts with an assistant message")
    return messages[:cut], messages[cut:]


def _choice(choice: Any, i: int) -> Message:
    message = cast("Message", choice).get("message") if isinstance(choice, Mapping) else None
    if not isinstance(message, Mapping):
        raise ValueError(f"choices[{i}].message: expected a message, got {type(message).__name__}")
    return cast("Message", message)


def _take(row: dict[str, Any], paths: Iterable[str]) -> Any:
    """Take the first of these paths out of the row; None where it has none. Inner mappings are copied first."""
    for path in paths:
        if lookup(row, path) is _ABSENT:
            continue
        *parents, key = path.split(".")
        holder = row
        for parent in parents:
            holder[parent] = holder = dict(holder[parent])
        return holder.pop(key)
    return None


def _paths(paths: str | Sequence[str]) -> Sequence[str]:
    return [paths] if isinstance(paths, str) else paths


def _joined(row: Mapping[str, Any], paths: Sequence[str]) -> Any:
    values = [lookup(row, path) for path in paths]
    if len(values) == 1:
        return values[0]
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) < len(values):
        raise ValueError(f"columns {' + '.join(paths)}: expected text in each, to be joined")
    return "\n".join(texts)


_MESSAGES = ("messages", "request.messages", "request.body.messages", "body.messages")
_CHOICES = ("choices", "response.choices", "response.body.choices")
_TOOLS = ("tools", "request.tools", "request.body.tools", "body.tools")
_PARSERS: dict[Format, Callable[[dict[str, Any], bool], list[Sample]]] = {
    "native": _native,
    "trl": _trl,
    "verl": _verl,
    "openai": _openai,
    "episode": _episode,
}
