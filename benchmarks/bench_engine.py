"""Overhead, parallel gain and fault cost of the engine, each against its peer in the same run.

- *in process*, *through workers*: time beyond the reward itself for a trivial reward over 100,000 samples. Peers: a bare
  list comprehension, and the standard library's `multiprocessing.Pool.map`, which has no time limit.
- *symbolic*: maths answers that need computer algebra, with 1 and with 2 workers.
- *hung*: 1 % of samples never return. The bound is the time without them, plus hung samples × limit ÷ workers, plus 10 %.
- *stream*: a JSONL file of 1,000,000 short samples scored to Parquet; peak memory of the process.

    python benchmarks/bench_engine.py [--samples 100000] [--rows 1000000]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench_math import symbolic_samples

import guerdon
from guerdon import Chat
from guerdon.engine.run import Engine

WORKERS = 2


@guerdon.reward
def trivial(sample: Chat) -> float:
    """As cheap as a reward can be."""
    return 1.0


@guerdon.reward
def slow_or_hung(sample: Chat) -> float:
    """2 ms of work, or never."""
    if sample.completion == "hang":
        while True:
            pass
    end = time.perf_counter() + 0.002
    while time.perf_counter() < end:
        pass
    return 1.0


def seconds(work: Callable[[], Any]) -> float:
    """Time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def best(work: Callable[[], Any], repeats: int = 3) -> float:
    """Shortest time of a few calls."""
    return min(seconds(work) for _ in range(repeats))


def call(sample: Chat) -> float:
    """What the peers map."""
    return trivial.function(sample)


def overhead(n: int) -> dict[str, float]:
    """Microseconds a sample, ours and the peers'."""
    samples = [Chat("What is 1 + 1?", f"The answer is {i}.", reference="2") for i in range(n)]
    with Engine(trivial, workers=WORKERS, timeout=10.0) as engine:
        engine.score(samples[:1000])
        through_workers = best(lambda: engine.score(samples))
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        pool.map(call, samples[:1000], chunksize=100)
        peer = best(lambda: pool.map(call, samples, chunksize=512))
    return {
        "in_process_us": 1e6 * best(lambda: guerdon.score(trivial, samples)) / n,
        "bare_loop_us": 1e6 * best(lambda: [call(sample) for sample in samples]) / n,
        "workers_us": 1e6 * through_workers / n,
        "multiprocessing_us": 1e6 * peer / n,
    }


def parallel(n: int = 600) -> dict[str, float]:
    """Gain of a second worker on samples that need the symbolic path."""
    reward = guerdon.load_reward("math")
    times = dict[int, float]()
    for workers in (1, 2):
        with Engine(reward, workers=workers) as engine:
            engine.score(symbolic_samples(8))
            times[workers] = seconds(lambda engine=engine: engine.score(symbolic_samples(n)))
    return {"one_worker_s": times[1], "two_workers_s": times[2], "gain": times[1] / times[2]}


def hung(n: int = 2000, limit: float = 0.5) -> dict[str, float]:
    """Wall time with 1 % of the samples hanging, over the bound."""
    good = [Chat("p", "x")] * n
    some = [Chat("p", "hang") if i % 100 == 50 else sample for i, sample in enumerate(good)]
    with Engine(slow_or_hung, workers=WORKERS, timeout=limit) as engine:
        engine.score(good[:100])
        without = seconds(lambda: engine.score(good))
        with_hung = seconds(lambda: engine.score(some))
    bound = 1.1 * (without + n / 100 * limit / WORKERS)
    return {"without_s": without, "with_s": with_hung, "bound_s": bound, "of_bound": with_hung / bound}


STREAM = """
import resource, sys
import guerdon
from guerdon.engine.files import score_file

run = score_file(guerdon.load_reward("length", low=1), sys.argv[1], sys.argv[2])
print(run.summary.samples, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def stream(rows: int) -> dict[str, float]:
    """Peak memory and pace of a large file."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data.jsonl")
        with data.open("w") as file:
            for i in range(rows):
                row = {
                    "prompt": f"What is {i} + 1?",
                    "completion": f"The answer is {i + 1}.",
                    "reference": f"{i + 1}",
                }
                file.write(json.dumps(row) + "\n")
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", STREAM, str(data), str(Path(folder, "out.parquet"))],
            check=True,
            capture_output=True,
            text=True,
        )
        took = time.perf_counter() - start
    count, peak = map(int, done.stdout.split())
    assert count == rows
    return {"rows": rows, "peak_mb": peak, "us_a_row": 1e6 * took / rows}


def main() -> None:
    """Print one line for each measurement and one line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    found = {
        "overhead": overhead(options.samples),
        "symbolic": parallel(),
        "hung": hung(),
        "stream": stream(options.rows),
    }
    for name, figures in found.items():
        print(f"{name:<10}" + "  ".join(f"{key} {value:,.3g}" for key, value in figures.items()))
    print(json.dumps({"benchmark": "engine", **found}))


if __name__ == "__main__":
    main()
