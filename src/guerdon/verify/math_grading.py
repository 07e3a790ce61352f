"""Equality of two short answers as mathematics: close numbers, equal text, equal elements, equal formulas."""

from __future__ import annotations

import math

from guerdon.verify.formulas import equal_formulas

_RELATIVE = 1e-4
_RELATIVE_FORMULAS = 1e-3
# A longer text is no answer; to parse one as a formula can take minutes.
_LONGEST = 500
_BRACES = str.maketrans("", "", "{}()")


def answers_equal(prediction: str, reference: str, *, percentages: bool = False) -> bool:
    """Whether two answers, both in the spelling of `normalize_answer`, are mathematically equal.

    The first rule that applies decides:

    1. both are numbers, commas aside: equal where `|p - r| <= 1e-4 · max(|p|, |r|)`, with `percentages` also for
       `r/100` or `100·r` in the place of `r`; otherwise not equal;
    2. an empty prediction: not equal;
    3. equal text without `{ } ( )`: equal. The brackets `[ ] ( )` around both go first where the prediction is in a pair
       of them and the reference doesn't open with the other kind;
    4. both in `[ ]` or both in `( )`, with as many elements between commas, each equal by these rules: equal;
    5. as formulas: equal where `simplify(p - r)` is 0 or both are real numbers within a relative 1e-3.

    With `percentages`, as in the released grader, 12 equals 1200: right for a benchmark whose references mix 50 and
    0.5, but a reward would pay for wrong answers, hence the default.

    A text over 500 characters gets no further than rule 3, and rule 5 reads no words. Raises what `equal_formulas`
    raises; like there, the time limit is the engine's.

    Zhibin Gou et al., "ToRA: A Tool-Integrated Reasoning Agent for Mathematical Problem Solving", arXiv:2309.17452
    (microsoft/ToRA). Its grader hands what isn't LaTeX to an evaluating parser and has a time limit of 3 s a pair,
    which counts as not equal; here nothing that a model wrote is evaluated.
    """
    p, r = _number(prediction), _number(reference)
    if p is not None and r is not None:
        return any(
            math.isclose(p, value, rel_tol=_RELATIVE)
            for value in ((r / 100, r, r * 100) if percentages else (r,))
        )
    if not prediction:
        return False
    if _same_text(prediction, reference):
        return True
    if max(len(prediction), len(reference)) > _LONGEST:
        return False
    return _same_elements(prediction, reference, percentages) or equal_formulas(
        prediction, reference, relative=_RELATIVE_FORMULAS
    )


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def _same_text(prediction: str, reference: str) -> bool:
    if (_in(prediction, "[]") and not reference.startswith("(")) or (
        _in(prediction, "()") and not reference.startswith("[")
    ):
        prediction, reference = prediction.strip("[]()"), reference.strip("[]()")
    return prediction.translate(_BRACES) == reference.translate(_BRACES)


def _same_elements(prediction: str, reference: str, percentages: bool) -> bool:
    if not any(_in(prediction, pair) and _in(reference, pair) for pair in ("[]", "()")):
        return False
    ours, theirs = prediction[1:-1].split(","), reference[1:-1].split(",")
    return len(ours) == len(theirs) and all(
        answers_equal(p, r, percentages=percentages) for p, r in zip(ours, theirs, strict=True)
    )


def _in(text: str, pair: str) -> bool:
    return text.startswith(pair[0]) and text.endswith(pair[1])
