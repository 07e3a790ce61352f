"""Ranking all answers to a prompt at once."""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np

from guerdon.models.checks import check_shapes
from guerdon.models.margin import Array
from guerdon.models.trajectory_preference import group_pair_loss

_compat: Any = array_api_compat


def listwise_ranking_loss(scores: Array, correct: Array, groups: Array | None = None) -> Array:
    """Ranking loss of prompts, each with k correct and n − k wrong answers.

        L_g = −1 / (k (n − k)) · Σ_{i correct, j wrong} log σ(s_i − s_j)        loss = mean_g L_g

    The mean runs over the prompts that have a pair, each counting the same, where `group_pair_loss` counts each pair the
    same and so leans to prompts whose answers are half right.

    Args:
        scores: (n,) real scores of answers; an answer whose score is NaN is in no pair.
        correct: (n,) booleans.
        groups: (n,) integer codes of prompts; by default all answers are one prompt's.

    Returns:
        A number in the namespace of the scores, at least 0 and differentiable in torch; 0 where no prompt has a pair.

    Raises:
        ValueError: on shapes that don't fit.

    An Yang et al., "Qwen2.5-Math Technical Report: Toward Mathematical Expert Model via Self-Improvement", arXiv
    2409.12122, which has six answers a prompt. The equation is recalled from the report; its training code isn't public.
    """
    if scores.ndim != 1:
        raise ValueError(f"scores: expected shape (n,), got {tuple(scores.shape)}")
    xp, device = _compat.array_namespace(scores), _compat.device(scores)
    won = xp.asarray(correct, device=device) != 0
    codes = xp.zeros_like(won, dtype=xp.int64) if groups is None else xp.asarray(groups, device=device)
    check_shapes(tuple(scores.shape), correct=won, groups=codes)
    known = ~xp.isnan(scores)
    losses = list[Array]()
    for code in np.unique(np.asarray(codes.tolist(), dtype=np.int64)).tolist():
        rows = (codes == code) & known
        if bool(xp.any(won[rows])) and bool(xp.any(~won[rows])):
            losses.append(group_pair_loss(scores[rows], won[rows], codes[rows]))
    return xp.mean(xp.stack(losses)) if losses else xp.sum(scores[:0])
