"""A learned score that a verifier rules over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.core.algebra import Expression, name_parts, reasons_for
from guerdon.core.checks import check_number
from guerdon.core.context import Context
from guerdon.core.registry import create, register
from guerdon.core.reward import Reward
from guerdon.core.signal import Signal, Status
from guerdon.models.margin import preference_probability


def verified_score(
    score: NDArray[np.float64], verdict: NDArray[np.float64], scale: float = 0.5
) -> NDArray[np.float64]:
    """Score of a reward model, squashed and put above or below 0 by a verifier.

        r = σ(scale · score) + (verdict − 1)        in [0, 1] where right, in [−1, 0] where wrong

    No score lifts a wrong answer above a right one; within each class the score orders. At |scale · score| of 20 and
    more the sigmoid is flat and the order is lost, and either class may come near 0: keep scores at a spread of about 1.

    Args:
        score: (n,) finite.
        verdict: (n,) 0 or 1.
        scale: > 0, α of the report.

    Returns:
        (n,) float64.

    Raises:
        ValueError: where shapes differ, a score isn't finite, a verdict isn't 0 or 1, or `scale` isn't above 0.

    An Yang et al., "Qwen2.5-Math Technical Report: Toward Mathematical Expert Model via Self-Improvement", arXiv
    2409.12122, which takes 0.5. The equation is recalled from the report; its training code isn't public.
    """
    check_number(scale, "scale", above=0.0)
    s, v = np.asarray(score, dtype=np.float64), np.asarray(verdict, dtype=np.float64)
    if v.shape != s.shape:
        raise ValueError(f"verdict: expected shape {s.shape}, got {v.shape}")
    if not np.isfinite(s).all():
        raise ValueError("score: expected finite numbers, got NaN or infinity")
    if not ((v == 0) | (v == 1)).all():
        raise ValueError("verdict: expected 0 or 1, got another number")
    with np.errstate(over="ignore"):
        margin = scale * s
    squashed: NDArray[np.float64] = preference_probability(margin)
    return squashed + (v - 1.0)


@register("verified_score", example="{reward: verified_score, score: bleu, verifier: math, scale: 0.5}")
class VerifiedScore(Expression):
    """Score of a reward model, squashed and put above or below 0 by a verifier.

        R = σ(scale · score) + (verifier − 1)        see `verified_score`

    `score`: a reward on the scale of logits. · `verifier`: a reward of 0 or 1. Either may be the name of a registered
    reward.

    Where one isn't OK the sample has no value either, since a sum over what is left would read as a verdict: it
    abstains if the part abstained, and fails if it failed. A sample fails where the verifier says anything but 0 or 1.
    `Signal.parts` has both.

    Raises `ValueError` where `scale` isn't above 0, and on use where a part has a dense channel.

    An Yang et al., "Qwen2.5-Math Technical Report: Toward Mathematical Expert Model via Self-Improvement", arXiv
    2409.12122.
    """

    def __init__(self, score: Reward | str, verifier: Reward | str, *, scale: float = 0.5) -> None:
        self.scale = check_number(scale, "scale", above=0.0)
        parts = [create(part) if isinstance(part, str) else part for part in (score, verifier)]
        super().__init__(parts, "verified_score")

    def options(self) -> dict[str, Any]:
        return {"scale": self.scale}

    def combine(self, signals: Sequence[Signal], groups: NDArray[np.int64], context: Context) -> Signal:
        for part, signal in zip(self.parts, signals, strict=True):
            if signal.dense is not None:
                raise ValueError(
                    f"{self.name}: {part.name!r} has a dense channel; reduce it with `total` first"
                )
        score, verifier = signals
        status = np.maximum(score.status, verifier.status)
        reasons = reasons_for(status, signals, self.parts)
        graded = (status == Status.OK) & (verifier.outcome != 0) & (verifier.outcome != 1)
        for i in np.flatnonzero(graded).tolist():
            status[i] = Status.FAILED
            reasons[i] = f"{self.parts[1].name}: expected a verdict of 0 or 1, got {verifier.outcome[i]:g}"
        ok = status == Status.OK
        outcome = np.zeros(len(score))
        outcome[ok] = verified_score(score.outcome[ok], verifier.outcome[ok], self.scale)
        return Signal(outcome, status, parts=name_parts(self.parts, signals), reasons=reasons)
