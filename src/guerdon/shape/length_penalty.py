"""A price for answers that are longer than their group needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from guerdon.core.algebra import Expression, name_parts, reasons_for, widest
from guerdon.core.checks import check_choice, check_number
from guerdon.core.context import Context
from guerdon.core.registry import create, register
from guerdon.core.reward import Reward, Scope
from guerdon.core.signal import Signal, Status
from guerdon.shape.statistics import group_statistics, segment_max
from guerdon.verify.length import UnitCount
from guerdon.verify.units import LengthUnit, TokenSource

Form: TypeAlias = Literal["linear", "cosine", "range"]


def excess_length(
    lengths: NDArray[np.float64],
    correct: NDArray[np.bool_],
    groups: NDArray[np.int64],
    form: Form = "linear",
) -> NDArray[np.float64]:
    """Penalty in [-1, 0] for what is longer than the group needed.

        ref_g = mean of L over the correct members of g, or the smallest L of g where none is correct
        u_i = min(1, max(0, L_i − ref_g) / ref_g)            1 where ref_g is 0 and L_i isn't

        linear   −u_i
        cosine   −(1 − cos(π · u_i)) / 2
        range    −(L_i − min_g) / (max_g − min_g)            0 where all lengths are equal; ref_g has no part in it

    Args:
        lengths: (n,) finite, at least 0.
        correct: (n,) booleans.
        groups: (n,) integer codes.
        form: see above.

    Returns:
        (n,) float64.

    Raises:
        ValueError: on shapes that don't fit or an unknown form.

    "Beyond Monolithic Rewards: A Hybrid and Multi-Aspect Reward Optimization for MLLM Alignment", arXiv 2510.05283,
    describes a generalised length penalty; no code is known, and the three forms are inferred from the description.
    """
    check_choice(form, "form", get_args(Form))
    statistics = group_statistics(lengths, groups, valid=correct)
    codes, size = statistics.codes, statistics.count.shape[0]
    shortest: NDArray[np.float64] = -segment_max(-lengths, codes, size)[codes]
    if form == "range":
        span: NDArray[np.float64] = segment_max(lengths, codes, size)[codes] - shortest
        return (shortest - lengths) / np.where(span > 0, span, 1.0)
    mean: NDArray[np.float64] = statistics.mean[codes]
    reference = np.where(np.isnan(mean), shortest, mean)
    excess = np.maximum(lengths - reference, 0.0)
    safe = np.where(reference > 0, reference, 1.0)
    share = np.where(excess < reference, excess / safe, excess > 0)
    return 0.0 - share if form == "linear" else (np.cos(np.pi * share) - 1.0) / 2.0


class LengthAmongCorrect(Expression):
    """Base of rewards that price a length against the correct answers of its group. Implement `price`.

    A row where correctness or length isn't OK isn't priced: it abstains if the part abstained, and fails if it failed.
    """

    def __init__(
        self,
        correct: Reward | str,
        name: str,
        threshold: float,
        unit: LengthUnit,
        tokenizer: TokenSource,
    ) -> None:
        self.threshold = check_number(threshold, "threshold")
        base: Reward = create(correct) if isinstance(correct, str) else correct
        super().__init__((base, UnitCount(unit, tokenizer)), name)

    def price(
        self, lengths: NDArray[np.float64], correct: NDArray[np.bool_], groups: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Outcomes (k,) of the k rows whose length and correctness are known."""
        raise NotImplementedError

    @property
    def scope(self) -> Scope:
        return widest(["group", super().scope])

    def options(self) -> dict[str, Any]:
        return {"threshold": self.threshold}

    def combine(self, signals: Sequence[Signal], groups: NDArray[np.int64], context: Context) -> Signal:
        correct, lengths = signals
        status = np.maximum(correct.status, lengths.status)
        ok = status == Status.OK
        outcome = np.zeros(len(correct))
        outcome[ok] = self.price(lengths.outcome[ok], correct.outcome[ok] > self.threshold, groups[ok])
        return Signal(
            outcome,
            status,
            parts=name_parts(self.parts, signals),
            reasons=reasons_for(status, signals, self.parts),
        )


@register("group_length_penalty", example="{reward: group_length_penalty, correct: math, unit: words}")
class GroupLengthPenalty(LengthAmongCorrect):
    """Minus what an answer is longer than the correct answers of its group, in [-1, 0].

        R_i = excess_length(L, correct, groups, form)_i        see there for the equations

    `correct`: a reward, or the registered name of one; a sample is correct where it is above `threshold`. · `unit`,
    `tokenizer`: what L counts in all assistant turns, see `units_of`. · `form`: `linear`, `cosine` or `range`.

    Add it to the reward with a weight below the smallest gap between right and wrong, or put it behind
    `{gate: …, by: correct}`: an answer that is short and wrong must not win. A length that is known beforehand needs no
    group: `{reward: length, high: T, margin: T}` less 1 is the linear form with `ref = T`.

    `Signal.parts` has both parts by name. Where one isn't OK (no reference, no tokens) the sample has no value either: it
    abstains if the part abstained, and fails if it failed. Such a sample doesn't enter the statistics of its group.

    Raises `ValueError` for an unknown `form` or `unit`, or a `threshold` that isn't finite.

    "Beyond Monolithic Rewards: A Hybrid and Multi-Aspect Reward Optimization for MLLM Alignment", arXiv 2510.05283.
    """

    def __init__(
        self,
        correct: Reward | str,
        *,
        form: Form = "linear",
        threshold: float = 0.0,
        unit: LengthUnit = "tokens",
        tokenizer: TokenSource = None,
    ) -> None:
        check_choice(form, "form", get_args(Form))
        self.form: Form = form
        super().__init__(correct, "group_length_penalty", threshold, unit, tokenizer)

    def options(self) -> dict[str, Any]:
        return {"form": self.form, **super().options()}

    def price(
        self, lengths: NDArray[np.float64], correct: NDArray[np.bool_], groups: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        return excess_length(lengths, correct, groups, self.form)
