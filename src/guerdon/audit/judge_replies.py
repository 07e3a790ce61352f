"""What a judge model wrote: the rating or the verdict after its last marker."""

from __future__ import annotations

import re

from guerdon.audit.one_to_many import Verdict

_MOST_DIGITS = 18
_DIGITS = re.compile(r"[0-9]+")
_LETTER = re.compile(r"[AB]")


def parse_rating(text: str, default: int | None = 1) -> int | None:
    """The rating in a judge's reply: the first run of digits after the last `Rating:`.

    Where `Rating:` is absent, after the last `[RESULT]`. "Rating: [[7.5]]" reads as 7. `default` stands for a reply that
    has no digits there, or over 18: the benchmark gives 1, the lowest rating, and None tells it apart.

    Raises `TypeError` where `text` isn't text.

    Sunghwan Kim et al., "Evaluating Robustness of Reward Models for Mathematical Reasoning", arXiv 2410.01729, repository
    kimsh0507/RewardMATH_official; `[RESULT]` is the marker of Prometheus.
    """
    digits = _first(_DIGITS, text, "Rating:")
    return default if digits is None or len(digits) > _MOST_DIGITS else int(digits)


def parse_verdict(text: str) -> Verdict | None:
    """The verdict in a pairwise judge's reply: the first `A` or `B` after the last `Judgement:`, or None.

    Where `Judgement:` is absent, after the last `[RESULT]`. The letter counts inside a word too, as in the released
    code: "Judgement: Both" reads as B.

    Raises `TypeError` where `text` isn't text.

    Sunghwan Kim et al., "Evaluating Robustness of Reward Models for Mathematical Reasoning", arXiv 2410.01729, repository
    kimsh0507/RewardMATH_official.
    """
    letter = _first(_LETTER, text, "Judgement:")
    return None if letter is None else "A" if letter == "A" else "B"


def _first(pattern: re.Pattern[str], text: str, marker: str) -> str | None:
    if not isinstance(text, str):
        raise TypeError(f"text: expected text, got {type(text).__name__}")
    for mark in (marker, "[RESULT]"):
        start = text.rfind(mark)
        if start >= 0:
            found = pattern.search(text, start + len(mark))
            return None if found is None else found.group()
    return None
