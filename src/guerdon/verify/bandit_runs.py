"""What a run of a multi-armed bandit shows of exploration: regret, and how it came about.

Arms and rounds are counted from 0; `arms` (T,) are the pulls of one run in order. Means over runs hide that
some runs fail early and never recover: report the distribution too.

"When Greedy Wins: Emergent Exploitation Bias in Meta-Bandit LLM Training", arXiv 2509.24923; the measures are
those of the literature on exploration.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from guerdon.verify.bandit import check_arm, real_row


def cumulative_regret(arms: ArrayLike, means: ArrayLike) -> float:
    """What the pulls cost against always pulling a best arm, at least 0.

        Σ_t  μ_max − μ_{arms_t}

    `means` (K,): the true means. Raises `ValueError` where an arm isn't in [0, K) or a mean isn't finite.
    """
    mu = real_row(means, "means")
    return float((mu.max() - mu[_pulls(arms, mu.size)]).sum())


def suffix_failure(arms: ArrayLike, best_arms: int | Sequence[int], t: int) -> bool:
    """Whether no best arm is pulled in rounds t to T − 1.

    `best_arms`: the best arm, or all of them where several have the largest mean · `t` in [0, T), usually
    T / 2.

    Raises `ValueError` where `t` isn't in that range, `best_arms` is empty or an arm is negative.
    """
    pulls = _pulls(arms)
    best = np.atleast_1d(np.asarray(best_arms))
    if not best.size or not np.issubdtype(best.dtype, np.integer) or (best < 0).any():
        raise ValueError(f"best_arms: expected arms of at least 0, got {best_arms!r}")
    if not 0 <= t < pulls.size:
        raise ValueError(f"t: expected a round in [0, {pulls.size}), got {t}")
    return not bool(np.isin(pulls[t:], best).any())


def min_fraction(arms: ArrayLike, n_arms: int, t: int | None = None) -> float:
    """How evenly the first t rounds went over the arms, in [0, 1]: 1 where all were pulled equally often.

        K · min_a N_a(t) / t        0 where an arm was never pulled

    High at a late t: the run still spreads its pulls like a uniform choice. `t` in [1, T]; all T rounds
    without it.

    Raises `ValueError` where `t` isn't in that range or an arm isn't in [0, n_arms).
    """
    pulls = _pulls(arms, n_arms)
    t = pulls.size if t is None else t
    if not 1 <= t <= pulls.size:
        raise ValueError(f"t: expected a number of rounds in [1, {pulls.size}], got {t}")
    return float(n_arms * np.bincount(pulls[:t], minlength=n_arms).min() / t)


def greedy_fraction(arms: ArrayLike, rewards: ArrayLike, tolerance: float = 1e-9) -> float:
    """Share of rounds after the first that pull an arm which looked best so far, in [0, 1].

        #{t ≥ 1 : N_{arms_t} > 0 and mean_{arms_t} ≥ max_a mean_a − tolerance} / (T − 1)

    `mean_a`: mean of the rewards of arm a in rounds before t, over the arms pulled before t. Ties count, an
    arm that wasn't pulled yet doesn't. 0 for a single round. · `rewards` (T,): what each pull gave ·
    `tolerance` ≥ 0, in the unit of the rewards: means this close are tied, since sums are rounded.

    Raises `ValueError` where the shapes differ, a reward isn't finite or an arm is negative.
    """
    pulls, gained = _pulls(arms), real_row(rewards, "rewards")
    if pulls.shape != gained.shape:
        raise ValueError(f"rewards: expected shape {pulls.shape} as arms, got {gained.shape}")
    if not tolerance >= 0:
        raise ValueError(f"tolerance: expected at least 0, got {tolerance}")
    counts, sums = np.zeros(pulls.max() + 1), np.zeros(pulls.max() + 1)
    greedy = 0
    for t, arm in enumerate(pulls.tolist()):
        if counts[arm]:
            pulled = counts > 0
            best = (sums[pulled] / counts[pulled]).max()
            greedy += bool(sums[arm] / counts[arm] >= best - tolerance)
        counts[arm] += 1
        sums[arm] += gained[t]
    return greedy / (pulls.size - 1) if pulls.size > 1 else 0.0


def _pulls(arms: ArrayLike, n_arms: int | None = None) -> NDArray[np.int64]:
    """Arms (T,) with T ≥ 1, below `n_arms` where that is known."""
    pulls = np.asarray(arms)
    if pulls.ndim != 1 or not pulls.size or not np.issubdtype(pulls.dtype, np.integer):
        raise ValueError(f"arms: expected a flat list of at least one arm, got {arms!r:.100}")
    for arm in (pulls.min(), pulls.max()):
        check_arm(int(arm), int(pulls.max()) + 1 if n_arms is None else n_arms, "arms")
    return pulls.astype(np.int64)
