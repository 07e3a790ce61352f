"""Units of work: what one call of a leaf scores, and so what a time limit and a cache entry are about.

A unit is one sample for a sample-scope leaf and one whole group for a group-scope leaf.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from guerdon.core.context import Context
from guerdon.core.guarded import score_group_guarded, score_guarded
from guerdon.core.reward import Reward
from guerdon.core.samples import Sample, group_rows
from guerdon.core.signal import Failure, Status, Value

Values: TypeAlias = list[Value]


@dataclass(frozen=True, slots=True)
class Unit:
    """Rows of the job that are scored together, and their samples."""

    number: int
    rows: tuple[int, ...]
    samples: tuple[Sample, ...]


def units_of(leaf: Reward, samples: Sequence[Sample]) -> list[Unit]:
    """Cut a job into units, in order."""
    if leaf.scope == "sample":
        return [Unit(i, (i,), (sample,)) for i, sample in enumerate(samples)]
    return [
        Unit(number, tuple(rows), tuple(samples[i] for i in rows))
        for number, rows in enumerate(group_rows(samples))
    ]


OnResult: TypeAlias = Callable[[Unit, Values, float], None]
"""Hears of each finished unit: its values, and the seconds that it took."""


def context_of(context: Context, number: int, seed: int | None) -> Context:
    """The context of one unit: with a seed, a random generator of its own, whoever runs it."""
    return context if seed is None else replace(context, rng=np.random.default_rng([seed, number]))


def score_unit(
    leaf: Reward, samples: Sequence[Sample], context: Context, number: int, seed: int | None
) -> Values:
    """Values of one unit."""
    context = context_of(context, number, seed)
    if leaf.scope == "sample":
        return [score_guarded(leaf, samples[0], context)]
    return score_group_guarded(leaf, samples, context)


def seed_of(context: Context) -> int | None:
    """One number drawn from the caller's generator, from which every unit's generator follows."""
    return None if context.rng is None else int(context.rng.integers(2**63))


def timed(
    leaf: Reward, samples: Sequence[Sample], context: Context, number: int, seed: int | None
) -> tuple[Values, float]:
    """`score_unit` and the seconds that it took."""
    start = time.perf_counter()
    values = score_unit(leaf, samples, context, number, seed)
    return values, time.perf_counter() - start


def failures(count: int, reason: str, status: Status = Status.FAILED) -> Values:
    """The same failure for every row of a unit."""
    return [Failure(reason, status)] * count
