"""TRL's DPO trainer with a regulariser that tells it which tokens of both answers are good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import torch
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DataCollatorForPreference
from trl.trainer.dpo_trainer import DPOTrainer as TRLTrainer
from trl.trainer.utils import pad

from guerdon.core.checks import check_choice, check_number
from guerdon.models.margin import implicit_reward_margin, preference_probability
from guerdon.models.token_regularisation import Weighting, token_regulariser
from guerdon.train.arguments import check_arguments
from guerdon.train.token_rewards import SIDES, check_token_rewards, placed_column, placed_rewards

_NEEDED: Mapping[str, Any] = {
    "loss_type": ["sigmoid"],
    "loss_weights": None,
    "f_divergence_type": "reverse_kl",
    "ld_alpha": None,
    "use_weighting": False,
    "precompute_ref_log_probs": True,
}


class TokenRegularisedDPOTrainer(TRLTrainer):
    """`trl.DPOTrainer` whose loss also pulls the policy's token rewards towards given ones.

        loss = mean(−log σ(m) + alpha · w · (L(y_c) + L(y_r))),    L(y) = −Σ_t beta · r̂_t · log π(y_t | x, y_<t)
        m    = beta · (log π(y_c)/π_ref(y_c) − log π(y_r)/π_ref(y_r)),    w = σ(−m) without gradient, or 1 (`static`)

    The first term is TRL's, and with `alpha` 0 the loss is TRL's to the last bit. `options` are the keyword arguments
    of its trainer.

    The datasets have the columns that `with_token_rewards` adds, once and before training: the token rewards r̂ of both
    answers, and the tokens that they belong to. These must be the first tokens of the answer as TRL encodes it. What
    the chat template puts behind them, such as a line break after the end of the turn, has r̂ = 0. Truncation to
    `max_length` cuts tokens and rewards alike.

    `args`: a `DPOConfig` of `loss_type="sigmoid"` with `precompute_ref_log_probs=True`, because w needs the reference
    log-probabilities of every pair; `beta` is its own · `alpha`: ≥ 0; of 0.1, 0.25 and 0.5 in the paper · `weighting`:
    what w is. r̂ = 1 for the chosen answer, 0 for the other and a static weight make it the likelihood loss beside DPO.

    Logged beside TRL's metrics: `regulariser/chosen`, `regulariser/rejected` and `regulariser/weight`, means over
    pairs.

    Raises `ValueError` for options of `args` that change the preference loss, an own collator, a dataset with images,
    `alpha` or `weighting` out of range, a dataset without the columns, token rewards that aren't finite, and where the
    tokens of an answer aren't those that its rewards belong to. With images, TRL has another way to encode.

    Wenxuan Zhou et al., "T-REG: Preference Optimization with Token-Level Reward Regularization", arXiv 2412.02685.
    """

    def __init__(
        self,
        model: Any,
        args: DPOConfig,
        *,
        alpha: float = 0.25,
        weighting: Weighting = "dynamic",
        **options: Any,
    ) -> None:
        self.alpha = check_number(alpha, "alpha", low=0.0)
        check_choice(weighting, "weighting", get_args(Weighting))
        self.weighting = weighting
        check_arguments(args, _NEEDED)
        super().__init__(model=model, args=args, **options)
        collator: Any = self.data_collator
        if type(collator) is not DataCollatorForPreference:
            raise ValueError(
                f"data_collator: expected TRL's for pairs of texts, got {type(collator).__name__}"
            )
        self.data_collator = _TokenRewardCollator(**vars(collator))

    def _prepare_dataset(
        self, dataset: Any, processing_class: Any, args: DPOConfig, dataset_name: str
    ) -> Any:
        prepared = super()._prepare_dataset(dataset, processing_class, args, dataset_name)
        check_token_rewards(prepared, dataset_name)
        return prepared.map(_aligned, with_indices=True)

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        columns = list(self._signature_columns or ())
        self._signature_columns = [*dict.fromkeys([*columns, *(placed_column(side) for side in SIDES)])]

    def compute_ref_log_probs(self, model: Any, inputs: Mapping[str, Any]) -> Any:
        # TRL hands to the model whatever it doesn't know by name.
        return super().compute_ref_log_probs(model, {k: v for k, v in inputs.items() if k != "token_rewards"})

    def _compute_loss(self, model: Any, inputs: Mapping[str, Any], return_outputs: bool) -> Any:
        plain = {name: value for name, value in inputs.items() if name != "token_rewards"}
        recorded = _Recorded(model)
        result = super()._compute_loss(recorded, plain, return_outputs)
        if self.alpha == 0:
            return result
        loss, *outputs = result if return_outputs else (result,)
        loss = loss + self.alpha * self._regulariser(recorded.log_probs, inputs)
        return (loss, *outputs) if return_outputs else loss

    def _regulariser(self, log_probs: torch.Tensor, inputs: Mapping[str, Any]) -> torch.Tensor:
        mask, rewards = inputs["completion_mask"][:, 1:].bool(), inputs["token_rewards"][:, 1:]
        log_probs = log_probs[:, -mask.shape[1] :]  # a prompt-tuned model has virtual tokens before
        policy_chosen, policy_rejected = torch.where(mask, log_probs.detach(), 0.0).sum(dim=1).chunk(2)
        margin = implicit_reward_margin(
            policy_chosen,
            policy_rejected,
            inputs["ref_chosen_logps"],
            inputs["ref_rejected_logps"],
            self.beta,
        )
        weight = torch.ones_like(margin) if self.weighting == "static" else preference_probability(-margin)
        chosen, rejected = token_regulariser(log_probs, rewards, self.beta, mask=mask).chunk(2)
        model: Any = self.model
        metrics = self._metrics["train" if model.training else "eval"]
        for name, values in {"chosen": chosen, "rejected": rejected, "weight": weight}.items():
            gathered: Any = self.accelerator.gather(values.detach())
            metrics[f"regulariser/{name}"].append(gathered.mean().item())
        return (weight * (chosen + rejected)).mean()


@dataclass
class _TokenRewardCollator(DataCollatorForPreference):
    """TRL's, and `token_rewards` (2n, T) float32 beside its `input_ids`, 0 for prompts and padding."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch = super().torch_call(examples)
        cut = slice(None)
        if self.max_length is not None:
            keep_start = self.truncation_mode == "keep_start"
            cut = slice(None, self.max_length) if keep_start else slice(-self.max_length, None)
        rows = [
            torch.tensor(([0.0] * len(row["prompt_ids"]) + row[placed_column(side)])[cut])
            for side in SIDES
            for row in examples
        ]
        batch["token_rewards"] = pad(
            rows, padding_value=0, padding_side="right", pad_to_multiple_of=self.pad_to_multiple_of
        )
        return batch


class _Recorded:
    """A model that keeps the log-probabilities of its first call, with their gradient."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.log_probs: Any = None

    def __call__(self, **inputs: Any) -> Any:
        outputs = self._model(**inputs)
        if self.log_probs is None:
            self.log_probs = outputs.log_probs
        return outputs


def _aligned(row: Mapping[str, Any], i: int) -> dict[str, list[float]]:
    """Of every token that TRL trains on, its reward."""
    return {placed_column(side): placed_rewards(row, i, side, row[f"{side}_ids"]) for side in SIDES}
