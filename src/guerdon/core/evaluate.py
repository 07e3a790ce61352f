"""Evaluation of an expression graph: which leaf needs which rows, each leaf once, then the combination.

Who runs the leaves is a parameter, so the same evaluation serves a plain call and the engine with its workers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from guerdon.core.algebra import Expression, When
from guerdon.core.context import Context
from guerdon.core.guarded import explain, score_batch_guarded
from guerdon.core.reward import Reward
from guerdon.core.samples import Sample, group_codes
from guerdon.core.signal import Signal, Status

Rows: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Job:
    """A leaf and the rows of the batch that it has to score."""

    leaf: Reward
    rows: Rows


RunLeaves: TypeAlias = Callable[[list[Job], Sequence[Sample], Context], list[Signal]]


def run_in_process(jobs: list[Job], samples: Sequence[Sample], context: Context) -> list[Signal]:
    """Score every job with `score_batch`, one after the other."""
    return [score_batch_guarded(job.leaf, take(samples, job.rows), context) for job in jobs]


def evaluate(
    reward: Reward, samples: Sequence[Sample], context: Context, run_leaves: RunLeaves = run_in_process
) -> Signal:
    """The Signal of `reward` over `samples`.

    A sample-scope leaf is scored once over the union of the rows in which any branch needs it; a leaf that sees
    rows together is scored once for each distinct set of rows.
    """
    everything = np.arange(len(samples), dtype=np.int64)
    plan = _Plan(samples)
    plan.demand(reward, everything)
    jobs = plan.jobs()
    for job, signal in zip(jobs, run_leaves(jobs, samples, context), strict=True):
        plan.answers.append((job, signal))
    groups = group_codes(samples) if reward.scope != "sample" else everything
    return _Combination(plan, groups, context).signal(reward, everything)


def take(samples: Sequence[Any], rows: Rows) -> Sequence[Any]:
    """Those samples; the sequence itself where all are asked for."""
    if rows.size == len(samples):
        return samples
    return [samples[i] for i in rows.tolist()]


def distinct(asked: Sequence[Rows]) -> list[Rows]:
    return list({rows.tobytes(): rows for rows in asked}.values())


def _key(node: Reward, rows: Rows) -> tuple[int, bytes]:
    return id(node), rows.tobytes()


class _Plan:
    """First pass: what each leaf is asked for, and what each predicate said."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples
        self.asked: dict[int, tuple[Reward, list[Rows]]] = {}
        self.applies: dict[tuple[int, bytes], tuple[Rows, dict[int, str]]] = {}
        self.answers: list[tuple[Job, Signal]] = []
        self._seen: set[tuple[int, bytes]] = set()

    def demand(self, node: Reward, rows: Rows) -> None:
        key = _key(node, rows)
        if key in self._seen:
            return
        self._seen.add(key)
        if isinstance(node, When):
            chosen, reasons = self._where(node, rows)
            self.applies[key] = chosen, reasons
            rows = chosen
        if not isinstance(node, Expression):
            self.asked.setdefault(id(node), (node, []))[1].append(rows)
        for child in node.children():
            self.demand(child, rows)

    def _where(self, node: When, rows: Rows) -> tuple[Rows, dict[int, str]]:
        chosen, reasons = list[int](), dict[int, str]()
        for i in cast("list[int]", rows.tolist()):
            try:
                if node.predicate(self.samples[i]):
                    chosen.append(i)
            except Exception as error:
                reasons[i] = f"predicate raised {explain(error)}"
        return np.asarray(chosen, dtype=np.int64), reasons

    def jobs(self) -> list[Job]:
        jobs = list[Job]()
        for leaf, asked in self.asked.values():
            if leaf.scope == "sample":
                union = asked[0] if len(asked) == 1 else np.unique(np.concatenate(asked))
                jobs.append(Job(leaf, union))
            else:
                jobs += [Job(leaf, rows) for rows in distinct(asked)]
        return jobs


class _Combination:
    """Second pass: Signals from the leaves up, each node once for each set of rows."""

    def __init__(self, plan: _Plan, groups: Rows, context: Context) -> None:
        self.plan, self.groups, self.context = plan, groups, context
        self.done: dict[tuple[int, bytes], Signal] = {}

    def signal(self, node: Reward, rows: Rows) -> Signal:
        key = _key(node, rows)
        if key not in self.done:
            self.done[key] = self._compute(node, rows, key)
        return self.done[key]

    def _compute(self, node: Reward, rows: Rows, key: tuple[int, bytes]) -> Signal:
        if not isinstance(node, Expression):
            return self._leaf(node, rows)
        if isinstance(node, When):
            return self._when(node, rows, key)
        signals = [self.signal(child, rows) for child in node.children()]
        return node.combine(signals, self.groups[rows], self.context)

    def _leaf(self, node: Reward, rows: Rows) -> Signal:
        for job, signal in self.plan.answers:
            if job.leaf is node and (node.scope == "sample" or np.array_equal(job.rows, rows)):
                return (
                    signal if np.array_equal(job.rows, rows) else signal.take(np.searchsorted(job.rows, rows))
                )
        raise AssertionError(f"{node.name}: no runner scored the rows that were asked for")

    def _when(self, node: When, rows: Rows, key: tuple[int, bytes]) -> Signal:
        chosen, failures = self.plan.applies[key]
        inner = self.signal(node.parts[0], chosen)
        if chosen.size == rows.size:
            return inner
        back = np.full(rows.size, -1, dtype=np.int64)
        back[np.searchsorted(rows, chosen)] = np.arange(chosen.size)
        spread = inner.take(back)
        if not failures:
            return spread
        places = {int(np.searchsorted(rows, i)): text for i, text in failures.items()}
        status = spread.status.copy()
        status[list(places)] = Status.FAILED
        return spread.replace(status=status, reasons={**spread.reasons, **places})
