"""Rewards for the form of an answer: tags, a pattern, JSON that fits a schema, sections under headings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal, TypeAlias, get_args

from guerdon.core.checks import check_choice
from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Score
from guerdon.core.tagged import blocks, count, last

Between: TypeAlias = Literal["nothing", "newline", "whitespace", "anything"]


@register("tags", example="{reward: tags, tags: [think, answer]}")
class TagFormat(Reward):
    """1 where the last assistant turn is the required tagged blocks, in order and each exactly once, else 0.

    `tags`: names in the order in which their blocks must come. Each must open once and close once in the
    whole turn, and none may stand inside another.

    `between`: what may stand between two blocks: `nothing`, `newline` (exactly one), `whitespace` (or
    nothing), or `anything`. Whitespace around the whole is ignored; other text there is allowed only with
    `anything`.

    A 0 comes with a note that says what is wrong. Raises `ValueError` for no tags, a tag named twice, or an
    unknown `between`.
    """

    uses_context = False

    def __init__(self, tags: Sequence[str], *, between: Between = "whitespace") -> None:
        if isinstance(tags, str) or not tags or len(set(tags)) != len(tags) or not all(tags):
            raise ValueError(f"tags: expected a list of different tag names, got {tags!r}")
        check_choice(between, "between", get_args(Between))
        self.name = "tags"
        self.tags = tuple(tags)
        self.between: Between = between

    def score(self, sample: Chat, context: Context) -> float | Score:
        problem = self._problem(sample.final.strip())
        return 1.0 if problem is None else Score(0.0, note=problem)

    def _problem(self, text: str) -> str | None:
        for tag in self.tags:
            opened, closed = count(text, tag)
            if (opened, closed) != (1, 1):
                return f"<{tag}> opens {opened} and closes {closed} times, expected one block"
        found = blocks(text, *self.tags)
        if tuple(block.tag for block in found) != self.tags:
            return f"expected the blocks {', '.join(self.tags)} in this order and not nested"
        if self.between == "anything":
            return None
        if found[0].start > 0 or found[-1].end < len(text):
            return "there is text around the blocks"
        for before, after in pairwise(found):
            gap = text[before.end : after.start]
            if not self._may_stand(gap):
                return f"{gap[:40]!r} stands between {before.tag} and {after.tag}, expected {self.between}"
        return None

    def _may_stand(self, gap: str) -> bool:
        if self.between == "whitespace":
            return not gap.strip()
        return gap == ("\n" if self.between == "newline" else "")


@register("pattern", example="{reward: pattern, pattern: '^<answer>.*</answer>$', dot_all: true}")
class PatternFormat(Reward):
    r"""1 where a regular expression is found in the last assistant turn, else 0.

    `pattern` is searched for as it is: anchor it with `^` and `$` where the whole turn must match (`$` also matches before
    a last newline, `\Z` doesn't). · `dot_all`: whether a dot matches a newline, too; by default it doesn't, as in the
    format reward of Y. Chang et al., "BLEUBERI: BLEU is a surprisingly effective reward for instruction following", arXiv
    2505.11080, repository lilakk/BLEUBERI, which so pays nothing for reasoning of several lines. `tags` asks for blocks
    without that trap.

    A pattern that nests repetitions can take minutes on a long turn: the engine's time limit applies. Raises `ValueError`
    for a pattern that is no regular expression.
    """

    uses_context = False

    def __init__(self, pattern: str, *, dot_all: bool = False) -> None:
        try:
            self._compiled = re.compile(pattern, re.DOTALL if dot_all else 0)
        except (re.error, TypeError) as error:
            raise ValueError(f"pattern: expected a regular expression, got {pattern!r}: {error}") from None
        self.name = "pattern"
        self.pattern, self.dot_all = pattern, dot_all

    def score(self, sample: Chat, context: Context) -> float:
        return float(self._compiled.search(sample.final) is not None)


@register(
    "json_schema", example="{reward: json_schema, tag: answer, schema: {type: object, required: [city]}}"
)
class JsonSchema(Reward):
    """1 where the last assistant turn is JSON that satisfies a JSON Schema, else 0.

    `schema`: the schema as a mapping (or `True`, which accepts all JSON). · `tag`: look in the last block of
    that tag instead of the whole turn. · `fenced`: look in the last fenced code block (of the turn, or of the
    tagged block).

    JSON is read by `parse_json`: NaN, infinities and an object with the same key twice are not JSON.
    `Signal.parts` tells the two steps apart: `parses` and `valid`, both 1 or 0; the outcome is `valid`. A 0
    comes with a note.

    Raises `ValueError` where the schema isn't a valid JSON Schema.
    """

    uses_context = False

    def __init__(
        self, schema: Mapping[str, Any] | bool, *, tag: str | None = None, fenced: bool = False
    ) -> None:
        self.name = "json_schema"
        self.schema, self.tag, self.fenced = schema, tag, fenced
        try:
            self._schema_text = json.dumps(schema, sort_keys=True)
        except (TypeError, ValueError) as error:
            raise ValueError(f"schema: expected JSON, got {error}") from None
        _validator(self._schema_text)

    def score(self, sample: Chat, context: Context) -> Score:
        text = sample.final
        if self.tag is not None:
            block = last(text, self.tag)
            if block is None:
                return _unparsed(f"there is no <{self.tag}> block")
            text = block.inner(text)
        if self.fenced:
            fences = _fenced(text)
            if not fences:
                return _unparsed("there is no fenced block")
            text = fences[-1]
        try:
            value = parse_json(text)
        except ValueError as error:
            return _unparsed(str(error))
        try:
            problem = next(_validator(self._schema_text).iter_errors(value), None)
        except RecursionError:
            return Score(0.0, parts={"parses": 1.0, "valid": 0.0}, note="nested too deeply to be validated")
        if problem is None:
            return Score(1.0, parts={"parses": 1.0, "valid": 1.0})
        note = f"{problem.json_path}: {problem.message[:200]}"
        return Score(0.0, parts={"parses": 1.0, "valid": 0.0}, note=note)


@register("sections", example="{reward: sections, headings: [Summary, Evidence, Conclusion]}")
class Sections(Reward):
    """1 where the last assistant turn has the required sections, in order and with text in each, else 0.

    A heading is a line that holds only the required words, compared without case, as Markdown (`## Summary`),
    in bold (`**Summary**`) or plain, with or without a colon at its end. Lines in fenced code are never
    headings. Other sections may stand in between, and a section runs to the next required heading.
    `allow_empty` drops the condition on text.

    A 0 comes with a note that says what is missing. Raises `ValueError` for no headings or a heading named
    twice.
    """

    uses_context = False

    def __init__(self, headings: Sequence[str], *, allow_empty: bool = False) -> None:
        wanted = [] if isinstance(headings, str) else [_heading(heading) for heading in headings]
        if not wanted or not all(wanted) or len(set(wanted)) != len(wanted):
            raise ValueError(f"headings: expected a list of different headings, got {headings!r}")
        self.name = "sections"
        self.headings = tuple(headings)
        self.allow_empty = allow_empty

    def score(self, sample: Chat, context: Context) -> float | Score:
        wanted = [_heading(heading) for heading in self.headings]
        found, filled = list[str](), list[bool]()
        fenced = False
        for line in sample.final.splitlines():
            fence = _is_fence(line)
            fenced ^= fence
            heading = "" if fenced or fence else _heading(line)
            if heading in wanted:
                found.append(heading)
                filled.append(False)
            elif filled and line.strip():
                filled[-1] = True
        if found != wanted:
            return Score(0.0, note=f"expected the headings {wanted}, each once and in order, got {found}")
        if not (self.allow_empty or all(filled)):
            return Score(0.0, note=f"nothing stands under {found[filled.index(False)]!r}")
        return 1.0


def parse_json(text: str) -> Any:
    """The JSON value that `text` is, whitespace around it aside.

    Raises `ValueError` for what isn't JSON, which here includes `NaN`, `Infinity`, an object with the same
    key twice (readers disagree on which value counts) and nesting deeper than the interpreter can follow.
    """
    text = text.strip(" \t\r\n")
    try:
        value, end = _DECODER.raw_decode(text)
    except RecursionError:
        raise ValueError("JSON is nested too deeply to be read") from None
    if end != len(text):
        raise ValueError(f"there is text behind the JSON, from character {end}")
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("an object has the same key twice")
    return made


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_no_constant)


def _fenced(text: str) -> list[str]:
    found, body = list[str](), None
    for line in text.splitlines(keepends=True):
        if not _is_fence(line):
            if body is not None:
                body.append(line)
        elif body is None:
            body = list[str]()
        else:
            found.append("".join(body))
            body = None
    return found


def _is_fence(line: str) -> bool:
    return line.lstrip().startswith("```")


def _heading(line: str) -> str:
    return line.strip().lstrip("#").strip(" \t*_").rstrip(":").strip(" \t*_").casefold()


def _unparsed(note: str) -> Score:
    return Score(0.0, parts={"parses": 0.0, "valid": 0.0}, note=note)


@lru_cache(maxsize=64)
def _validator(schema_text: str) -> Any:
    from jsonschema import SchemaError
    from jsonschema.validators import Draft202012Validator, validator_for

    schema = json.loads(schema_text)
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"schema: not a JSON Schema: {error.json_path}: {error.message}") from None
    return kind(schema)
