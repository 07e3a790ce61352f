"""`guerdon demo`: the main job from end to end on embedded defaults."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

HELD_OUT = 256
HELD_OUT_SEED = 7_777


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the run; an earlier demo there is replaced.")
    ] = Path("runs/demo"),
    steps: Annotated[int, typer.Option(help="Optimiser steps.")] = 80,
    seed: Annotated[int, typer.Option(help="Seed of everything.")] = 0,
) -> None:
    """Score rollouts with a composed recipe, train a tiny policy against it with GRPO, and write the report."""
    # Threads that spin while they wait lose most of a busy machine's time; torch reads this when it is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from guerdon.cli.train import train_config, training_progress
    from guerdon.core.io import to_table, write_table
    from guerdon.core.recipe import describe, load_reward
    from guerdon.core.samples import Chat
    from guerdon.engine.run import score
    from guerdon.lab import Arithmetic, play
    from guerdon.train import run
    from guerdon.view.report import write_report

    _clear(out)
    world, reward = Arithmetic(reference="calls"), load_reward("arithmetic")
    tasks = world.tasks(HELD_OUT, HELD_OUT_SEED)

    def rollouts(model: str | Path) -> list[Chat]:
        return play(model, tasks, world.tools, seed=seed)

    def shares(samples: list[Chat]) -> tuple[float, float]:
        checks = [world.check(sample) for sample in samples]
        return sum(c.call for c in checks) / len(checks), sum(c.answer for c in checks) / len(checks)

    with _stage("making a tiny policy: tokenizer, 1 M parameters, a warm start"):
        config = train_config("arithmetic", out, {"steps": steps, "seed": seed})
    with _stage(f"scoring its rollouts on {HELD_OUT} held-out problems with the recipe `arithmetic`"):
        before = rollouts(config.model)
        signal = score(reward, before)
    with _stage(f"training it with GRPO for {steps} steps"):
        with training_progress(steps) as on_step:
            run(config, on_step)
        write_table(to_table(signal, before, metadata=describe(reward)), out / "scores.parquet")
    with _stage("scoring the trained policy on the same problems"):
        after = rollouts(out / "checkpoint")
        trained = score(reward, after)
    with _stage("writing the report"):
        page = write_report(out)

    (calls_before, answers_before), (calls_after, answers_after) = shares(before), shares(after)
    print(
        f"\nheld-out problems      before   after\n"
        f"right tool call        {calls_before:6.1%}  {calls_after:6.1%}\n"
        f"right answer           {answers_before:6.1%}  {answers_after:6.1%}\n"
        f"reward (mean)          {signal.outcome.mean():6.2f}  {trained.outcome.mean():6.2f}\n\n"
        f"checkpoint: {out / 'checkpoint'}\nreport: {page}"
    )


def _clear(out: Path) -> None:
    """Remove an earlier demo; refuse anything else that lies there."""
    if out.exists() and any(out.iterdir()) and not (out / "run.json").exists():
        raise ValueError(f"--out: {out} has files that no run wrote; name another folder")
    for folder in (out, out.with_name(out.name + "-policy")):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _stage(what: str) -> Generator[None]:
    print(f"• {what}", flush=True)
    start = time.monotonic()
    yield
    print(f"  {time.monotonic() - start:.0f} s", flush=True)
