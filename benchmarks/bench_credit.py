"""Speed of credit: group-relative advantages and the step → token assignment of a large batch.

The yardstick is one pass of NumPy over the same arrays in the same run: read an array and the mask, write an
array of the result's size (`np.multiply(array, mask)`), into memory that is already there or into a new
array, whichever is faster. Prints how many such passes the work takes, and one JSON line whose `ratio` is the
target: at most 3.

    python benchmarks/bench_credit.py [--samples 1024] [--tokens 4096] [--steps 32] [--repeats 30]
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from guerdon.core.dense import Dense
from guerdon.core.signal import Signal
from guerdon.credit import StepGroupRelative, group_relative, spread_steps

GROUP_SIZE = 8


def best_seconds(works: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Shortest time of one call of each, measured in turns so that all see the same state of the machine."""
    times = dict.fromkeys(works, math.inf)
    for _ in range(repeats):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            times[name] = min(times[name], time.perf_counter() - start)
    return times


def batch(n: int, tokens: int, steps: int, seed: int) -> tuple[Signal, np.ndarray, np.ndarray]:
    """A Signal with `steps` steps a sample, the mask of completions of unequal length, and token spans."""
    rng = np.random.default_rng(seed)
    mask = np.arange(tokens)[None, :] < rng.integers(tokens // 4, tokens + 1, n)[:, None]
    cuts = np.sort(rng.integers(0, tokens + 1, (n, steps + 1)), axis=1)
    spans = np.stack([cuts[:, :-1], cuts[:, 1:]], axis=2).reshape(-1, 2)
    dense = Dense(rng.normal(size=n * steps), np.arange(n + 1) * steps, None, "step")
    return Signal(rng.normal(size=n), dense=dense), mask, spans


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("samples", 1024), ("tokens", 4096), ("steps", 32), ("repeats", 30), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    signal, mask, spans = batch(options.samples, options.tokens, options.steps, options.seed)
    dense = signal.dense
    assert dense is not None
    groups = np.arange(options.samples) // GROUP_SIZE
    results: dict[str, Any] = {"benchmark": "credit", **vars(options), "group_size": GROUP_SIZE}
    results |= {"python": platform.python_version(), "numpy": np.__version__}

    for dtype in ("float32", "float64"):
        array = np.ones(mask.shape, dtype=dtype)
        out = np.empty_like(array)
        estimator = StepGroupRelative(dtype=dtype)

        def assign(dtype: str = dtype) -> Any:
            advantages = group_relative(signal.outcome, groups)
            return spread_steps(dense.values, spans, mask, dense.offsets, base=advantages, dtype=dtype)

        times = best_seconds(
            {
                "numpy_pass_in_place": lambda array=array, out=out: np.multiply(array, mask, out=out),
                "numpy_pass_new_array": lambda array=array: np.multiply(array, mask),
                "group_relative_and_spread": assign,
                "step_group_relative": lambda estimator=estimator: estimator(signal, groups, mask, spans),
            },
            options.repeats,
        )
        yardstick = min(times["numpy_pass_in_place"], times["numpy_pass_new_array"])
        print(f"{dtype}, {options.samples} × {options.tokens} tokens, {options.steps} steps a sample")
        for name, seconds in times.items():
            print(f"  {name:28}{seconds * 1e3:9.2f} ms{seconds / yardstick:8.2f} passes")
        results[dtype] = {f"{name}_s": seconds for name, seconds in times.items()}
        results[dtype]["ratio"] = times["group_relative_and_spread"] / yardstick
    print(json.dumps(results))


if __name__ == "__main__":
    main()
