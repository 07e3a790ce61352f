"""DPO with token rewards, by TRL's trainer on a tiny model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import guerdon
from guerdon import Chat, Score
from guerdon.core.signal import Failure
from guerdon.models import ContrastiveTokenReward
from guerdon.models.encoding import ChatEncoder
from guerdon.models.log_probs import CausalLogProbs
from guerdon.models.token_regularisation import token_regularised_dpo
from tests.lab.policies import raw_policy
from tests.train.preference_pairs import (
    ROWS,
    check_that_rewarded_tokens_become_likelier,
    contrasted_pairs,
    losses,
    start_tokenizer,
)
from tests.train.quiet_arguments import QUIET

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
datasets = pytest.importorskip("datasets")
trl = pytest.importorskip("trl")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return start_tokenizer()


@pytest.fixture(scope="module")
def pairs(tokenizer: Any) -> Any:
    return contrasted_pairs(tokenizer)


def config(folder: Path, **options: Any) -> Any:
    return trl.DPOConfig(
        **{
            "output_dir": str(folder),
            "max_steps": 2,
            "per_device_train_batch_size": 4,
            "learning_rate": 1e-2,
            "lr_scheduler_type": "constant",
            "beta": 0.3,
            **QUIET,
            "gradient_checkpointing": False,
            "precompute_ref_log_probs": True,
            **options,
        }
    )


def trainer_of(
    pairs: Any, folder: Path, *, alpha: float = 0.5, weighting: Any = "dynamic", **options: Any
) -> Any:
    from guerdon.train.token_regularised_dpo import TokenRegularisedDPOTrainer

    return TokenRegularisedDPOTrainer(
        str(raw_policy()),
        config(folder, **options),
        alpha=alpha,
        weighting=weighting,
        train_dataset=pairs,
        eval_dataset=pairs,
    )


def one_batch(trainer: Any) -> dict[str, Any]:
    return next(iter(trainer.get_eval_dataloader()))


def expected(trainer: Any, pairs: Any, weighting: Any) -> float:
    """The loss by plain forward passes over each answer alone, token by token."""
    reference = transformers.AutoModelForCausalLM.from_pretrained(raw_policy()).eval()
    encode = ChatEncoder(trainer.processing_class)
    arrays: dict[str, list[Any]] = {"chosen": [], "rejected": []}
    for side, rows in arrays.items():
        for row in pairs:
            encoded = encode(Chat(row["prompt"], row[side]))
            whole = trainer.processing_class.apply_chat_template(
                [*row["prompt"], *row[side]], return_dict=True
            )["input_ids"]
            ids, first = torch.tensor(whole), encoded.first
            taken = []
            for model in (trainer.model, reference):
                with torch.no_grad():
                    scores = model(ids[None]).logits[0, first - 1 : -1].log_softmax(-1)
                taken.append(scores.gather(-1, ids[first:, None])[:, 0].double().numpy())
            rewards = np.zeros(len(ids) - first)
            rewards[: len(row[f"{side}_token_rewards"])] = row[f"{side}_token_rewards"]
            rows.append((*taken, rewards))
    total = 0.0
    for chosen, rejected in zip(*arrays.values(), strict=True):
        found = token_regularised_dpo(
            chosen[0][None], rejected[0][None], chosen[1][None], rejected[1][None], chosen[2][None],
            rejected[2][None], beta=0.3, alpha=0.5, weighting=weighting,
        )  # fmt: skip
        total += float(found.total[0])
    return total / len(pairs)


def test_columns_hold_one_reward_for_each_token_of_either_answer(pairs: Any, tokenizer: Any) -> None:
    for row in pairs:
        for side in ("chosen", "rejected"):
            text = tokenizer.decode(row[f"{side}_token_ids"])
            assert text == row[side][0]["content"] + tokenizer.eos_token
            rewards = np.array(row[f"{side}_token_rewards"])
            assert rewards.shape == (len(row[f"{side}_token_ids"]),)
            assert (np.abs(rewards) <= 0.5).all()
            assert rewards.any()


def test_without_the_regulariser_it_is_dpo(pairs: Any, tmp_path: Path) -> None:
    own = trainer_of(pairs, tmp_path / "own", alpha=0.0)
    own.train()
    plain = trl.DPOTrainer(
        str(raw_policy()), args=config(tmp_path / "plain"), train_dataset=datasets.Dataset.from_list(ROWS)
    )
    plain.train()
    assert losses(own) == pytest.approx(losses(plain), abs=1e-6)
    assert losses(own)[1] != losses(own)[0]


@pytest.mark.parametrize("weighting", ["dynamic", "static"])
def test_the_loss_is_that_of_its_definition(pairs: Any, tmp_path: Path, weighting: Any) -> None:
    trainer = trainer_of(pairs, tmp_path, weighting=weighting)
    before = float(trainer.evaluate()["eval_loss"])
    assert before == pytest.approx(expected(trainer, pairs, weighting), abs=1e-4)
    trainer.train()
    assert float(trainer.evaluate()["eval_loss"]) == pytest.approx(
        expected(trainer, pairs, weighting), abs=1e-4
    )


def test_at_the_start_the_weight_is_a_half_and_the_preference_loss_log_two(
    pairs: Any, tmp_path: Path
) -> None:
    trainer = trainer_of(pairs, tmp_path)
    found = trainer.evaluate()
    assert found["eval_regulariser/weight"] == pytest.approx(0.5, abs=1e-6)
    regulariser = found["eval_regulariser/chosen"] + found["eval_regulariser/rejected"]
    assert found["eval_loss"] == pytest.approx(math.log(2) + 0.5 * 0.5 * regulariser, abs=1e-5)


def test_tokens_of_positive_reward_become_likelier(tokenizer: Any, tmp_path: Path) -> None:
    check_that_rewarded_tokens_become_likelier(trainer_of, tokenizer, tmp_path)


@pytest.mark.parametrize("mode", ["keep_start", "keep_end"])
def test_truncation_cuts_tokens_and_rewards_alike(pairs: Any, tmp_path: Path, mode: str) -> None:
    full = one_batch(trainer_of(pairs, tmp_path / "full"))
    cut = one_batch(trainer_of(pairs, tmp_path / "cut", max_length=20, truncation_mode=mode))
    assert cut["token_rewards"].shape == cut["input_ids"].shape == (8, 20)
    for row in range(8):
        length = int(full["attention_mask"][row].sum())
        part = slice(min(20, length)) if mode == "keep_start" else slice(max(0, length - 20), length)
        kept = int(cut["attention_mask"][row].sum())
        assert torch.equal(cut["input_ids"][row, :kept], full["input_ids"][row, part])
        assert torch.equal(cut["token_rewards"][row, :kept], full["token_rewards"][row, part])
        assert not cut["token_rewards"][row, kept:].any()


def test_rewards_of_other_tokens_are_refused(pairs: Any, tmp_path: Path) -> None:
    shifted = pairs.map(lambda row: {"rejected_token_ids": [*row["rejected_token_ids"][1:], 1]})
    with pytest.raises(ValueError, match="row 0: rejected_token_ids"):
        trainer_of(shifted, tmp_path)
    short = pairs.map(lambda row: {"chosen_token_rewards": row["chosen_token_rewards"][1:]})
    with pytest.raises(ValueError, match="row 0: chosen_token_ids"):
        trainer_of(short, tmp_path)
    broken = pairs.map(lambda row: {"chosen_token_rewards": [math.nan] * len(row["chosen_token_rewards"])})
    with pytest.raises(ValueError, match="chosen_token_rewards: expected finite"):
        trainer_of(broken, tmp_path)
    with pytest.raises(ValueError, match="chosen_token_ids"):
        trainer_of(pairs.remove_columns("chosen_token_ids"), tmp_path)


def test_answers_without_token_rewards_are_named(tokenizer: Any) -> None:
    from guerdon.train.token_rewards import with_token_rewards

    pairs = datasets.Dataset.from_list(ROWS)

    def adding(value: Any) -> None:
        @guerdon.reward
        def given(sample: Chat) -> Any:
            return value if "It is 2" in sample.text else Score(
                0.0, dense=np.zeros(len(ChatEncoder(tokenizer)(sample).tokens.written)), unit="token"
            )  # fmt: skip

        with_token_rewards(pairs, given, tokenizer)

    with pytest.raises(ValueError, match="row 2, rejected: the reward gave no value: too long"):
        adding(Failure("too long"))
    with pytest.raises(ValueError, match="row 2, rejected: the reward gave no value: it abstained"):
        adding(None)
    with pytest.raises(ValueError, match="row 2, rejected: 3 token rewards for"):
        adding(Score(0.0, dense=[0.1, 0.2, 0.3], unit="token"))
    with pytest.raises(ValueError, match="'chosen' isn't there"):
        with_token_rewards(pairs.remove_columns("chosen"), ContrastiveTokenReward("none"), tokenizer)


def test_as_many_tokens_at_other_places_are_refused(tokenizer: Any) -> None:
    from guerdon.train.token_rewards import with_token_rewards

    class Elsewhere(CausalLogProbs):
        def completion_tokens(self, sample: Chat) -> Any:
            tokens = super().completion_tokens(sample)
            return tokens._replace(spans=tokens.spans + 1)

    source = Elsewhere(transformers.AutoModelForCausalLM.from_pretrained(raw_policy()), tokenizer)
    with pytest.raises(ValueError, match="row 0, chosen: the reward's model has other tokens"):
        with_token_rewards(datasets.Dataset.from_list(ROWS), ContrastiveTokenReward(source), tokenizer)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"alpha": -1.0}, "alpha"),
        ({"weighting": "fixed"}, "weighting"),
        ({"loss_type": ["ipo"]}, "args.loss_type"),
        ({"precompute_ref_log_probs": False}, "args.precompute_ref_log_probs"),
        ({"ld_alpha": 0.5}, "args.ld_alpha"),
    ],
)
def test_options_out_of_range(pairs: Any, tmp_path: Path, options: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        trainer_of(pairs, tmp_path, **options)
