"""Labels of steps from rollouts of a prefix, and which rollout to look into next."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from guerdon.core.checks import check_number
from guerdon.models.step_similarity import Evaluate, similarity_groups


def success_rates(
    correct: ArrayLike, usable: ArrayLike | None = None, *, epsilon: float = 0.0
) -> NDArray[np.float64]:
    """Monte Carlo estimate of the probability of a right answer from each prefix.

        rate_i = Σ_j usable_ij · correct_ij / (Σ_j usable_ij + epsilon)

    Args:
        correct: (n, k) booleans, or integers 0 and 1, of k completions of each prefix.
        usable: (n, k) completions that ended in an answer that can be graded; all by default.
        epsilon: >= 0. Above 0 no rate reaches 1, so that a prefix always solved passes for one that sometimes isn't: the
            GFlowNet repository has 1e-7.

    Returns:
        (n,) in [0, 1]; NaN for a prefix without a usable completion.

    Raises:
        ValueError: on other shapes or values.

    Amrith Setlur et al., "Rewarding Progress: Scaling Automated Process Verifiers for LLM Reasoning", arXiv 2410.08146.
    Adam Younsi et al., arXiv 2504.19981, repository Adam-yni/GFlowNets-FineTuning.
    """
    check_number(epsilon, "epsilon", low=0.0)
    right = _flags(correct, "correct")
    counts = np.ones_like(right) if usable is None else _flags(usable, "usable")
    if counts.shape != right.shape:
        raise ValueError(f"usable: expected shape {right.shape}, got {counts.shape}")
    total = counts.sum(axis=1)
    found = np.full(total.size, np.nan)
    np.divide((right & counts).sum(axis=1), total + epsilon, out=found, where=total > 0)
    return found


def group_label(right: int, wrong: int, rate: float) -> float:
    """Label of a step that several rollouts share: 1 where all of them were right, 0 where none was, else `rate`.

    `right` and `wrong` count them, and `rate` in [0, 1] is the success rate of the state that they set out from.

    Raises `ValueError` where there is no rollout or a number is out of range.

    Adam Younsi et al., "Accurate and Diverse LLM Mathematical Reasoning via Automated PRM-Guided GFlowNets", arXiv
    2504.19981, repository Adam-yni/GFlowNets-FineTuning.
    """
    check_number(rate, "rate", 0.0, 1.0)
    if right < 0 or wrong < 0 or right + wrong == 0:
        raise ValueError(f"right, wrong: expected counts of at least one rollout, got {right} and {wrong}")
    if wrong == 0:
        return 1.0
    return 0.0 if right == 0 else float(rate)


def rollout_labels(
    rollouts: Sequence[Sequence[str]],
    correct: Sequence[bool],
    rate: float,
    evaluate: Evaluate,
    *,
    threshold: float = 0.88,
    decimals: bool = False,
) -> list[list[float]]:
    """Labels of the steps of rollouts from one state, shared among steps that say the same at the same position.

    At each position `similarity_groups` of all rollouts that are as long are labelled by `group_label`. A rollout is
    labelled up to and with its first step of label 0: what follows a step that is certainly wrong teaches nothing.

    States that are hardly ever solved give labels that are mostly noise; the repository leaves out rates below 0.06.

    Args:
        rollouts: the steps of each, after the state's own.
        correct: whether each ended in the right answer.
        rate: success rate of the state.
        evaluate, threshold, decimals: as in `similarity_groups`.

    Returns:
        The labels of the first steps of each rollout.

    Raises:
        ValueError: on lengths that differ or a rate outside [0, 1].

    Adam Younsi et al., "Accurate and Diverse LLM Mathematical Reasoning via Automated PRM-Guided GFlowNets", arXiv
    2504.19981, repository Adam-yni/GFlowNets-FineTuning.
    """
    if len(correct) != len(rollouts):
        raise ValueError(f"correct: expected {len(rollouts)}, one a rollout, got {len(correct)}")
    check_number(rate, "rate", 0.0, 1.0)
    labels: list[list[float]] = [[] for _ in rollouts]
    for position in range(max(map(len, rollouts), default=0)):
        here = [i for i, steps in enumerate(rollouts) if len(steps) > position]
        texts = [rollouts[i][position] for i in here]
        groups = similarity_groups(texts, evaluate, threshold=threshold, decimals=decimals)
        for i, group in zip(here, groups, strict=True):
            if 0.0 not in labels[i]:
                alike = [correct[j] for j, other in zip(here, groups, strict=True) if other == group]
                right = sum(map(bool, alike))
                labels[i].append(group_label(right, len(alike) - right, rate))
    return labels


def rollout_priority(
    rate: float,
    length: int,
    visits: int,
    total_visits: int,
    *,
    alpha: float = 0.5,
    beta: float = 0.9,
    long: int = 500,
    exploration: float = 0.125,
) -> float:
    """How much a wrong rollout deserves to be searched next for its first wrong step.

        alpha^(1 − rate) · beta^(length / long) + exploration · √total_visits / (1 + visits)

    Rollouts of states that are usually solved come first, for their error is nearest, then short ones.

    Args:
        rate: in [0, 1], success rate of the state that the rollout sets out from.
        length: of the rollout, in the unit of `long`.
        visits, total_visits: how often that state, and all states, were chosen.
        alpha, beta: in (0, 1].

    Raises:
        ValueError: where a number is out of range.

    Adam Younsi et al., "Accurate and Diverse LLM Mathematical Reasoning via Automated PRM-Guided GFlowNets", arXiv
    2504.19981, repository Adam-yni/GFlowNets-FineTuning; the rule is OmegaPRM's, Liangchen Luo et al., arXiv 2406.06592.
    """
    check_number(rate, "rate", 0.0, 1.0)
    for name, number in (("alpha", alpha), ("beta", beta)):
        check_number(number, name, high=1.0, above=0.0)
    check_number(long, "long", above=0.0)
    for name, number in (("length", length), ("visits", visits), ("total_visits", total_visits)):
        check_number(number, name, low=0.0)
    exploitation = alpha ** (1 - rate) * beta ** (length / long)
    return exploitation + exploration * math.sqrt(total_visits) / (1 + visits)


def _flags(values: ArrayLike, name: str) -> NDArray[np.bool_]:
    flags = np.asarray(values)
    if flags.ndim != 2 or flags.dtype.kind not in "biu" or not ((flags == 0) | (flags == 1)).all():
        raise ValueError(f"{name}: expected booleans (n, k), got {flags.dtype} {flags.shape}")
    return flags.astype(bool)
