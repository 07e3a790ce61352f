"""The Ray backend: the same units, spread over a cluster, each node enforcing limits with a pool of its own."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from typing import Any

from guerdon.core.context import Context
from guerdon.core.extras import need
from guerdon.core.reward import Reward
from guerdon.engine import pickling
from guerdon.engine.pool import WorkerPool
from guerdon.engine.units import OnResult, Unit, Values, failures

_CHUNKS_PER_ACTOR = 8
_LARGEST_CHUNK = 1024


class RayPool:
    """As many Ray actors as `workers` says, or one for each CPU of the cluster; each holds one killable worker.

    Connects to a running cluster, or starts a local one. An actor that is lost with its node fails the units that it
    had, with the reason.
    """

    def __init__(
        self, leaves: Sequence[Reward], workers: int | None, timeout: float | None, memory: int | None
    ) -> None:
        self._ray: Any = need("ray", "ray")
        if not self._ray.is_initialized():
            self._ray.init(log_to_driver=False, include_dashboard=False)
        count = workers or max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        payload = self._ray.put(pickling.dumps(list(leaves)))
        actor = self._ray.remote(_Node)
        self._actors = [actor.remote(payload, list(sys.path), timeout, memory) for _ in range(count)]

    def run(
        self, index: int, units: Sequence[Unit], context: Context, seed: int | None, on_result: OnResult
    ) -> None:
        """Hand chunks to the actors as they become free."""
        size = max(1, min(_LARGEST_CHUNK, len(units) // (_CHUNKS_PER_ACTOR * len(self._actors))))
        chunks = [units[i : i + size] for i in range(0, len(units), size)]
        carried = self._ray.put(pickling.dumps(context.portable()))
        waiting = iter(chunks)
        running = dict[Any, tuple[Any, Sequence[Unit]]]()

        def start(actor: Any) -> None:
            chunk = next(waiting, None)
            if chunk is not None:
                running[actor.score.remote(index, list(chunk), carried, seed)] = (actor, chunk)

        for actor in self._actors:
            start(actor)
        while running:
            ready, _ = self._ray.wait(list(running), num_returns=1)
            actor, chunk = running.pop(ready[0])
            try:
                found: dict[int, tuple[Values, float]] = self._ray.get(ready[0])
            except self._ray.exceptions.RayError as error:
                reason = f"the cluster lost this sample: {type(error).__name__}"
                found = {unit.number: (failures(len(unit.rows), reason), 0.0) for unit in chunk}
            for unit in chunk:
                on_result(unit, *found[unit.number])
            start(actor)

    def close(self) -> None:
        """Release the actors; a cluster that was started stays, for the next call."""
        for actor in self._actors:
            self._ray.kill(actor)
        self._actors.clear()


class _Node:
    """What runs on the cluster: a pool of one worker."""

    def __init__(self, payload: bytes, path: list[str], timeout: float | None, memory: int | None) -> None:
        sys.path[:] = [*sys.path, *(entry for entry in path if entry not in sys.path)]
        self._pool = WorkerPool(pickle.loads(payload), 1, timeout, memory)

    def score(
        self, index: int, units: list[Unit], context: bytes, seed: int | None
    ) -> dict[int, tuple[Values, float]]:
        found = dict[int, tuple[Values, float]]()

        def on_result(unit: Unit, values: Values, seconds: float) -> None:
            found[unit.number] = values, seconds

        self._pool.run(index, units, pickle.loads(context), seed, on_result)
        return found
