"""`guerdon train`: train a policy against the reward of a recipe."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from guerdon.core.recipe import RecipeError, load_reward, read_yaml, shipped_recipe
from guerdon.core.registry import create, did_you_mean
from guerdon.engine.progress import progress_bar
from guerdon.train.run import OnStep, TrainConfig

_OWN = ("world", "problems")
_FIELDS = tuple(f.name for f in fields(TrainConfig) if f.name not in ("reward", "out", "tools"))


def train(
    recipe: Annotated[
        str, typer.Argument(help="Recipe with a `train` section: a file, or the name of a shipped one.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the run; must be new or empty.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps, instead of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed, instead of the recipe's.")] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Let the recipe import Python code that it names.")
    ] = False,
) -> None:
    """Train a policy with GRPO against a recipe; writes metrics, rollouts and a checkpoint."""
    from guerdon.train import run

    given = {"steps": steps, "seed": seed}
    out = out or Path("runs") / Path(recipe).stem
    config = train_config(
        recipe, out, {key: value for key, value in given.items() if value is not None}, trust
    )
    with training_progress(config.steps) as on_step:
        run(config, on_step)
    print(f"run: {out}\nreport: guerdon report {out}")


@contextmanager
def training_progress(steps: int) -> Generator[OnStep]:
    """Yields what to call after each step: a bar with rate and remaining time on a terminal, elsewhere a line now and then."""
    every = max(1, steps // 8)
    terminal = sys.stderr.isatty()
    with progress_bar(terminal, steps, "training") as advance:

        def on_step(step: int, numbers: Mapping[str, float]) -> None:
            advance(1)
            if not terminal and (step % every == 0 or step in (1, steps)):
                print(f"  step {step:>4}/{steps}  {_summary(numbers)}", flush=True)

        yield on_step


def _summary(numbers: Mapping[str, float]) -> str:
    """The mean outcome, the reward where dense values make it another, and the share of samples without a value."""
    outcome, reward = numbers.get("outcome"), numbers.get("reward")
    if outcome is None:
        return "no sample has a value"
    said = f"outcome {outcome:.3f}"
    if reward is not None and abs(reward - outcome) > 5e-4:
        said += f"  with dense values {reward:.3f}"
    lost = sum(numbers.get(f"status/{status}", 0.0) for status in ("failed", "timed_out"))
    return f"{said}  failed {lost:.0%}" if lost else said


def train_config(recipe: str, out: Path, changes: Mapping[str, Any], trust: bool = False) -> TrainConfig:
    """What a recipe's `train` section asks for. A world without a `model` gets a policy made for it, beside `out`."""
    path = Path(recipe) if recipe.endswith((".yaml", ".yml")) else shipped_recipe(recipe)
    if path is None or not path.is_file():
        raise RecipeError(f"{recipe}: no such recipe; expected a .yaml file or the name of a shipped recipe")
    data, lines = read_yaml(path.read_text("utf-8"), str(path))
    section = data.get("train")
    if not isinstance(section, Mapping):
        raise RecipeError(f"{path}: `train`: expected a section that says what to train, got {section!r}")
    for key in section:
        if key not in (*_OWN, *_FIELDS):
            line = lines.get(("train", key), 1)
            raise RecipeError(
                f"{path}:{line}: `train.{key}`: unknown key{did_you_mean(key, (*_OWN, *_FIELDS))}"
            )
    options = {key: value for key, value in section.items() if key not in _OWN} | dict(changes)
    tools: tuple[Any, ...] = ()
    if "world" in section:
        world = _world(section["world"])
        seed = int(options.get("seed", 0))
        options.setdefault("data", world.rows(int(section.get("problems", 2000)), seed))
        if "model" not in options:
            options["model"] = world.make_policy(out.with_name(out.name + "-policy"), seed=seed)
        tools = tuple(world.tools)
    for key in ("model", "data"):
        if key not in options:
            raise RecipeError(f"{path}: `train.{key}`: needed where there is no `train.world`")
    return TrainConfig(reward=load_reward(str(path), trust=trust), out=out, tools=tools, **options)


def _world(given: Any) -> Any:
    if isinstance(given, str):
        return create(given, "world")
    arguments = dict(given)
    return create(str(arguments.pop("world", "")), "world", arguments)
