"""Which tokens of a rollout the policy wrote."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.shape.arrays import Array, boolean, namespace


def segment_mask(lengths: Array, policy: Array) -> Array:
    """Token mask of a rollout that is made of segments: True where the policy wrote the token.

        mask = [policy_0] · lengths_0 + [policy_1] · lengths_1 + …

    What a tool or an interpreter put in, with the tags that the environment wraps around it, is no action of the
    policy: such tokens belong in no loss, no advantage and no importance ratio. Where segments are known as characters
    only (`guerdon.core.tagged.blocks`), `token_spans` turns them into tokens first.

    Args:
        lengths: (m,) integers of at least 0, tokens of each segment; rollouts may follow each other.
        policy: (m,) whether the policy wrote the segment.

    Returns:
        (Σ lengths,) bool, in the namespace of `lengths`.

    Raises:
        ValueError: on shapes that don't fit, or lengths that aren't integers of at least 0.
        TypeError: where `policy` isn't booleans or integers.

    Jiazhan Feng et al., "ReTool: Reinforcement Learning for Strategic Tool Use in LLMs", arXiv:2504.11536
    (ReTool-RL/ReTool).
    """
    xp = namespace(lengths)
    if lengths.ndim != 1 or not xp.isdtype(lengths.dtype, "integral") or bool(xp.any(lengths < 0)):
        raise ValueError(f"lengths: expected integers (m,) of at least 0, got {lengths!r}")
    return xp.repeat(boolean(policy, lengths, "policy", (lengths.shape[0],)), lengths)


def tokens_before(
    mask: NDArray[np.bool_], row: NDArray[np.integer[Any]], column: NDArray[np.integer[Any]]
) -> NDArray[np.int64]:
    """How many tokens of the mask (n, T), rows end to end, stand before a column in [0, T] of a row.

    `row` and `column` broadcast, and the result has their shape. Where two columns of a row are the ends of a span, the
    difference is the number of its tokens in the mask.
    """
    place: NDArray[np.int64] = row * mask.shape[1] + column
    return np.searchsorted(np.flatnonzero(mask), place)
