"""GRPO over groups in which failures are repaired from their first wrong step on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate.utils import broadcast_object_list
from numpy.typing import NDArray

from guerdon.core.checks import check_choice
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.segments import Segments, Source
from guerdon.core.signal import Signal
from guerdon.engine.run import Engine
from guerdon.train.grpo import GRPOTrainer
from guerdon.train.mixed_policy import off_policy_loss
from guerdon.train.splicing import Guide, Recycled, Recycling, recycle

_LOSS_TYPES = ("grpo", "bnpo", "dr_grpo", "dapo")


class RecyclingGRPOTrainer(GRPOTrainer):
    """`GRPOTrainer` that has failed rollouts repaired by a guide before it learns from their group.

    Between generation and everything else, `process` finds the first wrong step of failures, `guide` writes anew what
    follows the steps before it, and repairs that `reward` finds right take the place of the failures; see `recycle`.
    Log-probabilities of the reference, advantages, masks and logs are then those of the repaired group. Repaired
    samples are scored alone, and the others once.

    Tokens of the policy have TRL's loss. Those of the guide have `off_policy_loss`, averaged as TRL averages, and no
    clipping; a KL term (`beta`) goes over both. An evaluation repairs nothing.

    `process`: a Reward, or an `Engine` around one, that gives dense values of unit `step` with spans · `guide`: see
    `Guide` and `text_guide` · `recycling`: which failures and how; repairs are never longer than
    `max_completion_length` · `gamma`, `off_policy_weight`: of `off_policy_loss` · `options`: those of `GRPOTrainer`.
    With several processes the guide runs in the main one.

    Logged: `recycled/share` of the batch, `recycled/groups`, the share of groups without any right rollout that got
    one, and `recycled/quality`, the mean ρ of the repaired ones.

    Raises `ValueError` for a reward that must see more than one sample, `loss_type` other than grpo, bnpo, dr_grpo or
    dapo, importance sampling over sequences, a `rollout_func`, and options out of range.

    "Recycling Failures: Salvaging Exploration in RLVR via Fine-Grained Off-Policy Guidance" (SCOPE), arXiv 2602.24110;
    no code is known, and the choices that its abstract leaves open are those of `Recycling` and `off_policy_loss`.
    """

    def __init__(
        self,
        model: Any,
        reward: Reward | Engine,
        process: Reward | Engine,
        guide: Guide,
        *,
        recycling: Recycling | None = None,
        gamma: float | None = 0.1,
        off_policy_weight: float = 1.0,
        **options: Any,
    ) -> None:
        off_policy_loss(np.zeros(1), np.zeros(1), gamma=gamma, weight=off_policy_weight)
        if options.get("rollout_func") is not None:
            raise ValueError("rollout_func: expected none, repairs follow the trainer's own generation")
        super().__init__(model, reward, **options)
        if self.engine.reward.scope != "sample":
            raise ValueError(f"reward: expected one of scope sample, got {self.engine.reward.scope!r}")
        check_choice(self.loss_type, "args.loss_type", _LOSS_TYPES)
        check_choice(self.importance_sampling_level, "args.importance_sampling_level", ("token",))
        self.process = process if isinstance(process, Engine) else Engine(process)
        self.guide = guide
        recycling = recycling or Recycling()
        limits = [n for n in (recycling.max_tokens, self.max_completion_length) if n is not None]
        self.recycling = replace(recycling, max_tokens=min(limits, default=None))
        self.gamma, self.off_policy_weight = gamma, off_policy_weight
        self._inputs: Sequence[Mapping[str, Any]] = ()
        self._known: Signal | None = None
        self._repaired: Mapping[int, _Row] = {}
        self._log_probs: Any = None

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._inputs, self._repaired = inputs, {}
        output = super()._generate_and_score_completions(inputs)
        if self._mode == "train":
            off_policy = torch.zeros_like(output["completion_mask"], dtype=torch.bool)
            behaviour = torch.full(off_policy.shape, torch.nan, device=off_policy.device)
            for i, row in self._repaired.items():
                off_policy[i, : len(row.ids)] = torch.tensor(row.off_policy)
                behaviour[i, : len(row.ids)] = torch.tensor(row.log_probs, dtype=behaviour.dtype)
            output |= {"off_policy": off_policy, "behaviour_log_probs": behaviour}
        return output

    def _generate(self, prompts: list[Any]) -> Any:
        generated = super()._generate(prompts)
        if self._mode != "train":
            return generated
        _, ids, tool_mask, completions, log_probs, *_ = generated
        self._calculate_rewards(self._inputs, prompts, completions, ids)
        found: list[Any] = [self._recycle() if self.accelerator.is_main_process else None]
        rows, metrics = broadcast_object_list(found)[0]
        for name, value in metrics.items():
            self._metrics["train"][name].append(value)
        first = self.accelerator.process_index * len(prompts)
        self._repaired = {i - first: row for i, row in rows.items() if first <= i < first + len(prompts)}
        for i, row in self._repaired.items():
            ids[i], completions[i] = row.ids, row.completion
            if tool_mask is not None:
                tool_mask[i] = [1] * len(row.ids)
            if log_probs is not None:  # TRL reads NaN as a token whose sampler is unknown
                kept = len(row.ids) - sum(row.off_policy)
                log_probs[i] = [*log_probs[i][:kept], *[float("nan")] * (len(row.ids) - kept)]
        return generated

    def _score(self, samples: Sequence[Chat]) -> Signal:
        # TRL asks for rewards once more after the repairs; they are known.
        known, self._known = self._known, None
        return super()._score(samples) if known is None else known

    def _recycle(self) -> tuple[dict[int, _Row], dict[str, float]]:
        samples, signal = self._scored
        process = self.process.score(samples, self._context)
        found = recycle(samples, signal, process, self.guide, super()._score, self._segments, self.recycling)
        self._known = found.signal
        rows = {i: _Row.of(found.samples[i], repair.segments) for i, repair in found.repairs.items()}
        groups = np.arange(len(samples)) // self._group_size
        return rows, recycling_metrics(signal, found, groups, self.recycling.success)

    def _segments(self, sample: Chat) -> Segments:
        ids: Sequence[int] = sample.extra["completion_ids"]

        def decode(part: Sequence[int]) -> str:
            return str(self._tokenizer.decode(list(part), skip_special_tokens=True))

        return Segments.from_chat(sample, ids, np.ones(len(ids), dtype=bool), decode)

    def _get_per_token_logps_and_entropies(self, *args: Any, **options: Any) -> Any:
        found = super()._get_per_token_logps_and_entropies(*args, **options)
        self._log_probs = found[0]
        return found

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        if "off_policy" not in inputs:
            return super()._compute_loss(model, inputs)
        off_policy, advantages = inputs["off_policy"], inputs["advantages"]
        own = {**inputs, "advantages": torch.where(off_policy, 0.0, advantages)}
        loss = super()._compute_loss(model, own)
        log_probs, self._log_probs = self._log_probs, None
        other = off_policy_loss(
            log_probs,
            advantages,
            inputs["behaviour_log_probs"],
            gamma=self.gamma,
            weight=self.off_policy_weight,
        )
        return loss + (torch.where(off_policy, other, 0.0) * self._share(inputs)).sum()

    def _share(self, inputs: dict[str, Any]) -> torch.Tensor:
        """What TRL's loss multiplies the loss of each token with, (n, 1) or a scalar."""
        mask = inputs["completion_mask"] * inputs.get("tool_mask", 1)
        lengths = mask.sum(dim=1, keepdim=True).clamp(min=1)
        training = self._mode == "train"
        accumulated = self.current_gradient_accumulation_steps if training else 1
        args: Any = self.args
        if self.loss_type == "dapo":
            items = inputs["num_items_in_batch"].clamp(min=1) / self.accelerator.num_processes
            count = items / args.steps_per_generation if training else items
        elif self.loss_type == "dr_grpo":
            count = torch.tensor(len(mask) * args.max_completion_length)
        else:
            count = len(mask) * lengths if self.loss_type == "grpo" else mask.sum().clamp(min=1)
        return 1 / (count * accumulated)


class _Row(NamedTuple):
    """A repaired completion as the trainer needs it; the last two have a value for each of the `ids`."""

    completion: Any
    ids: list[int]
    off_policy: list[bool]
    log_probs: list[float]

    @classmethod
    def of(cls, sample: Chat, tokens: Segments) -> _Row:
        off_policy = tokens.sources == Source.OFF_POLICY
        return cls(sample.completion, tokens.ids.tolist(), off_policy.tolist(), tokens.log_probs.tolist())


def recycling_metrics(
    before: Signal, found: Recycled, groups: NDArray[np.int64], success: float
) -> dict[str, float]:
    """What is logged of the repairs, see `RecyclingGRPOTrainer`; what is an average of nothing isn't there."""
    metrics = {"recycled/share": len(found.repairs) / max(1, len(before))}
    right = before.ok & (before.outcome > success)
    lost = set(groups.tolist()) - set(groups[right].tolist())
    if lost:
        metrics["recycled/groups"] = len(lost & {int(groups[i]) for i in found.repairs}) / len(lost)
    if found.repairs:
        metrics["recycled/quality"] = float(np.mean([repair.quality for repair in found.repairs.values()]))
    return metrics
