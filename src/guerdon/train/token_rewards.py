"""Token rewards of preference pairs: columns of a dataset, and their place among the tokens that are trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from guerdon.core.context import EMPTY
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal
from guerdon.models.encoding import ChatEncoder, CompletionTokens
from guerdon.models.source import LogProbReward

if TYPE_CHECKING:
    from datasets import Dataset

SIDES = ("chosen", "rejected")


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
    missing = {"prompt", *SIDES} - set(dataset.column_names)
    if missing:
        raise ValueError(
            f"dataset: expected the columns prompt, chosen and rejected, {min(missing)!r} isn't there"
        )
    encode = ChatEncoder(tokenizer)
    rows: Sequence[Any] = list(dataset)
    samples = [Chat(row["prompt"], row[side]) for side in SIDES for row in rows]
    signal = reward(samples)
    for place, side in enumerate(SIDES):
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


def check_token_rewards(dataset: Any, name: str) -> None:
    """Raise `ValueError` where the dataset lacks a column of `with_token_rewards`."""
    for side in SIDES:
        missing = {_ids(side), _rewards(side)} - set(dataset.column_names or ())
        if missing:
            raise ValueError(f"{name} dataset: no column {min(missing)!r}; add it by with_token_rewards")


def placed_rewards(
    row: Mapping[str, Any], i: int, side: str, trained: Sequence[int], *, cut: bool = False
) -> list[float]:
    """A reward for each of the tokens `trained` of an answer, 0 for those behind the ones that have a reward.

    `cut`: the answer was cut off after `trained`. Raises `ValueError`, with the row `i`, where the tokens aren't those
    that the rewards belong to, or a reward isn't finite.
    """
    own, rewards = row[_ids(side)], row[_rewards(side)]
    if len(rewards) != len(own) or list(trained[: len(own)]) != own[: len(trained) if cut else None]:
        raise ValueError(f"row {i}: {_ids(side)} aren't the first tokens that TRL has of {side}")
    if not np.isfinite(rewards).all():
        raise ValueError(f"row {i}: {_rewards(side)}: expected finite numbers")
    return [*rewards, *[0.0] * (len(trained) - len(own))][: len(trained)]


def placed_column(side: str) -> str:
    """Where the rewards of the tokens in training stand."""
    return f"{side}_ids_rewards"


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


def _ids(side: str) -> str:
    return f"{side}_token_ids"


def _rewards(side: str) -> str:
    return f"{side}_token_rewards"
