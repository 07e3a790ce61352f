"""TRL's GRPO trainer with the loss of a generative flow network over the steps of a solution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.utils import pad

from guerdon.core.checks import check_choice, check_count, check_number
from guerdon.core.reward import Reward
from guerdon.core.signal import Signal
from guerdon.credit.estimators import StepEstimator, Steps
from guerdon.engine.run import Engine
from guerdon.train.arguments import check_arguments
from guerdon.train.flow_balance import flow_balance_loss, log_rewards, token_flow_balance_loss
from guerdon.train.grpo import GRPOTrainer
from guerdon.train.replay import ReplayBuffer

Form: TypeAlias = Literal["paper", "code"]
_Row: TypeAlias = dict[str, torch.Tensor]

_LEAST = 1e-30  # scores above it stay above 0 in float32
_NEEDED: Mapping[str, Any] = {"beta": 0.0, "entropy_coef": 0.0, "use_adaptive_entropy": False}
_READ = {  # what the loss reads of a batch, and the mask of each
    "prompt_ids": "prompt_mask",
    "prompt_mask": "prompt_mask",
    "completion_ids": "completion_mask",
    "completion_mask": "completion_mask",
    "advantages": "completion_mask",
}


class FlowBalanceTrainer(GRPOTrainer):
    """A trainer whose policy learns to write solutions in proportion to the product of their step scores.

        log R_k = exponent · Σ_{l≤k} log max(p_l, floor)
        loss    = mean over the batch of `flow_balance_loss` over states 0 … K          form "paper"
                = mean over the batch of `token_flow_balance_loss` over tokens          form "code"

    State 0 is the prompt, state k the solution up to the last token of step k. Tokens between two steps belong to the
    later one, and those behind the last step to none. Log-probabilities are those of the tokens and of the tokens that
    end a generation, at `args.temperature`. The loss needs no group and holds for solutions of an older policy, so that
    `args.num_iterations` may be above 1.

    `reward`: a process reward whose dense channel has unit `step`, spans, and scores p in [0, 1]; what it says of
    outcomes isn't used · `args`: of TRL, 2 generations a prompt and temperature 0.6 in the paper. What it says of
    advantages, clipping and `loss_type` has no influence · `form`: "code" counts log p once for each token of the step ·
    `decay`, `floor`: of the losses · `exponent`: above 0; solutions are to be as frequent as R^exponent · `min_steps`: at
    least 1; a solution of fewer steps is rejected. 2 in the repository, but a policy can then avoid the loss by writing
    solutions of one step, which `flow/solutions` shows · `replay`: how many earlier solutions to add to each batch,
    none by default · `buffer_size`: how many of them wait, 1000 in the repository · `options`: as in `GRPOTrainer`.

    Solutions that had a loss wait in a `ReplayBuffer`, by their mean step score, and are replayed at most once, with the
    log-probabilities of the policy as it is then. They count in the mean like those of the batch; where fewer wait than
    `replay`, all of them are taken. In the repository every solution goes through the buffer, and none is trained on
    when it is sampled. Each process has a buffer of its own, which checkpoints hold beside the random states. An
    evaluation replays nothing.

    No loss, so 0 in the mean, have solutions that abstained or failed, and those with fewer than `min_steps` steps. Of a
    solution that was cut off the last step is left out, since the policy didn't end it. Steps that end at one token are
    one step, of the product of their scores. `Rollout.advantages` hold max(p, floor) at the
    last token of each step, and 0 elsewhere. Logged beside what `GRPOTrainer` logs: `flow/solutions`, the share of the
    batch that has a loss, and with `replay` also `flow/replayed`, how many were replayed beside it. The auxiliary loss of
    a mixture of experts isn't part of it.

    Memory for logits is that of a plain forward pass over prompt and completion, (n, T, V), and form "code" has T² pairs
    a solution.

    Raises `ValueError` for an option out of range or `args` that add a KL or entropy term to the loss; in training for
    dense values of another unit, scores outside [0, 1], tools, or images.

    Adam Younsi et al., "Accurate and Diverse LLM Mathematical Reasoning via Automated PRM-Guided GFlowNets", arXiv
    2504.19981, repository Adam-yni/GFlowNets-FineTuning.
    """

    def __init__(
        self,
        model: Any,
        reward: Reward | Engine,
        args: GRPOConfig,
        *,
        form: Form = "paper",
        decay: float = 1.0,
        floor: float = 1e-6,
        exponent: float = 1.0,
        min_steps: int = 1,
        replay: int = 0,
        buffer_size: int = 1000,
        **options: Any,
    ) -> None:
        check_choice(form, "form", get_args(Form))
        check_count(min_steps, "min_steps")
        check_count(replay, "replay", low=0)
        self.form, self.min_steps, self.replay = form, min_steps, replay
        self.decay = check_number(decay, "decay", high=1.0, above=0.0)
        self.floor = check_number(floor, "floor", low=_LEAST, high=1.0)
        self.exponent = check_number(exponent, "exponent", above=0.0)
        check_arguments(args, _NEEDED)
        if "credit" in options:
            raise TypeError("FlowBalanceTrainer: credit has no place here, the loss reads the step scores")
        super().__init__(model, reward, credit=_StepScores(self.floor), args=args, **options)
        self._buffer = ReplayBuffer[_Row](buffer_size, args.seed + self.accelerator.process_index)

    def _compute_loss(self, model: Any, inputs: Mapping[str, Any]) -> torch.Tensor:
        if given := sorted({"tool_mask", "pixel_values"} & set(inputs)):
            raise ValueError(f"FlowBalanceTrainer: expected text without tools or images, got {given[0]}")
        replaying = self.replay > 0 and self._mode == "train"
        batch = _joined(inputs, self._buffer.draw(self.replay)) if replaying else inputs
        solutions = _Solutions.of(
            batch["advantages"], _cut_off(batch, self._stop_ids()), min_steps=self.min_steps
        )
        loss = self._row_losses(solutions, *self._log_probs(model, batch)).mean()
        own = solutions.first(len(inputs["advantages"]))
        metrics = self._metrics[self._mode]
        share: Any = self.accelerator.gather((own.counts > 0).float())
        metrics["flow/solutions"].append(share.mean().item())
        if replaying:
            added = solutions.counts.new_tensor([len(solutions.counts) - len(own.counts)])
            replayed: Any = self.accelerator.gather(added)
            metrics["flow/replayed"].append(replayed.float().mean().item())
            self._keep(inputs, own)
        return loss / (self.current_gradient_accumulation_steps if self._mode == "train" else 1.0)

    def _keep(self, inputs: Mapping[str, Any], solutions: _Solutions) -> None:
        """Those with a loss, after the last iteration over them: a batch never holds one twice."""
        args: Any = self.args
        passes_left = self.num_iterations - 1 - self._step // args.steps_per_generation % self.num_iterations
        if passes_left:
            return
        for i in solutions.counts.nonzero()[:, 0].tolist():
            row = {name: inputs[name][i][inputs[mask][i].bool()].cpu() for name, mask in _READ.items()}
            self._buffer.add(row, solutions.scores[i, : solutions.counts[i]].mean().item())

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        if self.replay:
            torch.save(self._buffer.state_dict(), self._buffer_file(output_dir))

    def _load_rng_state(self, checkpoint: str | None) -> None:
        super()._load_rng_state(checkpoint)
        if self.replay and checkpoint is not None and self._buffer_file(checkpoint).exists():
            self._buffer.load_state_dict(torch.load(self._buffer_file(checkpoint), weights_only=True))

    def _buffer_file(self, folder: str) -> Path:
        return Path(folder) / f"replay_{self.accelerator.process_index}.pt"

    def _row_losses(
        self, solutions: _Solutions, log_probs: torch.Tensor, log_stop: torch.Tensor
    ) -> torch.Tensor:
        """Loss of each solution (n,), from log-probabilities (n, T) and those of stopping (n, T+1)."""
        scores, ends, counts = solutions
        if self.form == "paper":
            states = torch.nn.functional.pad(ends, (1, 0))
            flows = torch.nn.functional.pad(log_probs.cumsum(1), (1, 0))
            return flow_balance_loss(
                flows.gather(1, states).diff(dim=1),
                self.exponent * log_rewards(scores, self.floor),
                log_stop.gather(1, states),
                self.decay,
                counts,
            )
        place = torch.arange(log_probs.shape[1], device=ends.device).expand(log_probs.shape).contiguous()
        step = torch.searchsorted(ends, place, right=True).clamp(max=ends.shape[1] - 1)
        return token_flow_balance_loss(
            log_probs,
            self.exponent * scores.clamp(min=self.floor).log().gather(1, step),
            log_stop[:, 1:],
            self.decay,
            torch.where(counts > 0, ends.gather(1, (counts - 1).clamp(min=0)[:, None])[:, 0], 0),
        )

    def _log_probs(self, model: Any, inputs: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Of the tokens (n, T), 0 for padding, and of stopping before the first token and after each (n, T+1)."""
        ids, mask = inputs["completion_ids"], inputs["completion_mask"].bool()
        logits = model(
            input_ids=torch.cat([inputs["prompt_ids"], ids], dim=1),
            attention_mask=torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1),
            use_cache=False,
        ).logits
        scores = logits[:, -ids.shape[1] - 1 :].float() / self.temperature
        total = scores.logsumexp(-1)
        tokens = scores[:, :-1].gather(2, ids[:, :, None])[:, :, 0] - total[:, :-1]
        return torch.where(mask, tokens, 0.0), scores[:, :, self._stop_ids()].logsumexp(-1) - total

    def _stop_ids(self) -> list[int]:
        found: Any = self.eos_token_ids
        return list(found)


class _StepScores(StepEstimator):
    """Scores at the last token of each step, above 0 so that they also say where a step ends."""

    def __init__(self, floor: float) -> None:
        self.floor = floor

    def of_steps(
        self, signal: Signal, steps: Steps, groups: NDArray[np.integer[Any]], mask: NDArray[Any]
    ) -> NDArray[np.floating[Any]]:
        if signal.dense is not None and signal.dense.unit != "step":
            raise ValueError(f"reward: expected dense values of unit step, got {signal.dense.unit}")
        if np.any((steps.values < 0) | (steps.values > 1)):
            raise ValueError("reward: expected step scores in [0, 1], got one outside")
        held = steps.ends > 0  # not a step before any token, nor one of a completion that isn't trained on
        at = steps.row[held], steps.ends[held] - 1
        scores, ended = np.ones(mask.shape), np.zeros(mask.shape, dtype=bool)
        np.multiply.at(scores, at, steps.values[held])
        ended[at] = True
        return np.where(ended, np.maximum(scores, self.floor), 0.0).astype(self.dtype)


class _Solutions(NamedTuple):
    """Steps of n solutions, padded to the most of them.

    `scores` (n, K) in (0, 1], 1 for padding · `ends` (n, K): how many tokens there are up to the end of each, T for
    padding · `counts` (n,): steps of each, 0 for a solution without loss.
    """

    scores: torch.Tensor
    ends: torch.Tensor
    counts: torch.Tensor

    @classmethod
    def of(cls, placed: torch.Tensor, cut: torch.Tensor, *, min_steps: int) -> _Solutions:
        """From scores at the last tokens of steps (n, T), and whether a solution was cut off (n,)."""
        ended = placed > 0
        counts = (ended.sum(1) - cut.long()).clamp(min=0)
        most = max(int(counts.max()), 1)
        last = ended.int().argsort(dim=1, descending=True, stable=True)[:, :most]
        exists = torch.arange(most, device=placed.device) < counts[:, None]
        scores = torch.where(exists, placed.gather(1, last), 1.0)
        ends = torch.where(exists, last + 1, placed.shape[1])
        return cls(scores, ends, torch.where(counts >= min_steps, counts, 0))

    def first(self, n: int) -> _Solutions:
        return _Solutions(*(each[:n] for each in self))


def _joined(inputs: Mapping[str, Any], replayed: Sequence[_Row]) -> dict[str, torch.Tensor]:
    """What the loss reads of the batch, with the replayed rows behind its own."""
    return {
        name: pad(
            [*inputs[name], *(row[name].to(inputs[name].device) for row in replayed)],
            padding_side="left" if name.startswith("prompt") else "right",
        )
        for name in _READ
    }


def _cut_off(inputs: Mapping[str, Any], stop_ids: list[int]) -> torch.Tensor:
    """Whether the last token of each completion isn't one that ends it (n,)."""
    last = (inputs["completion_mask"].sum(1, keepdim=True) - 1).clamp(min=0)
    ids = inputs["completion_ids"].gather(1, last)[:, 0]
    return ~torch.isin(ids, torch.tensor(stop_ids, device=ids.device))
