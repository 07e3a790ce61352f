"""`run`: one GRPO training from a plain configuration to a folder of results."""

from __future__ import annotations

import copy
import json
import math
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from guerdon.core.extras import need
from guerdon.core.io import read, sample_record, write_rejects
from guerdon.core.recipe import describe
from guerdon.core.registry import create
from guerdon.core.reward import Reward, leaves
from guerdon.core.samples import Sample
from guerdon.engine.run import Engine
from guerdon.train.quiet import quiet, stop_printing
from guerdon.train.rollout import Rollout, write_rollout

OnStep: TypeAlias = Callable[[int, Mapping[str, float]], None]

_PACKAGES = ("guerdon", "torch", "transformers", "trl", "datasets", "accelerate")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """What `run` trains.

    `reward`: a Reward, or an `Engine` around one · `model`: a Hugging Face checkpoint · `data`: prompts,
    whatever `guerdon.read` takes, without completions · `out`: a new or empty folder · `credit`: a registered
    estimator, with `credit_options` · `tools`: typed functions with Google-style docstrings that the policy
    may call · `steps`: optimiser steps · `num_generations`: completions a prompt · `batch_size`: completions
    a step and process, a multiple of it · `rollout_every`: write the rollouts of every so many steps, 0 for
    none · `options`: other fields of `trl.GRPOConfig`.
    """

    reward: Reward | Engine
    model: str | Path
    data: Any
    out: str | Path
    credit: str = "grpo"
    credit_options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tools: Sequence[Callable[..., Any]] = ()
    steps: int = 100
    num_generations: int = 8
    batch_size: int = 64
    learning_rate: float = 1e-6
    max_completion_length: int = 256
    seed: int = 0
    rollout_every: int = 1
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"TrainConfig.steps: expected at least 1, got {self.steps}")
        if self.num_generations < 2 or self.batch_size % self.num_generations:
            raise ValueError(
                "TrainConfig.batch_size: expected a multiple of num_generations, which is at least 2; "
                f"got {self.batch_size} and {self.num_generations}"
            )

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return plain | {
            "reward": _bare(self.reward).name,
            "model": str(self.model),
            "data": str(self.data) if isinstance(self.data, (str, Path)) else type(self.data).__name__,
            "out": str(self.out),
            "tools": [tool.__name__ for tool in self.tools],
        }


def run(config: TrainConfig, on_step: OnStep | None = None) -> Path:
    """Train with GRPO and return the folder `out`:

    - `run.json`: recipe of the reward, configuration, versions, how many rows of `data` were read and how many
      rejected, `started`, and once it is done `ended` (UTC);
    - `metrics.jsonl`: one object a logged step, `step` and every finite number that was logged;
    - `rollouts/step-XXXXXX.parquet`: scored completions with advantages, see `write_rollout`;
    - `checkpoint/`: model and tokenizer, an ordinary Hugging Face checkpoint;
    - `rejects.jsonl`: the rows that can't be read, where there are some.

    With `on_step(step, numbers)`, which the main process calls after each step, the trainer itself prints nothing.

    Raises `ValueError` where `out` has files in it, where no row of `data` can be read, or on options that
    TRL refuses.
    """
    out = Path(config.out)
    arguments = _arguments(config, out, silent=on_step is not None)
    is_main = arguments.process_index == 0
    if is_main and out.exists() and any(out.iterdir()):
        raise ValueError(f"TrainConfig.out: expected a new or empty folder, got {out}")
    samples = read(config.data, require_completion=False)
    if not samples:
        raise ValueError(f"TrainConfig.data: no row can be read; the first says: {samples.rejects[0].reason}")
    for leaf in leaves(_bare(config.reward)):
        # What can't be loaded is told before anything is trained. Workers load their own.
        if not (isinstance(config.reward, Engine) and leaf.isolate):
            leaf.prepare()
    with quiet() if on_step is not None else nullcontext():
        trainer = _trainer(config, arguments, [_prompt_row(sample) for sample in samples], out)
        if on_step is not None:
            stop_printing(trainer)
            trainer.add_callback(_caller(on_step))
        info = {
            "kind": "grpo",
            **describe(_bare(config.reward)),
            "config": config.as_dict(),
            "versions": _versions(),
            "rows": len(samples),
            "rejected": len(samples.rejects),
            "started": _now(),
        }
        if is_main:
            out.mkdir(parents=True, exist_ok=True)
            _write_json(out / "run.json", info)
            if samples.rejects:
                write_rejects(samples.rejects, out / "rejects.jsonl")
        trainer.train()
        trainer.save_model(str(out / "checkpoint"))
    if is_main:
        _write_json(out / "run.json", info | {"ended": _now()})
    return out


def _arguments(config: TrainConfig, out: Path, silent: bool) -> Any:
    transformers, trl = need("transformers", "train"), need("trl", "train")
    fields = {
        "output_dir": str(out),
        "max_steps": config.steps,
        "num_generations": config.num_generations,
        "per_device_train_batch_size": config.batch_size,
        "learning_rate": config.learning_rate,
        "max_completion_length": config.max_completion_length,
        "seed": config.seed,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": silent,
        # TRL's default is True everywhere, which is an error on a machine that can't.
        "bf16": transformers.utils.is_torch_bf16_gpu_available(),
        "dataloader_pin_memory": transformers.utils.is_torch_cuda_available(),
        **config.options,
    }
    return trl.GRPOConfig(**fields)


def _trainer(config: TrainConfig, arguments: Any, rows: list[dict[str, Any]], out: Path) -> Any:
    from guerdon.train.grpo import GRPOTrainer

    def keep(rollout: Rollout) -> None:
        if config.rollout_every and rollout.step % config.rollout_every == 0:
            write_rollout(rollout, out / "rollouts", tokenizer)

    trainer = GRPOTrainer(
        str(config.model),
        config.reward,
        credit=create(config.credit, "credit", config.credit_options),
        on_rollout=keep,
        args=arguments,
        train_dataset=_dataset(rows),
        tools=list(config.tools) or None,
        callbacks=[_metrics_writer(out / "metrics.jsonl")],
    )
    tokenizer: Any = trainer.processing_class
    return trainer


def _dataset(rows: Sequence[Mapping[str, Any]]) -> Any:
    """A dataset that gives the rows as they are, and None for a column that a row hasn't.

    Arrow would store one type a column: objects get each other's keys as null, and texts beside numbers become numbers.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))

    def taken(batch: Mapping[str, Sequence[int]]) -> dict[str, list[Any]]:
        return {name: [copy.deepcopy(rows[i].get(name)) for i in batch["row"]] for name in names}

    numbers = {"row": list(range(len(rows)))}
    return need("datasets", "train").Dataset.from_dict(numbers).with_transform(taken)


def _prompt_row(sample: Sample) -> dict[str, Any]:
    record = sample_record(sample)
    return {name: value for name, value in record.items() if name not in ("completion", "group")}


def _metrics_writer(path: Path) -> Any:
    class Writer(need("transformers", "train").TrainerCallback):
        """One line of numbers for each step that is logged."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any], **_: Any) -> None:
            if state.is_world_process_zero:
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"step": state.global_step, **_numbers(logs)}) + "\n")

    return Writer()


def _caller(on_step: OnStep) -> Any:
    class Caller(need("transformers", "train").TrainerCallback):
        """Tells the caller of `run` how training goes."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any], **_: Any) -> None:
            if state.is_world_process_zero and "completions/mean_length" in logs:
                on_step(state.global_step, _numbers(logs))

    return Caller()


def _numbers(logs: Mapping[str, Any]) -> dict[str, float]:
    return {k: v for k, v in logs.items() if isinstance(v, (int, float)) and math.isfinite(v)}


def _bare(reward: Reward | Engine) -> Reward:
    return reward.reward if isinstance(reward, Engine) else reward


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, default=repr) + "\n", "utf-8")
