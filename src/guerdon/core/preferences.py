"""Preferences: which of two samples is the better one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from guerdon.core.samples import Chat, Media, Sample, group_rows
from guerdon.core.signal import Signal

S = TypeVar("S", bound=Sample)


@dataclass(frozen=True, slots=True)
class Preference(Generic[S]):
    """`chosen` is better than `rejected`.

    Both are samples of one kind, and answer the same prompt where that kind has one; a text prompt is the same as one
    user message of that text.

    Raises `TypeError` where they are of two kinds, and `ValueError` where their prompts differ.
    """

    chosen: S
    rejected: S

    def __post_init__(self) -> None:
        if type(self.chosen) is not type(self.rejected):
            raise TypeError(
                f"Preference: expected two samples of one kind, got {type(self.chosen).__name__} "
                f"and {type(self.rejected).__name__}"
            )
        if _prompt(self.chosen) != _prompt(self.rejected):
            raise ValueError("Preference: chosen and rejected answer different prompts")


def _prompt(sample: Sample) -> object:
    if isinstance(sample, Chat):
        return list(sample.prompt_messages)
    return sample.prompt if isinstance(sample, Media) else None


def outcome_pairs(samples: Sequence[S], signal: Signal, passed: float = 1.0) -> list[Preference[S]]:
    """Every success of a group before every failure of the same group.

        {(i, j): group_i = group_j, outcome_i >= passed > outcome_j}

    Groups come in order of first appearance; in each, successes in order and for each the failures in order. A
    sample whose status isn't OK is in no pair, and a group without a success or without a failure gives none.

    Raises `ValueError` where `signal` hasn't one row a sample, or samples of one group answer different prompts.
    """
    if len(signal) != len(samples):
        raise ValueError(f"signal: expected {len(samples)} rows, one a sample, got {len(signal)}")
    outcome = signal.outcome
    return [
        Preference(samples[i], samples[j])
        for rows in group_rows(samples)
        for i in rows
        if outcome[i] >= passed
        for j in rows
        if outcome[j] < passed
    ]
