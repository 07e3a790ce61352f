"""Gain of a second worker for SQL whose results are compared: the reward that runs queries.

    python benchmarks/bench_sql.py [--queries 2000] [--rows 200]

Databases and questions are those of the lab's text-to-SQL world; every sample has a database in memory that is filled
anew. Both runs must agree in every value. Wall time; the ratio needs two free cores.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence

from guerdon.core.samples import Chat
from guerdon.engine import Engine
from guerdon.lab.text_to_sql import TextToSql
from guerdon.verify.sql import SqlExecution


def with_workers(samples: Sequence[Chat], workers: int) -> tuple[float, list[float]]:
    """Seconds and values; the workers are up before the clock starts."""
    with Engine(SqlExecution(), workers=workers) as engine:
        engine.score(samples[:8])
        start = time.perf_counter()
        outcome = engine.score(samples).outcome
        return time.perf_counter() - start, outcome.tolist()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    tasks = TextToSql(level=3, rows=options.rows).tasks(options.queries, seed=0)
    # A quarter of the completions answers another question, so that both verdicts occur.
    solutions = [tasks[i - (i % 4 == 3)].solution for i in range(len(tasks))]
    samples = [task.chat(solution) for task, solution in zip(tasks, solutions, strict=True)]

    best = {1: float("inf"), 2: float("inf")}
    seen = set[tuple[float, ...]]()
    for _ in range(options.repeats):
        for workers in best:
            seconds, values = with_workers(samples, workers)
            best[workers] = min(best[workers], seconds)
            seen.add(tuple(values))
    if len(seen) != 1:
        raise SystemExit("one and two workers differ in their values")
    figures = {
        "queries": len(samples),
        "right": sum(seen.pop()) / len(samples),
        "one_worker_ms": 1000 * best[1] / len(samples),
        "two_workers_ms": 1000 * best[2] / len(samples),
        "gain": best[1] / best[2],
    }
    print("  ".join(f"{name} {value:,.3g}" for name, value in figures.items()))
    print(json.dumps({"benchmark": "sql", **figures}))


if __name__ == "__main__":
    main()
