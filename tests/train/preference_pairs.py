"""Preference pairs with token rewards, for the trainers that take them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import guerdon
from guerdon import Chat, Score
from guerdon.models import ContrastiveTokenReward
from guerdon.models.encoding import ChatEncoder
from guerdon.models.log_probs import CausalLogProbs
from tests.lab.policies import raw_policy

transformers = pytest.importorskip("transformers")
datasets = pytest.importorskip("datasets")


def said(role: str, text: str) -> list[dict[str, str]]:
    return [{"role": role, "content": text}]


ROWS = [
    {
        "prompt": said("user", f"What is {i}+7?"),
        "chosen": said("assistant", f"The answer is {i + 7}."),
        "rejected": said("assistant", f"It is {i}, no?" + " Or more." * i),
    }
    for i in range(4)
]


def start() -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(raw_policy())


def start_tokenizer() -> Any:
    return transformers.AutoTokenizer.from_pretrained(raw_policy())


def contrasted_pairs(tokenizer: Any) -> Any:
    """With the contrastive rewards of the start model."""
    from guerdon.train.token_rewards import with_token_rewards

    reward = ContrastiveTokenReward(CausalLogProbs(start(), tokenizer))
    return with_token_rewards(datasets.Dataset.from_list(ROWS), reward, tokenizer)


def losses(trainer: Any) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def check_that_rewarded_tokens_become_likelier(
    trainer_of: Callable[..., Any], tokenizer: Any, folder: Path
) -> None:
    """Both answers are the same, so that the preference loss alone has no gradient, and digits are bad in them."""
    from guerdon.train.token_rewards import with_token_rewards

    @guerdon.reward
    def digits_are_bad(sample: Chat) -> Score:
        tokens = ChatEncoder(tokenizer)(sample).tokens
        bad = [sample.text[start:end].strip().isdigit() for start, end in tokens.spans]
        return Score(0.0, dense=np.where(bad, -0.5, 0.5), unit="token")

    same = [{**row, "rejected": row["chosen"]} for row in ROWS]
    pairs = with_token_rewards(datasets.Dataset.from_list(same), digits_are_bad, tokenizer)
    trainer = trainer_of(pairs, folder, learning_rate=1e-3)
    digits = [np.array(row["chosen_token_rewards"]) < 0 for row in pairs]

    def means() -> tuple[float, float]:
        found = CausalLogProbs(trainer.model, tokenizer).log_probs(
            [Chat(r["prompt"], r["chosen"]) for r in same]
        )
        flat, bad = np.concatenate(found), np.concatenate(digits)
        return flat[bad].mean(), flat[~bad].mean()

    before = means()
    trainer.train()
    after = means()
    assert after[0] - before[0] < after[1] - before[1]
    assert after[1] > before[1]
