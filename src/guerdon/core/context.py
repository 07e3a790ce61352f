"""Context: what only the caller of a reward knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from guerdon.core.samples import Sample


class Policy(Protocol):
    """The live policy as a source of log-probabilities."""

    def log_probs(self, samples: list[Sample]) -> list[NDArray[np.float64]]:
        """Log-probability of every completion token, one array a sample."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """What a reward may need beside its samples.

    `step`, `total_steps`: where training stands, counted from 0 · `policy`: the live policy · `rng`: the only source
    of randomness that a reward may use · `budget`: what may still be spent, in the unit that the caller states ·
    `extra`: anything else.
    """

    step: int | None = None
    total_steps: int | None = None
    policy: Policy | None = None
    rng: np.random.Generator | None = None
    budget: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def portable(self) -> Context:
        """The part that can travel to another process: without the live policy."""
        return replace(self, policy=None)


EMPTY = Context()
