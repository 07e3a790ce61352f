"""Where the SQL of a completion stands, and how well the completion keeps to its tags."""

from __future__ import annotations

import re

_FENCE = re.compile(r"```sql\b(.*?)```", re.DOTALL | re.IGNORECASE)
_TAG_VALUE = 0.125
_CHARACTER_PRICE = 0.001


def extract_sql(text: str) -> str:
    """Content of the last closed ```` ```sql ```` fence, or the whole text where there is none; stripped."""
    fences = _FENCE.findall(text)
    return (fences[-1] if fences else text).strip()


def tag_count(text: str) -> float:
    """Value of the tags that occur just once, minus a price for what follows the answer; at most 0.501.

        0.125 · [`<reasoning>\\n` once]  +  0.125 · [`\\n</reasoning>\\n` once]
        + (0.125 − 0.001 · (characters after the last `\\n</answer>\\n`))  where `\\n<answer>\\n` occurs once
        + (0.125 − 0.001 · (characters after `\\n</answer>` − 1))          where `\\n</answer>` occurs once

    Where there is no `\\n</answer>\\n`, all characters of the text are charged; so a completion ought to end with
    a newline. It has no lower bound. A newline between two tags counts for both.
    """
    value = _TAG_VALUE * (text.count("<reasoning>\n") == 1) + _TAG_VALUE * (
        text.count("\n</reasoning>\n") == 1
    )
    if text.count("\n<answer>\n") == 1:
        value += _TAG_VALUE - _CHARACTER_PRICE * len(text.rpartition("\n</answer>\n")[2])
    if text.count("\n</answer>") == 1:
        value += _TAG_VALUE - _CHARACTER_PRICE * (len(text.rpartition("\n</answer>")[2]) - 1)
    return value
