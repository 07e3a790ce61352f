"""The units that a completion's length is counted in."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from typing import Any, Literal, TypeAlias, get_args

from guerdon.core.checks import check_choice
from guerdon.core.extras import need
from guerdon.core.samples import Chat
from guerdon.core.signal import Abstain

LengthUnit: TypeAlias = Literal["characters", "words", "tokens"]
TokenSource: TypeAlias = str | Callable[[str], Sequence[Hashable]] | None


def units_of(sample: Chat, unit: LengthUnit, tokenizer: TokenSource = None) -> Sequence[Hashable]:
    """What all assistant turns of a sample consist of, in characters, words (cut at white space) or tokens.

    Tokens are `extra["completion_ids"]` where the sample has them, since those are what the policy emitted; else
    what `tokenizer` makes of the text: a function from text to a list of tokens, or the id of a Hugging Face
    tokeniser (special tokens are not added).

    Raises `Abstain` where tokens are asked for and there is neither; `TypeError` where the ids are not a flat list
    of integers or the tokeniser returns no list.
    """
    if unit == "characters":
        return sample.text
    if unit == "words":
        return sample.text.split()
    ids = sample.extra.get("completion_ids")
    if ids is not None:
        return _token_ids(ids)
    if tokenizer is None:
        raise Abstain("unit 'tokens': the sample has no extra['completion_ids'] and no tokenizer was given")
    cut = _load_tokenizer(tokenizer) if isinstance(tokenizer, str) else tokenizer
    tokens = cut(sample.text)
    if not isinstance(tokens, (list, tuple)):
        raise TypeError(
            f"tokenizer: expected a list of tokens, got {type(tokens).__name__}; "
            "of a Hugging Face tokeniser give the id or the method `tokenize`"
        )
    return tokens


def check_unit(unit: str) -> None:
    """Raise `ValueError` for an unknown unit."""
    check_choice(unit, "unit", get_args(LengthUnit))


def _token_ids(value: Any) -> list[int]:
    ids = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(ids, (list, tuple)) or not all(
        issubclass(t, numbers.Integral) for t in set(map(type, ids))
    ):
        raise TypeError(
            f"extra['completion_ids']: expected a flat list of integers, got {type(value).__name__}"
        )
    return list(ids)


@lru_cache(maxsize=8)
def _load_tokenizer(name: str) -> Callable[[str], list[str]]:
    return need("transformers", "train").AutoTokenizer.from_pretrained(name).tokenize
