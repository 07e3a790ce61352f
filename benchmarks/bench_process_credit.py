"""Speed of the credit kernels of process rewards, on a large batch of token rewards.

Two yardsticks, in the same run: one pass of NumPy over the same arrays, as in `bench_credit.py` (target: at most 4),
and loops over rows in plain Python, straight from the definitions (target: at least 20 times faster), with which every
result is compared. Padded arrays are (samples, tokens) with completions of unequal length; ragged ones hold the same
tokens end to end. The loops get lists that hold no padding, and are timed once.

    python benchmarks/bench_process_credit.py [--samples 1024] [--tokens 4096] [--steps 32] [--repeats 7] [--only NAME]
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import plain_credit as plain
from bench_credit import GROUP_SIZE, batch, best_seconds

from guerdon.core.context import Context
from guerdon.core.dense import Dense
from guerdon.core.signal import Signal
from guerdon.credit import (
    DenseLeaveOneOut,
    EpisodeStep,
    broadcast_outcome,
    discounted_returns,
    leave_one_out_steps,
    leave_one_out_tokens,
    min_form_returns,
    softmin_rewards,
    steer_advantages,
    unit_returns,
)
from guerdon.shape import StepClip, StepDelta, saving_over_mean, step_deltas

THRESHOLD, TEMPERATURE, TILT = 0.25, 0.1, 0.1
TOLERANCE = {"float32": 1e-4, "float64": 1e-9}


@dataclass
class Batch:
    """One batch: token rewards that are exact in float32, outcomes, and `steps` step rewards a sample."""

    samples: int
    tokens: int
    steps: int
    seed: int

    def __post_init__(self) -> None:
        self.signal, self.mask, self.spans = batch(self.samples, self.tokens, self.steps, self.seed)
        rng = np.random.default_rng(self.seed)
        self.rewards = rng.normal(size=self.mask.shape).astype(np.float32)
        self.groups = np.arange(self.samples) // GROUP_SIZE
        self.lengths = self.mask.sum(axis=1)
        self.offsets = np.concatenate(([0], np.cumsum(self.lengths)))

    @cached_property
    def rows(self) -> list[plain.Row]:
        return [row[:length].tolist() for row, length in zip(self.rewards, self.lengths, strict=True)]

    @cached_property
    def outcome(self) -> plain.Row:
        return self.signal.outcome.tolist()

    @property
    def step_rows(self) -> tuple[list[plain.Row], list[list[int]]]:
        assert self.signal.dense is not None
        values, ends = self.signal.dense.values, self.spans[:, 1]
        return values.reshape(-1, self.steps).tolist(), ends.reshape(-1, self.steps).tolist()

    @cached_property
    def process_rows(self) -> list[plain.Row]:
        """Step rewards at the last token of their spans, which begin where the one before ends; 0 elsewhere."""
        found = list[plain.Row]()
        for values, ends, length in zip(*self.step_rows, self.lengths, strict=True):
            row, start = [0.0] * int(length), 0
            for value, end in zip(values, ends, strict=True):
                if min(end, length) > start:
                    row[min(end, int(length)) - 1] = value
                start = end
            found.append(row)
        return found


@dataclass
class Kernel:
    """Loop of plain Python, and what the library does, padded and ragged, with arrays of one dtype."""

    loop: Callable[[], list[plain.Row]]
    padded: Callable[[np.ndarray, str], Any] | None = None
    ragged: Callable[[np.ndarray, str], Any] | None = None


def kernels(b: Batch) -> dict[str, Kernel]:
    def each(function: Callable[..., plain.Row], *options: float) -> Callable[[], list[plain.Row]]:
        return lambda: [function(row, *options) for row in b.rows]

    def shaped(r: np.ndarray, *transforms: Any) -> np.ndarray:
        signal = Signal(b.signal.outcome, dense=Dense(r, b.offsets, None, "token"))
        for transform in transforms:
            signal = transform.apply(signal, b.groups, Context())
        assert signal.dense is not None
        return signal.dense.values

    def relative_length(r: np.ndarray, dtype: str) -> np.ndarray:
        lengths = np.count_nonzero(b.mask, axis=1).astype(np.float64)
        return broadcast_outcome(saving_over_mean(lengths, b.groups), b.mask, dtype=dtype)

    def steered(r: np.ndarray, dtype: str) -> np.ndarray:
        return steer_advantages(b.signal.outcome.astype(dtype), r, b.offsets, THRESHOLD, TILT)

    def steered_rows() -> list[plain.Row]:
        return [plain.steer(row, a, THRESHOLD, TILT) for row, a in zip(b.rows, b.outcome, strict=True)]

    clip, delta, ones = StepClip(THRESHOLD), StepDelta(), np.ones(b.offsets[-1], dtype=np.int64)
    return {
        "sum_form": Kernel(
            each(plain.sums_to_end),
            lambda r, _: discounted_returns(r, 1.0, b.mask),
            lambda r, _: discounted_returns(r, 1.0, offsets=b.offsets),
        ),
        "min_form": Kernel(
            each(plain.minima_to_end),
            lambda r, _: min_form_returns(r, b.mask),
            lambda r, _: min_form_returns(r, offsets=b.offsets),
        ),
        "softmin": Kernel(
            each(plain.softmin, TEMPERATURE),
            lambda r, _: softmin_rewards(r, TEMPERATURE, b.mask),
            lambda r, _: softmin_rewards(r, TEMPERATURE, offsets=b.offsets),
        ),
        "delta": Kernel(each(plain.deltas), ragged=lambda r, _: step_deltas(r, b.offsets)),
        "clip, transform": Kernel(each(plain.clip, THRESHOLD), ragged=lambda r, _: shaped(r, clip)),
        "clip and delta, transforms": Kernel(
            lambda: [plain.deltas(plain.clip(row, THRESHOLD)) for row in b.rows],
            ragged=lambda r, _: shaped(r, clip, delta),
        ),
        "leave_one_out_tokens": Kernel(
            lambda: plain.leave_one_out_tokens(b.rows, GROUP_SIZE),
            lambda r, _: leave_one_out_tokens(r, b.mask, b.groups),
        ),
        "leave_one_out_steps": Kernel(
            lambda: plain.leave_one_out_steps(b.rows, GROUP_SIZE),
            ragged=lambda r, _: leave_one_out_steps(r, b.offsets, b.groups, tokens=ones),
        ),
        "unit_returns": Kernel(
            lambda: plain.unit_returns(b.rows, 1e-6), lambda r, _: unit_returns(r, b.mask)
        ),
        "rloo_dense, estimator": Kernel(
            lambda: plain.dense_leave_one_out(b.process_rows, b.outcome, GROUP_SIZE),
            lambda _, dtype: DenseLeaveOneOut(dtype=dtype)(b.signal, b.groups, b.mask, b.spans),
        ),
        "episode_step, estimator": Kernel(
            lambda: plain.episode_step(*b.step_rows, b.lengths.tolist(), b.outcome, GROUP_SIZE),
            lambda _, dtype: EpisodeStep(dtype=dtype)(b.signal, b.groups, b.mask, b.spans),
        ),
        "steer_advantages": Kernel(steered_rows, ragged=steered),
        "saving_over_mean, to tokens": Kernel(
            lambda: plain.saving_over_mean(b.mask.tolist(), GROUP_SIZE), relative_length
        ),
    }


def measure(b: Batch, name: str, kernel: Kernel, repeats: int) -> dict[str, float]:
    """Seconds, passes and times faster than the loop, of each layout and dtype."""
    start = time.perf_counter()
    rows = kernel.loop()
    loop_s = time.perf_counter() - start
    expected = np.concatenate([row[:length] for row, length in zip(rows, b.lengths, strict=True)])
    found: dict[str, float] = {"loop_s": loop_s}
    for layout, call in (("padded", kernel.padded), ("ragged", kernel.ragged)):
        # The transforms read a dense channel, which is float64.
        for dtype in ("float64",) if "transform" in name else ("float32", "float64"):
            if call is None:
                continue
            array, mask = b.rewards.astype(dtype), b.mask
            if layout == "ragged":
                array, mask = array[b.mask], np.ones(b.offsets[-1], dtype=bool)
            out, work = np.empty_like(array), partial(call, array, dtype)
            result = work()
            tokens = result[b.mask] if layout == "padded" else result
            scale = max(1.0, np.abs(expected).max())
            np.testing.assert_allclose(tokens, expected, rtol=0, atol=TOLERANCE[dtype] * scale, err_msg=name)
            assert result.dtype == dtype, (name, result.dtype)
            times = best_seconds(
                {
                    "in_place": partial(np.multiply, array, mask, out=out),
                    "new_array": partial(np.multiply, array, mask),
                    "work": work,
                },
                repeats,
            )
            passes = times["work"] / min(times["in_place"], times["new_array"])
            faster = loop_s / times["work"]
            print(f"{name:30}{layout:8}{dtype:9}{times['work'] * 1e3:9.2f} ms{passes:8.2f}{faster:9.0f}×")
            found |= {f"{layout}_{dtype}_passes": passes, f"{layout}_{dtype}_faster": faster}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for option, default in (("samples", 1024), ("tokens", 4096), ("steps", 32), ("repeats", 7), ("seed", 0)):
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--only", default="", help="kernels whose name contains this")
    options = parser.parse_args()
    b = Batch(options.samples, options.tokens, options.steps, options.seed)
    results: dict[str, Any] = {"benchmark": "process_credit", **vars(options), "group_size": GROUP_SIZE}
    results |= {"python": platform.python_version(), "numpy": np.__version__}
    print(f"{'kernel':30}{'layout':8}{'dtype':9}{'time':>12}{'passes':>8}{'× loop':>10}")
    for name, kernel in kernels(b).items():
        if options.only in name:
            results[name] = measure(b, name, kernel, options.repeats)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
