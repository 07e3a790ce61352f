r"""Throughput of maths verdicts against TRL's `accuracy_reward`, in one process, on recorded solutions.

TRL finds an answer only in LaTeX, so the recorded solutions of grade-school problems, which end in `A: 18`, are given to
both sides as `A: \boxed{18}`; the competition and tool-integrated solutions are in that form already. The reference is the
recorded final answer. Both sides get the same texts in the same order, and every verdict is compared: with
`extract="latex"` all must be identical. The default, `extract="auto"`, is timed beside it; it differs on purpose where
TRL reads a formula such as `4a-2` as its last number.

What each side memoises is emptied before each of 3 passes, of which the median counts, in CPU time, so that other work on
the machine doesn't; imports and the compilation of regular expressions are paid before. `symbolic` are formulas that no fast path can decide, all different.

    python benchmarks/bench_math.py [--data DIR]
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from guerdon.core.samples import Chat
from guerdon.verify.math import MathAnswer, forget

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
PASSES = 3


def records(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a gzipped JSON-lines file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def grade_school(data: Path) -> list[Chat]:
    """Solutions of four models, the final answer put into a box."""
    samples = list[Chat]()
    for row in records(data / "gsm8k_model_solutions.jsonl.gz"):
        reference = row["ground_truth"].rpartition("A: ")[2]
        for value in row.values():
            if isinstance(value, dict):
                steps, marker, answer = value["solution"].rpartition("A: ")
                text = f"{steps}A: \\boxed{{{answer}}}" if marker else answer
                samples.append(Chat(row["question"], text, reference=reference))
    return samples


def competition(data: Path) -> list[Chat]:
    """Eight solutions a problem, in LaTeX."""
    rows = records(data / "math_rm_at_8.jsonl.gz")
    return [Chat(row["question"], code, reference=row["gt"]) for row in rows for code in row["code"]]


def tool_integrated(data: Path) -> list[Chat]:
    """Programs, their output and a final sentence."""
    rows = records(data / "tora_gsm8k_tora_70b.jsonl.gz")
    return [Chat(row["question"], code, reference=row["gt"]) for row in rows for code in row["code"]]


def symbolic_samples(n: int) -> list[Chat]:
    """`n` different samples whose verdicts need computer algebra; every second answer is right."""
    return [
        Chat(
            f"Expand (x+{k})^2.",
            rf"The square is \[\boxed{{x^2 + {2 * k}x + {k * k + k % 2}}}\]",
            reference=f"$(x+{k})^2$",
        )
        for k in range(1, n + 1)
    ]


def seconds(run: Callable[[], Any]) -> float:
    """Median CPU time of a pass with nothing memoised."""
    from math_verify import parser

    times = list[float]()
    for _ in range(PASSES):
        forget()
        for memo in (parser.parse_latex_cached, parser.parse_expr_cached, parser.extract_latex):
            memo.cache_clear()
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return statistics.median(times)


def compare(name: str, samples: list[Chat]) -> dict[str, Any]:
    """Both sides on the same samples."""
    from trl.rewards import accuracy_reward

    completions = [[{"role": "assistant", "content": sample.text}] for sample in samples]
    solutions = [sample.reference for sample in samples]
    same, default = MathAnswer(extract="latex"), MathAnswer()
    theirs = accuracy_reward(completions, solutions)
    ours = [None if value != value else value for value in same(samples).outcome.tolist()]
    trl = seconds(lambda: accuracy_reward(completions, solutions))
    latex = seconds(lambda: same(samples))
    auto = seconds(lambda: default(samples))
    return {
        "inputs": name,
        "samples": len(samples),
        "different_verdicts": sum(a != b for a, b in zip(theirs, ours, strict=True)),
        "trl_us": 1e6 * trl / len(samples),
        "latex_us": 1e6 * latex / len(samples),
        "auto_us": 1e6 * auto / len(samples),
        "ratio": trl / latex,
        "ratio_auto": trl / auto,
    }


def main() -> None:
    """Print a table and one line of JSON."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--data", type=Path, default=DATA, help="folder of recorded solutions")
    data = options.parse_args().data
    if not data.is_dir():
        raise SystemExit(f"--data: no folder {data}")
    logging.disable(logging.WARNING)
    inputs = {
        "grade school": grade_school(data),
        "competition": competition(data),
        "tool-integrated": tool_integrated(data),
    }
    recorded = [sample for samples in inputs.values() for sample in samples]
    rows = [compare(name, samples) for name, samples in inputs.items()]
    rows += [compare("all recorded", recorded), compare("symbolic", symbolic_samples(200))]
    print(
        f"{'inputs':<16}{'samples':>8}{'differ':>8}{'TRL µs':>10}{'latex µs':>10}{'auto µs':>9}{'ratio':>8}{'(auto)':>8}"
    )
    for row in rows:
        print(
            f"{row['inputs']:<16}{row['samples']:>8}{row['different_verdicts']:>8}{row['trl_us']:>10.1f}"
            f"{row['latex_us']:>10.2f}{row['auto_us']:>9.2f}{row['ratio']:>8.1f}{row['ratio_auto']:>8.1f}"
        )
    print(
        json.dumps(
            {
                "benchmark": "math",
                "ratio": rows[-2]["ratio"],
                "symbolic_ratio": rows[-1]["ratio"],
                "rows": rows,
            }
        )
    )


if __name__ == "__main__":
    main()
