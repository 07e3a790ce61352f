"""Is the final answer of a completion mathematically equal to the reference?"""

from __future__ import annotations

import logging
import math
import numbers
import re
import warnings
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache, lru_cache, partial
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from guerdon.core.checks import check_choice, check_count
from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Abstain
from guerdon.verify.math_numbers import MOST_PLACES, other_than_rate, plain_number, same_number
from guerdon.verify.math_places import Found, any_answer, any_reference, latex_answer, without_percent

Extract: TypeAlias = Literal["auto", "latex"]
MOST_BRACKETS = 12
TOO_DEEP = re.compile(rf"(?:[(\[{{]\s*){{{MOST_BRACKETS + 1}}}")
"""More brackets opened in a row than a LaTeX parser that is exponential in them can take."""


@register("math", example="{reward: math, extract: latex}")
class MathAnswer(Reward):
    r"""1 where the final answer equals the reference, else 0.

        outcome = max over references r of 1[equal(answer(final turn), r)]

    Equality is math-verify's: exact for integers, fractions and formulas (`1/2` is `\frac{2}{4}`), to `float_rounding`
    decimals where one side is a decimal. Plain numbers in a single box are compared exactly without it; that path
    decides only where math-verify would say the same.

    extract: where an answer is looked for.

    - `"latex"`: verdicts of TRL's `accuracy_reward`. A completion must give LaTeX, in a box or after the word "answer";
      a reference without LaTeX is read as a plain number, so that `4a-2` is 4.
    - `"auto"` (default): a `\boxed{…}` as above; where there is none, what the last marker marks (`A:`, `####`,
      `answer:`, `answer is`, `<answer>`, the output of a program); where there is none, a completion of one line that
      isn't prose; then as `"latex"`. The rest of a marked line may be plain: emphasis, a currency sign, a final full stop
      and words after a number (`18 dollars a day`) are dropped; over 500 characters it isn't an answer. A reference is
      read in the same way: `4a-2` is a formula. Where one side alone has a percent sign, the number before it counts
      too (`35.0\%` is 35).

    float_rounding: decimals that count, from 0 (math-verify's and TRL's default is 6).
    window: only so many last characters of the final turn, and of the reference, are searched, so that a text of any
    length takes bounded time.

    The reference is text, a finite number, or a list of those, any of which is right. Abstains where it is missing,
    of another type, or where no answer can be read from it; a completion without an answer scores 0. Time limits are the
    engine's: math-verify's own, which use signals of the main thread, are off. What it raises fails the sample, and so
    does a formula in which over 12 brackets open in a row, which it could not parse in any time. References and symbolic
    comparisons are memoised in each process.

    Citation: H. Kydlíček, math-verify (huggingface/Math-Verify); TRL (huggingface/trl), `trl.rewards.accuracy_reward`;
    K. Cobbe et al., "Training Verifiers to Solve Math Word Problems", arXiv:2110.14168 (openai/grade-school-math), for
    the `A:` and `####` markers.
    """

    name = "math"
    uses_context = False

    def __init__(self, extract: Extract = "auto", float_rounding: int = 6, window: int = 20_000) -> None:
        check_choice(extract, "math.extract", get_args(Extract))
        check_count(float_rounding, "math.float_rounding", low=0)
        check_count(window, "math.window")
        self.extract: Extract = extract
        self.float_rounding = float_rounding
        self.window = window

    def prepare(self) -> None:
        _math_verify()

    def score(self, sample: Chat, context: Context) -> float:
        text = sample.final[-self.window :]
        answer = any_answer(text) if self.extract == "auto" else latex_answer(text)
        verdicts = {self._verdict(reference, answer) for reference in reference_texts(sample.reference)}
        if verdicts == {None}:
            raise Abstain("math: no answer can be read from the reference")
        return float(True in verdicts)

    def _verdict(self, reference: str, answer: Found | None) -> bool | None:
        """Whether they are equal; None where the reference can't be read."""
        gold = _gold(reference[-self.window :], self.extract)
        if answer is None:
            return False if plain_number(gold.text) is not None or _parse_gold(gold) else None
        verdict = self._equal(gold, answer)
        if verdict is False and gold.exact and answer.exact:
            gold_rate, answer_rate = without_percent(gold.text), without_percent(answer.text)
            if gold_rate is not None and answer_rate is None:
                verdict = self._equal(Found(gold_rate, exact=True), answer)
            elif answer_rate is not None and gold_rate is None:
                verdict = self._equal(gold, Found(answer_rate, exact=True))
        return verdict

    def _equal(self, gold: Found, answer: Found) -> bool | None:
        if answer.exact:
            same = _same_plain(gold.text, answer.text, min(self.float_rounding, MOST_PLACES))
            if same is not None:
                return same
        return _verify(gold, answer, self.float_rounding)


def _same_plain(gold: str, answer: str, places: int) -> bool | None:
    """Whether two plain numbers are equal; None where one isn't plain, or where math-verify's rounding decides."""
    expected = plain_number(gold)
    if expected is None:
        return None
    given = plain_number(answer)
    if given is not None:
        return same_number(expected, given, places)
    rate = plain_number(without_percent(answer) or "")
    return False if rate is not None and other_than_rate(expected, rate, places) else None


def reference_texts(reference: Any) -> Sequence[str]:
    """The texts of a reference, any of which is right. Raises `Abstain` where it is missing or of another type."""
    if type(reference) is str:
        return (reference,)
    if reference is None:
        raise Abstain("reference: missing")
    if isinstance(reference, (list, tuple)):
        if not reference:
            raise Abstain("reference: expected at least one, got an empty list")
        return [_text(one) for one in reference]
    return (_text(reference),)


def _text(reference: Any) -> str:
    if isinstance(reference, str):
        return reference
    if isinstance(reference, bool) or not isinstance(reference, (numbers.Real, Decimal)):
        kind = type(reference).__name__
        raise Abstain(f"reference: expected text, a number or a list of those, got {kind}")
    if isinstance(reference, numbers.Rational):
        try:
            return str(reference)
        except ValueError as error:  # Python writes no integer of over 4300 digits.
            raise Abstain(f"reference: {error}") from None
    if not math.isfinite(reference):
        raise Abstain(f"reference: expected a finite number, got {reference}")
    # Positional notation: 1e-07 would be read as 1.
    return f"{reference if isinstance(reference, Decimal) else Decimal(repr(float(reference))):f}"


@lru_cache(maxsize=1024)
def _gold(text: str, extract: Extract) -> Found:
    return any_reference(text) if extract == "auto" else Found(text, exact=False)


class _MathVerify(NamedTuple):
    gold: Callable[..., list[Any]]
    answer: Callable[..., list[Any]]
    verify: Callable[..., bool]


@cache
def _math_verify() -> _MathVerify:
    """math-verify with TRL's settings, imported on first use.

    It warns whenever its time limits are off, as here, and sympy warns of how it is called.
    """
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse, verify
    from sympy.utilities.exceptions import SymPyDeprecationWarning

    logging.getLogger("math_verify").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=SymPyDeprecationWarning)
    strict_latex = LatexExtractionConfig(
        normalization_config=NormalizationConfig(units=True),
        boxed_match_priority=0,
        try_extract_without_anchor=False,
    )
    return _MathVerify(
        gold=partial(parse, parsing_timeout=0),
        answer=partial(
            parse, extraction_config=[strict_latex], extraction_mode="first_match", parsing_timeout=0
        ),
        verify=partial(verify, timeout_seconds=0),
    )


def _input(found: Found) -> str:
    """What math-verify gets. Raises `ValueError` where its parser, exponential in nested brackets, would take minutes."""
    text = f"\\boxed{{{found.text}}}" if found.exact else found.text
    if TOO_DEEP.search(text, max(text.rfind("\\boxed"), 0)):
        raise ValueError(
            f"math: over {MOST_BRACKETS} brackets are opened in a row; math-verify would take minutes"
        )
    return text


@lru_cache(maxsize=1024)
def _parse_gold(found: Found) -> list[Any]:
    mode = "first_match" if found.exact else "any_match"
    return _math_verify().gold(_input(found), extraction_mode=mode)


@lru_cache(maxsize=1024)
def _verify(gold: Found, answer: Found, float_rounding: int) -> bool | None:
    """math-verify's verdict; None where it reads no answer in the reference."""
    parsed = _parse_gold(gold)
    if not parsed:
        return None
    return _math_verify().verify(parsed, _math_verify().answer(_input(answer)), float_rounding=float_rounding)


def forget() -> None:
    """Empty what this process has memoised of references and comparisons."""
    for memo in (_gold, _parse_gold, _verify, plain_number):
        memo.cache_clear()
