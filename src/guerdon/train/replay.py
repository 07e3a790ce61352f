"""A buffer of past items that prefers those of high priority."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from guerdon.core.checks import check_count, check_number

T = TypeVar("T")


class ReplayBuffer(Generic[T]):
    """The items of highest priority among those added, drawn in proportion to their priorities.

    A full buffer gives up its least item for a newcomer, and a newcomer below all others isn't kept. Of equal priorities
    the older one leaves. A drawn item leaves the buffer too.

    `capacity`: how many items it holds, at least 1 · `seed`: of the generator that draws, an integer of at least 0.

    What is drawn depends on the content, the order in which it came and the generator alone. `state_dict` holds all of
    them, so that a run that resumes draws what it would have drawn. Items are neither copied nor compared.

    Raises `ValueError` for an option out of its range.

    Reward-prioritised, with 1000 items, in Adam Younsi et al., "Accurate and Diverse LLM Mathematical Reasoning via
    Automated PRM-Guided GFlowNets", arXiv 2504.19981, repository Adam-yni/GFlowNets-FineTuning.
    """

    def __init__(self, capacity: int, seed: int = 0) -> None:
        check_count(capacity, "capacity")
        check_count(seed, "seed", low=0)
        self.capacity = capacity
        self._random = np.random.default_rng(seed)
        self._heap = list[_Entry]()
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, item: T, priority: float) -> None:
        """Take in an item of a finite priority of at least 0. Raises `ValueError` for another one, NaN too.

        An item of priority 0 is never drawn.
        """
        entry = _Entry(check_number(priority, "priority", low=0.0), self._arrivals, item)
        self._arrivals += 1
        if len(self) < self.capacity:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    def draw(self, count: int) -> list[T]:
        """Take out up to `count` items, one after the other, each with probability priority / Σ priorities that are left.

        Fewer where fewer have a priority above 0. Raises `ValueError` unless `count` is an integer of at least 0.

        The largest of log priority + Gumbel noise are such a draw: Pavlos S. Efraimidis, Paul G. Spirakis, "Weighted
        random sampling with a reservoir", Information Processing Letters 2006.
        """
        check_count(count, "count", low=0)
        entries = sorted((e for e in self._heap if e.priority > 0), key=lambda e: e.arrival)
        keys = np.log([e.priority for e in entries]) + self._random.gumbel(size=len(entries))
        drawn = [entries[i] for i in np.argsort(-keys, kind="stable")[:count]]
        gone = {e.arrival for e in drawn}
        self._heap = [e for e in self._heap if e.arrival not in gone]
        heapq.heapify(self._heap)
        return [e.item for e in drawn]

    def state_dict(self) -> dict[str, Any]:
        """Content and generator, of plain types but for the items."""
        return {
            "entries": [tuple(entry) for entry in self._heap],
            "arrivals": self._arrivals,
            "generator": self._random.bit_generator.state,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave; of a larger buffer the items of highest priority."""
        self._heap = heapq.nlargest(self.capacity, (_Entry(*entry) for entry in state["entries"]))
        heapq.heapify(self._heap)
        self._arrivals = state["arrivals"]
        self._random.bit_generator.state = state["generator"]


class _Entry(NamedTuple):
    """Compared by priority, then by arrival, which no two share."""

    priority: float
    arrival: int
    item: Any
