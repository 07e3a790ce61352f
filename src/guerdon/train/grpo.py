"""TRL's GRPO trainer with a guerdon reward and advantages for every token."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast_object_list, gather_object
from numpy.typing import NDArray
from transformers.utils.chat_template_utils import get_json_schema
from trl.trainer.grpo_trainer import GRPOTrainer as TRLTrainer

from guerdon.core.context import Context
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal, Status
from guerdon.credit import Estimator, grpo, zero_variance_groups
from guerdon.engine.run import Engine
from guerdon.models.log_probs import CausalLogProbs
from guerdon.train.columns import as_chats
from guerdon.train.placement import place
from guerdon.train.rollout import Rollout


class GRPOTrainer(TRLTrainer):
    """`trl.GRPOTrainer` that takes a `Reward` and a credit estimator, and trains with one advantage a token.

    Generation, tools, loss and everything else are TRL's; `options` are the keyword arguments of its trainer.
    Dataset columns reach the reward as `reference` (`reference`, `solution` or `answer`) and `extra`, with
    the token ids in `extra["completion_ids"]`, and in `extra["chat_template_kwargs"]`, where there are any, the tools and
    other arguments with which the prompt was rendered. The context has `step`, `total_steps`, in `extra["training"]`
    whether this is a batch of training and not of an evaluation, and, as `policy`, the `LogProbs` of the model
    in training, which works where the reward runs in this process. There is none where its weights are sharded
    over processes (FSDP, DeepSpeed ZeRO-3), which can only be asked together, or its tokenizer is a slow one.

    `reward`: a Reward, or an `Engine` around one for workers, a time limit or a cache (its owner closes it) ·
    `credit`: what turns the Signal of a batch into advantages (n, T); default `credit.grpo()` · `on_rollout`:
    called in the main process with the `Rollout` of every batch that was generated, those of an evaluation
    included.

    The dense channel is placed in tokens: token, turn (one stretch of generated tokens) and step (characters
    of the text), see `place`. Completions that abstained, failed or ran out of time get advantage 0 and stay
    out of the baseline. With several processes the reward runs in the main one and sees the whole batch, so
    groups are whole.

    Logged beside TRL's metrics: `reward/<part>/mean` and `/std` (ddof 0) of every part's total over its OK
    samples, `status/abstained`, `status/failed`, `status/timed_out` as shares of the batch, and
    `groups/zero_variance`, the share of groups that carry no signal for a group-relative estimator. `outcome` is the
    mean of the outcomes, and TRL's `reward` that of the totals, in which dense values are added up.

    Raises `TypeError` for `reward_funcs` among the options, and `ValueError` where an environment brings a
    reward of its own or the estimator returns another shape or values that aren't finite.
    """

    def __init__(
        self,
        model: Any,
        reward: Reward | Engine,
        *,
        credit: Estimator | None = None,
        on_rollout: Callable[[Rollout], None] | None = None,
        **options: Any,
    ) -> None:
        if "reward_funcs" in options:
            raise TypeError(
                "GRPOTrainer: reward_funcs belongs to trl; combine rewards into one, as in a + 0.5 * b"
            )
        self.engine = reward if isinstance(reward, Engine) else Engine(reward)
        self.credit = credit or grpo()
        self.on_rollout = on_rollout
        self._scored: tuple[Sequence[Chat], Signal] = ((), Signal([]))
        super().__init__(model=model, reward_funcs=_column(self.engine.reward.name), **options)
        if len(self.reward_funcs) != 1:
            raise ValueError(
                "GRPOTrainer.environment_factory: the environment has get_reward, which would bypass the "
                "Signal; make it a guerdon reward"
            )

    def _calculate_rewards(
        self,
        inputs: Sequence[Mapping[str, Any]],
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids_list: Sequence[Sequence[int]],
    ) -> torch.Tensor:
        columns: dict[str, Sequence[Any]] = {
            name: [row[name] for row in inputs] for name in inputs[0] if name not in _OWN_COLUMNS
        } | {"completion_ids": completion_ids_list}
        rendering = self._template_arguments(inputs)
        if any(rendering) or "tools" in columns:
            columns["chat_template_kwargs"] = rendering
        first = self.accelerator.process_index * len(prompts)
        groups = [(first + i) // self._group_size for i in range(len(prompts))]
        samples = gather_object(as_chats(prompts, completions, columns, groups))
        found: list[Any] = [self._score(samples) if self.accelerator.is_main_process else None]
        signal: Signal = broadcast_object_list(found)[0]
        self._scored = samples, signal
        return torch.tensor(signal.total, dtype=torch.float32, device=self.accelerator.device)[:, None]

    def _template_arguments(self, inputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """What each prompt was rendered with beside its messages, so that a model can read the same prompt."""
        arguments: Any = self.chat_template_kwargs
        shared: dict[str, Any] = {**arguments}
        if self.chat_template is not None:
            shared["chat_template"] = self.chat_template
        by_environment = {None: self.tools} if self.environment_factories is None else self._env_tools
        schemas = {name: [get_json_schema(tool) for tool in tools] for name, tools in by_environment.items()}
        names = [row.get("environment") if self._multi_environment else None for row in inputs]
        return [{**shared, **({"tools": schemas[name]} if schemas[name] else {})} for name in names]

    def _score(self, samples: Sequence[Chat]) -> Signal:
        return self.engine.score(samples, self._context)

    @property
    def _context(self) -> Context:
        return Context(
            step=self.state.global_step,
            total_steps=self.state.max_steps,
            policy=self._policy,
            # A reward that learns from what it scores must not learn from an evaluation.
            extra={"training": self._mode == "train"},
        )

    @cached_property
    def _policy(self) -> CausalLogProbs | None:
        plugin = self.accelerator.state.deepspeed_plugin
        sharded = self.is_fsdp_enabled or (plugin is not None and plugin.zero_stage == 3)
        if sharded or not self._tokenizer.is_fast:
            return None
        return CausalLogProbs(self.accelerator.unwrap_model(self.model), self._tokenizer)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        mask: torch.Tensor = output["completion_mask"]
        if "tool_mask" in output:
            mask = mask * output["tool_mask"]
        rollout = self._assign_credit(_stack(gather_object(list(mask.bool().cpu().numpy()))))
        self._log_rollout(rollout)
        first = self.accelerator.process_index * len(mask)
        local = rollout.advantages[first : first + len(mask), : mask.shape[1]]
        output["advantages"] = torch.from_numpy(local.copy()).to(self.accelerator.device)
        return output

    def _assign_credit(self, mask: NDArray[np.bool_]) -> Rollout:
        samples, signal = self._scored
        signal, spans = place(
            signal,
            samples,
            [row[: len(s.extra["completion_ids"])] for row, s in zip(mask, samples, strict=True)],
            self._tokenizer,
        )
        groups = np.arange(len(samples)) // self._group_size
        advantages = np.asarray(self.credit(signal, groups, mask, spans), dtype=np.float32)
        if advantages.shape != mask.shape or not np.isfinite(advantages).all():
            raise ValueError(
                f"credit: expected finite advantages of shape {mask.shape}, got shape {advantages.shape}"
                f"{'' if np.isfinite(advantages).all() else ' with values that are not finite'}"
            )
        advantages = np.where(mask & signal.ok[:, None], advantages, np.float32(0))
        return Rollout(self.state.global_step, samples, signal, groups, mask, advantages)

    @property
    def _mode(self) -> str:
        model: Any = self.model
        return "train" if model.training else "eval"

    @property
    def _group_size(self) -> int:
        size: Any = self.num_generations if self._mode == "train" else self.num_generations_eval
        return size

    def _log_rollout(self, rollout: Rollout) -> None:
        metrics = self._metrics[self._mode]
        for name, value in signal_metrics(rollout.signal, rollout.groups).items():
            metrics[name].append(value)
        # TRL has put its own advantages into the table of completions; these are the ones trained on.
        logged = self._logs["advantages"]
        for _ in range(min(len(logged), len(rollout.samples))):
            logged.pop()
        tokens = rollout.mask.sum(axis=1).clip(min=1)
        logged.extend((rollout.advantages.sum(axis=1) / tokens).tolist())
        if self.on_rollout is not None and self.accelerator.is_main_process:
            self.on_rollout(rollout)


def signal_metrics(signal: Signal, groups: NDArray[np.int64]) -> dict[str, float]:
    """What is logged of one batch, see `GRPOTrainer`; NaN where no sample of a part is OK."""
    n = max(1, len(signal))
    counts = signal.counts()
    metrics = {
        f"status/{status.name.lower()}": counts[status] / n for status in Status if status is not Status.OK
    }
    metrics["outcome"] = float(signal.outcome[signal.ok].mean()) if signal.ok.any() else float("nan")
    metrics["groups/zero_variance"] = float(zero_variance_groups(signal.total, groups, valid=signal.ok).share)
    for path, part in signal.walk(("reward",)):
        if part is signal:
            continue
        name, totals = "/".join(path), part.total[part.ok]
        metrics[f"{name}/mean"] = float(totals.mean()) if totals.size else float("nan")
        metrics[f"{name}/std"] = float(totals.std()) if totals.size else float("nan")
    return metrics


def _stack(rows: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Rows of unequal length, as processes pad each to its own longest completion, as one array."""
    stacked = np.zeros((len(rows), max(len(row) for row in rows)), dtype=bool)
    for target, row in zip(stacked, rows, strict=True):
        target[: len(row)] = row
    return stacked


def _column(name: str) -> Callable[..., list[float | None]]:
    """A name for TRL's metrics. It is never called: `_calculate_rewards` scores."""

    def reward(**_: Any) -> list[float | None]:
        raise NotImplementedError

    reward.__name__ = name
    return reward


_OWN_COLUMNS = ("prompt", "completion", "completion_ids")
