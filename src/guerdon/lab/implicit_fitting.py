"""Implicit process reward models of tiny language models: fitted to outcomes or to pairs, in a short seeded loop."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from guerdon.core.extras import need
from guerdon.core.samples import Chat
from guerdon.models.completion_log_probs import TokenRow, completion_log_probs
from guerdon.models.encoding import ChatEncoder
from guerdon.models.implicit_loss import dpo_loss, outcome_cross_entropy

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitting:
    """How long and how fast to fit.

    `beta`: of the implicit reward · `learning_rate`: of AdamW without weight decay, falling linearly to 0 ·
    `batch_size`: responses or pairs a step · `epochs`.
    """

    beta: float = 0.5
    learning_rate: float = 1e-3
    batch_size: int = 32
    epochs: int = 1

    def __post_init__(self) -> None:
        for name in ("beta", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"Fitting.{name}: expected above 0, got {getattr(self, name)}")
        for name in ("batch_size", "epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"Fitting.{name}: expected at least 1, got {getattr(self, name)}")


def fitted_to_likelihood(
    model: Any, tokenizer: Any, samples: Sequence[Chat], fitting: Fitting, *, seed: int = 0
) -> Any:
    """A copy of `model` fine-tuned on completions as they are: `loss = −mean log π(y_t | x, y_<t)` over their tokens.

    `fitting.beta` has no part in it. The rest is as in `fitted_to_outcomes`.
    """
    encode = ChatEncoder(tokenizer)
    rows = [TokenRow.of(sample, encode) for sample in samples]

    def loss(policy: Any, batch: Sequence[int]) -> Tensor:
        values, written = completion_log_probs(policy, [rows[i] for i in batch])
        return -(values * written).sum() / written.sum()

    return _fitted(model, len(rows), loss, fitting, seed)


def fitted_to_outcomes(
    model: Any,
    tokenizer: Any,
    samples: Sequence[Chat],
    labels: Sequence[float],
    fitting: Fitting,
    *,
    seed: int = 0,
) -> Any:
    """A copy of `model`, the reference, whose implicit reward is fitted to outcomes by cross-entropy.

    `labels` (n,) in [0, 1], one a sample. Equal arguments give equal weights on one machine. Needs `guerdon[train]`.

    Raises `ValueError` without samples, or where there are not as many labels.
    """
    torch = need("torch", "train")
    if len(labels) != len(samples):
        raise ValueError(f"labels: expected {len(samples)}, one a sample; got {len(labels)}")
    encode = ChatEncoder(tokenizer)
    rows = [TokenRow.of(sample, encode) for sample in samples]
    start, outcomes = _sums_without_gradient(model, rows), torch.tensor(labels, dtype=torch.float32)

    def loss(policy: Any, batch: Sequence[int]) -> Tensor:
        ratios = _sums(policy, [rows[i] for i in batch]) - start[batch]
        return outcome_cross_entropy(fitting.beta * ratios, outcomes[batch])

    return _fitted(model, len(rows), loss, fitting, seed)


def fitted_to_pairs(
    model: Any,
    tokenizer: Any,
    pairs: Sequence[tuple[Chat, Chat]],
    fitting: Fitting,
    *,
    seed: int = 0,
) -> Any:
    """A copy of `model`, the reference, whose implicit reward is fitted to (chosen, rejected) pairs by DPO.

    The rest is as in `fitted_to_outcomes`; raises `ValueError` without pairs.
    """
    encode = ChatEncoder(tokenizer)
    chosen, rejected = ([TokenRow.of(pair[side], encode) for pair in pairs] for side in (0, 1))
    start = [_sums_without_gradient(model, rows) for rows in (chosen, rejected)]

    def loss(policy: Any, batch: Sequence[int]) -> Tensor:
        sums = _sums(policy, [rows[i] for rows in (chosen, rejected) for i in batch])
        return dpo_loss(
            sums[: len(batch)], sums[len(batch) :], start[0][batch], start[1][batch], fitting.beta
        )

    return _fitted(model, len(pairs), loss, fitting, seed)


def _fitted(
    model: Any, size: int, loss: Callable[[Any, Sequence[int]], Tensor], fitting: Fitting, seed: int
) -> Any:
    torch = need("torch", "train")
    if not size:
        raise ValueError("expected at least one sample or pair to fit to, got none")
    policy, rng = copy.deepcopy(model), np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(size) for _ in range(fitting.epochs)])
    batches = [order[i : i + fitting.batch_size].tolist() for i in range(0, order.size, fitting.batch_size)]
    optimizer = torch.optim.AdamW(policy.parameters(), lr=fitting.learning_rate, weight_decay=0.0)
    for step, batch in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = fitting.learning_rate * (1 - step / len(batches))
        optimizer.zero_grad()
        loss(policy, batch).backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()
    return policy


def _sums(model: Any, rows: Sequence[TokenRow]) -> Tensor:
    values, written = completion_log_probs(model, rows)
    return (values * written).sum(dim=1)


def _sums_without_gradient(model: Any, rows: Sequence[TokenRow], batch_size: int = 256) -> Tensor:
    torch = need("torch", "train")
    if not rows:
        return torch.zeros(0)
    with torch.no_grad():
        return torch.cat([_sums(model, rows[i : i + batch_size]) for i in range(0, len(rows), batch_size)])
