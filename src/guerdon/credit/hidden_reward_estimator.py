"""Advantages of the tokens that matter for the correct responses of their group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_number
from guerdon.core.registry import register
from guerdon.core.signal import Signal
from guerdon.credit.estimators import GroupRelative, StepEstimator, Steps
from guerdon.credit.hidden_reward import influence_threshold, steer_advantages
from guerdon.credit.spread import spread_steps
from guerdon.shape.arrays import boolean


@register("token_hidden_reward", kind="credit", example="{credit: token_hidden_reward, p: 0.1}")
@dataclass
class HiddenRewardSteering(StepEstimator):
    """Group-relative advantages of the dominant tokens alone, tilted towards exploitation or exploration.

        A_j       = (r_j − mean_g) / (std_g + epsilon)                    of the outcome channel alone
        A'_{j,t}  = (1 + p · sign(THR_{j,t})) · A_j                       where |THR_{j,t}| > τ_g, else 0
        τ_g       = `influence_threshold` of the group's correct responses

    The dense channel is THR, a value for every token of the policy, as the reward `token_hidden_reward` gives it. `p`: in
    [−1, 1], above 0 for exploitation, below 0 for exploration; 0 only selects · `threshold`: a response is correct where
    its outcome is above it; give the reward the same one · `ddof`, `epsilon`: of the std; the paper has that of the
    population and no epsilon.

    Samples that aren't OK stay out of mean, std and τ. A group of one, and one in which all outcomes are equal, all right
    or all wrong, has advantages of 0.

    Raises `ValueError` for options out of range, where the signal has no dense channel though samples were scored, or
    where a token of the policy has no dense value.

    Wenlong Deng et al., "Token Hidden Reward: Steering Exploration-Exploitation in Group Relative Deep Reinforcement
    Learning", arXiv 2510.03669.
    """

    p: float = 0.0
    threshold: float = 0.0
    ddof: int = 0
    epsilon: float = 0.0
    dtype: str = "float32"

    def __post_init__(self) -> None:
        check_number(self.p, "p", -1.0, 1.0)
        check_number(self.threshold, "threshold")
        self._outcome = GroupRelative(ddof=self.ddof, epsilon=self.epsilon, dtype=self.dtype)

    def of_steps(
        self, signal: Signal, steps: Steps, groups: NDArray[np.integer[Any]], mask: NDArray[Any]
    ) -> NDArray[np.floating[Any]]:
        keep = boolean(mask, signal.outcome, "mask", (len(signal), mask.shape[-1])) & signal.ok[:, None]
        covered = spread_steps(np.ones_like(steps.values), steps.spans, keep, steps.offsets, share="last")
        if (keep & (covered == 0)).any():
            row, token = np.argwhere(keep & (covered == 0))[0].tolist()
            raise ValueError(
                f"signal.dense: expected a value for every token, row {row} has none at token {token}"
            )
        rewards = spread_steps(steps.values, steps.spans, keep, steps.offsets, share="last")
        advantages = self._outcome.of_samples(signal.outcome, groups)
        result = np.zeros(mask.shape, dtype=self.dtype)
        for code in np.unique(groups[signal.ok]):
            rows = np.flatnonzero((groups == code) & signal.ok)
            tokens = np.zeros_like(keep)
            tokens[rows] = keep[rows]
            offsets = np.concatenate(([0], np.cumsum(keep[rows].sum(axis=1))))
            dominant = influence_threshold(rewards[tokens], offsets, signal.outcome[rows] > self.threshold)
            result[tokens] = steer_advantages(advantages[rows], rewards[tokens], offsets, dominant, self.p)
        return result
