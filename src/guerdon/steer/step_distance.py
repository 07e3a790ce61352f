"""Values of steps from how far they are from a right answer."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from guerdon.steer.inputs import as_vector


def distance_values(distances: ArrayLike, errors: ArrayLike) -> NDArray[np.float64]:
    """Values of the solutions so far along one chain of steps.

        w_k = (1 − v_{k−1}) / (m_k + 1) · (1 − 2 e_k)
        v_k = max(0, v_{k−1} + w_k),    v_0 = 0

    A right chain of K steps to the answer has v_k = k / K; no step is worth more than what was missing before it,
    `|w_k| ≤ 1 − v_{k−1}`.

    Args:
        distances: (K,) m_k ≥ 0, steps that are still needed after step k for a right answer.
        errors: (K,) e_k in [0, 1]: 0 where step k can still lead to it, 1 where it is wrong, or a probability of that.

    Returns:
        (K,) v_k in [0, 1].

    Raises:
        ValueError: on lengths that differ or numbers out of range.

    Dan Zhang et al., "ReST-MCTS*: LLM Self-Training via Process Reward Guided Tree Search", arXiv 2406.03816, repository
    THUDM/ReST-MCTS, whose code has the sign s = 1 − 2e.
    """
    m, e = as_vector(distances, "distances"), as_vector(errors, "errors")
    if not (np.isfinite(m) & (m >= 0)).all():
        raise ValueError(f"distances: expected finite numbers of at least 0, got {distances!r:.80}")
    if e.size != m.size or not ((e >= 0) & (e <= 1)).all():
        raise ValueError(f"errors: expected {m.size} numbers in [0, 1], got {errors!r:.80}")
    values, value = np.empty(m.size), 0.0
    for k in range(m.size):
        value = max(0.0, value + (1 - value) / (m[k] + 1) * (1 - 2 * e[k]))
        values[k] = value
    return values
