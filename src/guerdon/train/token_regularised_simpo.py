"""TRL's SimPO trainer with a regulariser that tells it which tokens of both answers are good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.trainer.utils import pad, selective_log_softmax

from guerdon.core.checks import check_choice, check_number
from guerdon.models.token_regularisation import Weighting, token_regularised_simpo
from guerdon.train.arguments import check_arguments
from guerdon.train.token_rewards import SIDES, check_token_rewards, placed_column, placed_rewards

_UNTRAINED = -100
_NEEDED: Mapping[str, Any] = {"loss_type": "simpo", "cpo_alpha": 0.0, "label_smoothing": 0.0, "alpha": 0.0}


class TokenRegularisedSimPOTrainer(CPOTrainer):
    """`trl.experimental.cpo.CPOTrainer` with SimPO, whose loss also pulls the policy's token rewards towards given ones.

        loss = mean(−log σ(m) + alpha · w · (L(y_c) + L(y_r))),    L(y) = −(beta / |y|) · Σ_t r̂_t · log π(y_t | x, y_<t)
        m    = r(y_c) − r(y_r) − gamma,    r(y) = (beta / |y|) · log π(y | x),    w = σ(−m) without gradient, or 1 (`static`)

    There is no reference model. The first term is TRL's, and with `alpha` 0 the loss is TRL's to the last bit. |y| counts
    the tokens of the answer that TRL trains on. `options` are the keyword arguments of its trainer, with the datasets.

    The datasets have the columns that `with_token_rewards` adds, once and before training: the token rewards r̂ of both
    answers, and the tokens that they belong to. These must be the first tokens of the answer as TRL encodes it. What TRL
    puts behind them has r̂ = 0. Truncation to `args.max_length` cuts tokens and rewards alike.

    `args`: a `CPOConfig` of `loss_type="simpo"` and `cpo_alpha=0.0`; `beta` and `simpo_gamma` are its own · `alpha`: ≥ 0;
    of 0.1, 0.25 and 0.5 in T-REG. It isn't `args.alpha`, which belongs to AlphaPO · `weighting`: what w is.

    Logged beside TRL's metrics: `regulariser/chosen`, `regulariser/rejected` and `regulariser/weight`, means over
    pairs.

    Raises `ValueError` for options of `args` that change the preference loss, an own collator, a model with an encoder,
    `alpha` or `weighting` out of range, a dataset without the columns, token rewards that aren't finite, an answer of
    which truncation leaves nothing, and where the tokens of an answer aren't those that its rewards belong to.

    Yu Meng, Mengzhou Xia, Danqi Chen, "SimPO: Simple Preference Optimization with a Reference-Free Reward", arXiv
    2405.14734. Wenxuan Zhou et al., "T-REG: Preference Optimization with Token-Level Reward Regularization", arXiv
    2412.02685.
    """

    def __init__(
        self,
        model: Any,
        args: CPOConfig,
        *,
        alpha: float = 0.25,
        weighting: Weighting = "dynamic",
        **options: Any,
    ) -> None:
        self.regulariser_alpha = check_number(alpha, "alpha", low=0.0)
        check_choice(weighting, "weighting", get_args(Weighting))
        self.weighting: Weighting = weighting
        check_arguments(args, _NEEDED)
        if options.get("data_collator") is not None:
            raise ValueError("data_collator: expected none, TRL's own carries the token rewards")
        super().__init__(model=model, args=args, **options)
        if self.is_encoder_decoder:
            raise ValueError("model: expected one without an encoder")
        self.train_dataset = self._with_placed_rewards(self.train_dataset, "train")
        if self.eval_dataset is not None:
            self.eval_dataset = self._with_placed_rewards(self.eval_dataset, "eval")

    def _with_placed_rewards(self, dataset: Any, name: str) -> Any:
        check_token_rewards(dataset, name)
        return dataset.map(_aligned, with_indices=True, fn_kwargs={"max_length": self.max_length})

    def get_batch_logps(  # pyright: ignore[reportIncompatibleMethodOverride]  TRL calls it on self
        self, logits: Any, labels: Any, average_log_prob: bool = False, is_encoder_decoder: bool = False
    ) -> Any:
        """As TRL's, of SimPO; the log-probabilities of the tokens are kept for the regulariser."""
        if logits.shape[:-1] != labels.shape:
            raise ValueError(f"logits: expected shape {tuple(labels.shape)} of tokens, got {logits.shape}")
        mask = labels[:, 1:] != _UNTRAINED
        log_probs = selective_log_softmax(logits[:, :-1], torch.where(mask, labels[:, 1:], 0))
        self._tokens = log_probs, mask
        return (log_probs * mask).sum(-1) / mask.sum(-1)

    def get_batch_loss_metrics(
        self, model: Any, batch: dict[str, Any], train_eval: Literal["train", "eval"] = "train"
    ) -> tuple[Any, dict[str, float]]:
        """TRL's loss and metrics, and those of the regulariser."""
        loss, metrics = super().get_batch_loss_metrics(model, batch, train_eval)
        log_probs, mask = self._tokens
        del self._tokens  # it holds the graph
        rows = [torch.tensor(row) for side in SIDES for row in batch[placed_column(side)]]
        rewards = pad(rows)[:, 1:].to(log_probs.device)
        chosen, rejected = zip(*(each.chunk(2) for each in (log_probs.float(), rewards, mask)), strict=True)
        found = token_regularised_simpo(
            *(side[i] for i in (0, 1) for side in (chosen, rejected)),
            beta=self.beta,
            gamma=self.simpo_gamma,
            mask_chosen=chosen[2],
            mask_rejected=rejected[2],
            weighting=self.weighting,
        )
        prefix = "eval_" if train_eval == "eval" else ""
        for name in ("chosen", "rejected", "weight"):
            gathered: Any = self.accelerator.gather_for_metrics(getattr(found, name).detach())
            metrics[f"{prefix}regulariser/{name}"] = gathered.mean().item()
        if self.regulariser_alpha:
            weighted = found.weight * (found.chosen + found.rejected)
            loss = loss + self.regulariser_alpha * weighted.mean()
        return loss, metrics


def _aligned(row: Mapping[str, Any], i: int, max_length: int) -> dict[str, list[float]]:
    """Of every token of prompt and answer, its reward; 0 in the prompt."""
    placed = dict[str, list[float]]()
    for side in SIDES:
        labels = row[f"{side}_labels"]
        first = labels.count(_UNTRAINED)
        if first == len(labels):
            raise ValueError(f"row {i}: args.max_length of {max_length} leaves no token of {side}")
        cut = len(labels) >= max_length
        placed[placed_column(side)] = [
            *[0.0] * first,
            *placed_rewards(row, i, side, labels[first:], cut=cut),
        ]
    return placed
