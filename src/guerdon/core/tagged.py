"""Blocks of text between tags, such as `<answer>…</answer>`: where they are, under a stated pairing rule."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias, get_args

from guerdon.core.checks import check_choice

Rule: TypeAlias = Literal["first_close", "last_close", "innermost", "balanced"]
RULES: tuple[Rule, ...] = get_args(Rule)


class Block(NamedTuple):
    """A tagged block: `text[start:end]` with its tags, `text[inner_start:inner_end]` without."""

    tag: str
    start: int
    inner_start: int
    inner_end: int
    end: int

    @property
    def closed(self) -> bool:
        """Whether it has a closing tag."""
        return self.inner_end < self.end

    def inner(self, text: str) -> str:
        """What stands between its tags."""
        return text[self.inner_start : self.inner_end]


def blocks(
    text: str,
    *tags: str,
    rule: Rule = "first_close",
    unclosed: bool = False,
    ignore_case: bool = False,
    start: int = 0,
    stop: int | None = None,
) -> list[Block]:
    """The outermost blocks of these tags in `text[start:stop]`, in order; they never overlap.

    A tag inside a block, of the same name or another, is text of that block: a tag that is only quoted there
    is not found. For blocks inside a block, ask again with its `inner_start` and `inner_end`. `rule` says
    which closing tag ends an opening tag:

    - `first_close`: the next one of that name;
    - `last_close`: the last one of that name;
    - `innermost`: the next one, if no other opening tag of that name comes before it;
    - `balanced`: the one that closes it when blocks of the same name nest.

    An opening tag that no closing tag ends is skipped; with `unclosed` its block runs to the end instead.
    Tags are exact, without attributes; `ignore_case` reports them in lower case. The time is linear in the
    length of the text.

    Raises `TypeError` where `text` isn't text and `ValueError` for an unknown rule or where no tag is named.
    """
    check_choice(rule, "rule", RULES)
    stop = len(text) if stop is None else stop
    if rule == "first_close" and not ignore_case:
        return _closed_first(text, tags, unclosed, start, stop)
    fold = str.lower if ignore_case else str
    tokens = [
        (match.start(), match.end(), match[1] == "/", fold(match[2]))
        for match in _pattern(tags, ignore_case).finditer(text, start, stop)
    ]
    closers = _closers(tokens, rule)
    found = list[Block]()
    i = 0
    while i < len(tokens):
        begin, inner, closes, tag = tokens[i]
        closer = closers[i]
        i += 1
        if closer is not None:
            found.append(Block(tag, begin, inner, tokens[closer][0], tokens[closer][1]))
            i = closer + 1
        elif unclosed and not closes:
            found.append(Block(tag, begin, inner, stop, stop))
            break
    return found


def _closed_first(text: str, tags: tuple[str, ...], unclosed: bool, start: int, stop: int) -> list[Block]:
    """`blocks` under the usual rule, which need not look at the tags inside a block."""
    opening = _openings(tags)
    found = list[Block]()
    never_closed = set[str]()
    while match := opening.search(text, start, stop):
        tag, start = match[1], match.end()
        end = -1 if tag in never_closed else text.find(f"</{tag}>", start, stop)
        if end >= 0:
            found.append(Block(tag, match.start(), start, end, end + len(tag) + 3))
            start = end + len(tag) + 3
        elif unclosed:
            found.append(Block(tag, match.start(), start, stop, stop))
            break
        else:
            never_closed.add(tag)
    return found


def first(text: str, tag: str, *, rule: Rule = "first_close", unclosed: bool = False) -> Block | None:
    """The first block of that tag, or None. See `blocks`."""
    found = blocks(text, tag, rule=rule, unclosed=unclosed)
    return found[0] if found else None


def last(text: str, tag: str, *, rule: Rule = "first_close", unclosed: bool = False) -> Block | None:
    """The last block of that tag, or None. See `blocks`."""
    found = blocks(text, tag, rule=rule, unclosed=unclosed)
    return found[-1] if found else None


def count(text: str, tag: str) -> tuple[int, int]:
    """How many opening and how many closing tags of that name there are, whether or not they pair."""
    return text.count(f"<{tag}>"), text.count(f"</{tag}>")


def counts(text: str, *tags: str) -> dict[str, tuple[int, int]]:
    """`count` of each of these tags, in one pass over the text. Raises `ValueError` where no tag is named."""
    found = Counter(_pattern(tags, False).findall(text))
    return {tag: (found["", tag], found["/", tag]) for tag in tags}


def one_of_each(text: str, *tags: str) -> bool:
    """Whether each of these tags opens exactly once and closes exactly once, behind its opening."""
    return all(count(text, tag) == (1, 1) and text.find(f"<{tag}>") < text.find(f"</{tag}>") for tag in tags)


def until_stop(text: str, *tags: str) -> str:
    """The text up to and with the first closing tag of any of these, where a generation would have stopped."""
    for match in _pattern(tags, False).finditer(text):
        if match[1]:
            return text[: match.end()]
    return text


@lru_cache(maxsize=256)
def _pattern(tags: tuple[str, ...], ignore_case: bool) -> re.Pattern[str]:
    return re.compile(f"<(/?)({_names(tags)})>", re.IGNORECASE if ignore_case else 0)


@lru_cache(maxsize=256)
def _openings(tags: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(f"<({_names(tags)})>")


def _names(tags: tuple[str, ...]) -> str:
    if not tags or not all(tags):
        raise ValueError(f"tags: expected at least one name, got {tags!r}")
    return "|".join(re.escape(tag) for tag in tags)


def _closers(tokens: list[tuple[int, int, bool, str]], rule: Rule) -> list[int | None]:
    """For each opening tag the index of the closing tag that ends it, in one pass from right to left."""
    closers: list[int | None] = [None] * len(tokens)
    ahead = dict[str, list[int]]()
    for i in range(len(tokens) - 1, -1, -1):
        _, _, closes, tag = tokens[i]
        candidates = ahead.get(tag)
        if closes:
            if not candidates:
                ahead[tag] = [i]
            elif rule == "balanced":
                candidates.append(i)
            elif rule != "last_close":
                candidates[0] = i
        elif candidates:
            closers[i] = candidates.pop() if rule in ("innermost", "balanced") else candidates[0]
    return closers
