"""TRL's DPO trainer with a regulariser that tells it which tokens of both answers are good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from datasets import Dataset
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DataCollatorForPreference
from trl.trainer.dpo_trainer import DPOTrainer as TRLTrainer
from trl.trainer.utils import pad

from guerdon.core.checks import check_choice, check_number
from guerdon.core.context import EMPTY
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal
from guerdon.models.encoding import ChatEncoder, CompletionTokens
from guerdon.models.margin import implicit_reward_margin, preference_probability
from guerdon.models.source import LogProbReward
from guerdon.models.token_regularisation import Weighting, token_regulariser

_SIDES = ("chosen", "rejected")
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
        for name, needed in _NEEDED.items():
            if getattr(args, name) != needed:
                raise ValueError(f"args.{name}: expected {needed!r}, got {getattr(args, name)!r}")
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
        for side in _SIDES:
            missing = {_ids(side), _rewards(side)} - set(prepared.column_names or ())
            if missing:
                raise ValueError(
                    f"{dataset_name} dataset: no column {min(missing)!r}; add it by with_token_rewards"
                )
        return prepared.map(_aligned, with_indices=True)

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        columns = list(self._signature_columns or ())
        self._signature_columns = [*dict.fromkeys([*columns, *(_placed(side) for side in _SIDES)])]

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


def with_token_rewards(dataset: Dataset, reward: Reward, tokenizer: Any) -> Dataset:
    """The dataset with the token rewards of both answers of every pair.

    Args:
        dataset: with the columns `prompt`, `chosen` and `rejected`, text or messages.
        reward: of dense unit `token`, with a value for every token of the completion, such as
            `models.ContrastiveTokenReward` with the model that training starts from. The answers of all pairs are
            scored in one call.
        tokenizer: that of the model in training. A reward that asks a model must have tokens at the same places, and
            any other one as many.

    Returns:
        With four more columns: `chosen_token_rewards`, `rejected_token_rewards` (T_i,) floats, and `chosen_token_ids`,
        `rejected_token_ids` (T_i,) integers, the tokens they belong to.

    Raises:
        ValueError: on a missing column, and, with the row and the reason, where an answer abstains, fails, can't be
            encoded, or has not one value for each of its tokens.
    """
    missing = {"prompt", *_SIDES} - set(dataset.column_names)
    if missing:
        raise ValueError(
            f"dataset: expected the columns prompt, chosen and rejected, {min(missing)!r} isn't there"
        )
    encode = ChatEncoder(tokenizer)
    rows: Sequence[Any] = list(dataset)
    samples = [Chat(row["prompt"], row[side]) for side in _SIDES for row in rows]
    signal = reward(samples)
    for place, side in enumerate(_SIDES):
        ids, rewards = list[list[int]](), list[list[float]]()
        for i in range(len(rows)):
            at = place * len(rows) + i
            try:
                encoded = encode(samples[at])
                ids.append(encoded.ids[encoded.first :])
                rewards.append(_token_values(signal, at, len(ids[-1])))
                if isinstance(reward, LogProbReward):
                    _check_places(reward.source(EMPTY).completion_tokens(samples[at]), encoded.tokens)
            except ValueError as error:
                raise ValueError(f"row {i}, {side}: {error}") from error
        dataset = dataset.add_column(_ids(side), ids).add_column(_rewards(side), rewards)
    return dataset


def _check_places(theirs: CompletionTokens, own: CompletionTokens) -> None:
    """Equally many tokens of another tokenizer can be others."""
    if not np.array_equal(theirs.spans, own.spans):
        raise ValueError("the reward's model has other tokens than the tokenizer")


def _token_values(signal: Signal, i: int, count: int) -> list[float]:
    if not signal.ok[i]:
        raise ValueError(f"the reward gave no value: {signal.reasons.get(i, 'it abstained')}")
    dense = signal.dense
    if dense is None or dense.unit != "token" or dense.row_spans(i) is not None:
        raise ValueError("expected dense values of unit token, one a token")
    values = dense.row(i)
    if values.size != count:
        raise ValueError(
            f"{values.size} token rewards for {count} tokens; is the tokenizer the reward's own?"
        )
    return values.tolist()


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
            torch.tensor(([0.0] * len(row["prompt_ids"]) + row[_placed(side)])[cut])
            for side in _SIDES
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
    placed = dict[str, list[float]]()
    for side in _SIDES:
        trained, own, rewards = row[f"{side}_ids"], row[_ids(side)], row[_rewards(side)]
        if trained[: len(own)] != own or len(rewards) != len(own):
            raise ValueError(f"row {i}: {_ids(side)} aren't the first tokens that TRL has in {side}_ids")
        if not np.isfinite(rewards).all():
            raise ValueError(f"row {i}: {_rewards(side)}: expected finite numbers")
        placed[_placed(side)] = rewards + [0.0] * (len(trained) - len(own))
    return placed


def _ids(side: str) -> str:
    return f"{side}_token_ids"


def _rewards(side: str) -> str:
    return f"{side}_token_rewards"


def _placed(side: str) -> str:
    return f"{side}_ids_rewards"
