"""Scoring programs by their tests: gain of a second worker, and a plain loop over `subprocess.run` as the peer.

Every answer has three assertions, as in MBPP; every fourth is wrong. The peer writes program and assertions into one
file and runs it, once an answer, with a time limit: no limits on memory or output, no isolation, and one verdict for all
three assertions, which `sys.exit(0)` passes. Ours runs each assertion in a process of its own. All verdicts are compared.

    python benchmarks/bench_code.py [--answers 240]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from guerdon import Chat
from guerdon.engine import Engine
from guerdon.verify.code import CodeTests

SECONDS = 10.0


def answers(n: int) -> list[Chat]:
    """`n` different programs with a little work to do."""
    samples = list[Chat]()
    for k in range(1, n + 1):
        wrong = k % 4 == 0
        program = (
            f"def total(n):\n    found = 0\n    for i in range(n):\n        found += i % {k}\n"
            f"    return found + {int(wrong)}\n"
        )
        tests = [f"assert total({m}) == sum(i % {k} for i in range({m}))" for m in (0, 1000, 100_000)]
        samples.append(Chat("Sum the remainders.", f"```python\n{program}```", reference=tests))
    return samples


def with_workers(samples: list[Chat], workers: int) -> tuple[float, list[float]]:
    """Seconds and verdicts of the engine."""
    with Engine(CodeTests(seconds=SECONDS), workers=workers) as engine:
        engine.score(samples[:4])
        start = time.perf_counter()
        outcome = engine.score(samples).outcome
        return time.perf_counter() - start, outcome.tolist()


def one_by_one(samples: list[Chat]) -> tuple[float, list[float]]:
    """Seconds and verdicts of the plain loop."""
    verdicts = list[float]()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "answer.py")
        for sample in samples:
            program = sample.final.split("```python\n")[1].split("```")[0]
            script.write_text("\n".join([program, *sample.reference]))
            done = subprocess.run(
                [sys.executable, "-I", "-B", str(script)], capture_output=True, timeout=SECONDS, check=False
            )
            verdicts.append(float(done.returncode == 0))
    return time.perf_counter() - start, verdicts


def main() -> None:
    """Print one line and the same as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--answers", type=int, default=240)
    samples = answers(parser.parse_args().answers)
    one, verdicts = with_workers(samples, 1)
    two, again = with_workers(samples, 2)
    peer, theirs = one_by_one(samples)
    figures = {
        "answers": len(samples),
        "different_verdicts": sum(a != b or a != c for a, b, c in zip(verdicts, again, theirs, strict=True)),
        "one_worker_s": one,
        "two_workers_s": two,
        "gain": one / two,
        "subprocess_loop_s": peer,
        "ratio_to_loop": peer / two,
    }
    print("  ".join(f"{name} {value:,.3g}" for name, value in figures.items()))
    print(json.dumps({"benchmark": "code", **figures}))


if __name__ == "__main__":
    main()
