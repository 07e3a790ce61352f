"""Examples for a process reward model that judges single steps and pairs of consecutive steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from guerdon.models.step_tree import StepTree


class StepExample(NamedTuple):
    """What the model reads, and its target: steps before, the one or two to judge, and their label."""

    previous: tuple[str, ...]
    current: tuple[str, ...]
    label: float


def chain_examples(
    steps: Sequence[str], labels: Sequence[float], *, coarse: bool = True
) -> list[StepExample]:
    """Examples of one labelled solution.

        fine      (s_1 … s_{k−1}, s_k)              target l_k
        coarse    (s_1 … s_{k−2}, s_{k−1} s_k)      target l_k, from the second step on

    The later step decides: a wrong step and its correction are right as a unit.

    Raises `ValueError` where there isn't one label a step.

    Teng Wang et al., "Towards Hierarchical Multi-Step Reward Models for Enhanced Reasoning in Large Language Models",
    arXiv 2503.13551, repository tengwang0318/hierarchial_reward_model.
    """
    if len(labels) != len(steps):
        raise ValueError(f"labels: expected {len(steps)}, one a step, got {len(labels)}")
    return [
        example
        for k, (step, label) in enumerate(zip(steps, labels, strict=True))
        for example in _examples(tuple(steps[:k]), step, label, coarse)
    ]


def tree_examples(tree: StepTree, labels: ArrayLike, *, coarse: bool = True) -> list[StepExample]:
    """Examples of every step of a tree that has a label; fine and coarse as in `chain_examples`.

    `labels` (n,) is that of a function of `tree_labels`, computed from this very tree; NaN gives no example, and neither
    does node 0. Raises `ValueError` where there isn't one label a node.

    Teng Wang et al., "Towards Hierarchical Multi-Step Reward Models for Enhanced Reasoning in Large Language Models",
    arXiv 2503.13551, repository tengwang0318/hierarchial_reward_model.
    """
    targets = np.asarray(labels, dtype=np.float64)
    if targets.shape != (len(tree),):
        raise ValueError(f"labels: expected shape ({len(tree)},), one a node, got {targets.shape}")
    return [
        example
        for node in range(1, len(tree))
        if not np.isnan(targets[node])
        for example in _examples(tree.steps(node)[:-1], tree.texts[node], float(targets[node]), coarse)
    ]


def rated_examples(
    chosen: Sequence[str], rated: Sequence[Sequence[tuple[str, int | None]]], *, coarse: bool = True
) -> list[StepExample]:
    """Examples of a solution of which people rated alternatives at each step: 1 is right, −1 wrong.

    A proposal follows the steps that were chosen before it, fine and coarse as in `chain_examples`; the target of one
    rated 1 is 1, and of one rated −1 is 0. A rating of 0 or None gives no example: neutral isn't wrong.

    Args:
        chosen: the steps taken.
        rated: at each step its proposals and their ratings; as many as chosen steps, or one more.

    Raises:
        ValueError: on a rating other than these, or more positions than that.

    Teng Wang et al., "Towards Hierarchical Multi-Step Reward Models for Enhanced Reasoning in Large Language Models",
    arXiv 2503.13551, repository tengwang0318/hierarchial_reward_model.
    """
    if len(rated) > len(chosen) + 1:
        raise ValueError(f"rated: expected at most {len(chosen) + 1} positions, got {len(rated)}")
    found = list[StepExample]()
    for k, proposals in enumerate(rated):
        for text, rating in proposals:
            if rating not in (-1, 0, 1, None):
                raise ValueError(f"rated[{k}]: expected a rating of -1, 0, 1 or none, got {rating!r:.40}")
            if rating:
                found.extend(_examples(tuple(chosen[:k]), text, float(rating == 1), coarse))
    return found


def _examples(previous: tuple[str, ...], step: str, label: float, coarse: bool) -> Iterator[StepExample]:
    yield StepExample(previous, (step,), label)
    if coarse and previous:
        yield StepExample(previous[:-1], (previous[-1], step), label)
