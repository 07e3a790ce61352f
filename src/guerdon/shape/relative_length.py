"""Rewards for being shorter than the other answers of one's group."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_number
from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.shape.channel import Channel, ChannelTransform, Floats
from guerdon.shape.length_penalty import LengthAmongCorrect
from guerdon.shape.statistics import group_statistics
from guerdon.verify.units import LengthUnit, TokenSource


def saving_over_mean(lengths: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """How much shorter than the mean of its group an answer is, as a share of its own length.

        R_i = −clip((L_i − mean_g) / L_i, −1, 1)        in [−1, 1]; 0 in a group of one

    An empty answer gives 1, or 0 where all of its group are empty.

    Args:
        lengths: (n,) finite, at least 0.
        groups: (n,) integer codes.

    Returns:
        (n,) float64.

    Raises:
        ValueError: on shapes that don't fit, or a length that is negative or not finite.

    H. Luo et al., "O1-Pruner: Length-Harmonizing Fine-Tuning for O1-Like Reasoning Pruning", arXiv 2501.12570, in the
    form that it has as a baseline in "Self-Aligned Reward: Towards Effective and Efficient Reasoners", arXiv 2509.05489,
    repository amazon-science/Self-Aligned-Reward-Towards_Effective_and_Efficient_Reasoners.
    """
    x = _lengths(lengths)
    saved: NDArray[np.float64] = -group_statistics(x, groups).deviation
    # Dividing only where the quotient is below 1 can't overflow, and makes 0/0 a 0.
    inside = np.abs(saved) < x
    return np.where(inside, saved / np.where(inside, x, 1.0), np.sign(saved))


def saving_among_correct(
    lengths: NDArray[np.float64],
    correct: NDArray[np.bool_],
    groups: NDArray[np.int64],
    *,
    epsilon: float = 1e-5,
) -> NDArray[np.float64]:
    """How much shorter than the correct answers of its group a correct answer is.

        R_i = −2 · (σ((L_i − mean_c) / (std_c + epsilon)) − 1/2)        correct i, with at least two correct in its group
        R_i = 0                                                         else

    Mean and population std are those of the correct answers; R lies in (−1, 1).

    Args:
        lengths: (n,) finite, at least 0.
        correct: (n,) booleans.
        groups: (n,) integer codes.
        epsilon: at least 0. Answers of equal length give 0 with any.

    Returns:
        (n,) float64.

    Raises:
        ValueError: on shapes that don't fit, or a length that is negative or not finite.

    D. Arora, A. Zanette, "Training Language Models to Reason Efficiently", arXiv 2502.04463, in the form that it has as
    a baseline in "Self-Aligned Reward: Towards Effective and Efficient Reasoners", arXiv 2509.05489, repository
    amazon-science/Self-Aligned-Reward-Towards_Effective_and_Efficient_Reasoners.
    """
    statistics = group_statistics(_lengths(lengths), groups, valid=correct, ddof=0, std_floor=0.0)
    # 2σ(z) − 1 = tanh(z / 2)
    return 0.0 - np.tanh(statistics.z_scores(epsilon) / 2.0)


@register("saving_over_mean", kind="transform", example="{transform: saving_over_mean}")
class SavingOverMean(ChannelTransform):
    """Turn a length into how much shorter than the mean of its group it is.

        x_i ↦ −clip((x_i − mean_g) / x_i, −1, 1)        see `saving_over_mean`

    Meant behind `unit_count`. Rows that aren't OK neither change nor count. The result has no `std`. Raises `ValueError`
    on use where a value is negative.

    H. Luo et al., "O1-Pruner: Length-Harmonizing Fine-Tuning for O1-Like Reasoning Pruning", arXiv 2501.12570, as in
    "Self-Aligned Reward", arXiv 2509.05489.
    """

    name = "saving_over_mean"
    scope = "group"

    def __init__(self, channel: Channel = "outcome") -> None:
        super().__init__(channel)

    def map(self, values: Floats, groups: NDArray[np.int64], context: Context) -> tuple[Floats, None]:
        return saving_over_mean(values, groups), None


@register("saving_among_correct", example="{reward: saving_among_correct, correct: math, unit: words}")
class SavingAmongCorrect(LengthAmongCorrect):
    """How much shorter than the correct answers of its group a correct answer is, in (−1, 1); 0 for a wrong one.

        R_i = saving_among_correct(L, correct, groups)_i        see there for the equation

    Arguments, parts and what happens to samples without a value are those of `group_length_penalty`; `epsilon` keeps
    the std away from 0. Raises `ValueError` for an unknown `unit`, a `threshold` that isn't finite, or a negative
    `epsilon`.

    D. Arora, A. Zanette, "Training Language Models to Reason Efficiently", arXiv 2502.04463, as in "Self-Aligned
    Reward", arXiv 2509.05489.
    """

    def __init__(
        self,
        correct: Reward | str,
        *,
        threshold: float = 0.0,
        epsilon: float = 1e-5,
        unit: LengthUnit = "tokens",
        tokenizer: TokenSource = None,
    ) -> None:
        self.epsilon = check_number(epsilon, "epsilon", low=0.0)
        super().__init__(correct, "saving_among_correct", threshold, unit, tokenizer)

    def options(self) -> dict[str, Any]:
        return {"epsilon": self.epsilon, **super().options()}

    def price(
        self, lengths: NDArray[np.float64], correct: NDArray[np.bool_], groups: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        return saving_among_correct(lengths, correct, groups, epsilon=self.epsilon)


def _lengths(lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    found = np.asarray(lengths, dtype=np.float64)
    if not (np.isfinite(found) & (found >= 0)).all():
        raise ValueError("lengths: expected finite numbers of at least 0, got another")
    return found
