"""SimPO with token rewards, by TRL's trainer on a tiny model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from guerdon.models.token_regularisation import token_regularised_simpo
from tests.lab.policies import raw_policy
from tests.train.preference_pairs import (
    ROWS,
    check_that_rewarded_tokens_become_likelier,
    contrasted_pairs,
    losses,
    start,
    start_tokenizer,
)
from tests.train.quiet_arguments import QUIET

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
datasets = pytest.importorskip("datasets")
cpo = pytest.importorskip("trl.experimental.cpo")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return start_tokenizer()


@pytest.fixture(scope="module")
def pairs(tokenizer: Any) -> Any:
    return contrasted_pairs(tokenizer)


def config(folder: Path, **options: Any) -> Any:
    return cpo.CPOConfig(
        **{
            "output_dir": str(folder),
            "max_steps": 2,
            "per_device_train_batch_size": 4,
            "learning_rate": 1e-2,
            "lr_scheduler_type": "constant",
            "loss_type": "simpo",
            "cpo_alpha": 0.0,
            "beta": 2.5,
            "simpo_gamma": 0.6,
            "max_length": 128,
            **QUIET,
            "gradient_checkpointing": False,
            "remove_unused_columns": False,
            **options,
        }
    )


def trainer_of(
    pairs: Any,
    folder: Path,
    *,
    alpha: float = 0.5,
    weighting: Any = "dynamic",
    collator: Any = None,
    **options: Any,
) -> Any:
    from guerdon.train.token_regularised_simpo import TokenRegularisedSimPOTrainer

    return TokenRegularisedSimPOTrainer(
        start(),
        config(folder, **options),
        alpha=alpha,
        weighting=weighting,
        data_collator=collator,
        train_dataset=pairs,
        eval_dataset=pairs,
        processing_class=transformers.AutoTokenizer.from_pretrained(raw_policy()),
    )


def expected(trainer: Any, pairs: Any, weighting: Any) -> float:
    """The loss by a plain forward pass over each answer alone, of the tokens that the trainer is given."""
    prepared, total = trainer.eval_dataset, 0.0
    for row, raw in zip(prepared, pairs, strict=True):
        arrays, rewards = list[Any](), list[Any]()
        for side in ("chosen", "rejected"):
            first = row[f"{side}_labels"].count(-100)
            ids = torch.tensor(row[f"{side}_input_ids"])
            with torch.no_grad():
                scores = trainer.model(ids[None]).logits[0, first - 1 : -1].log_softmax(-1)
            arrays.append(scores.gather(-1, ids[first:, None])[:, 0].double().numpy()[None])
            rewards.append(np.zeros_like(arrays[-1]))
            given = raw[f"{side}_token_rewards"]
            rewards[-1][0, : len(given)] = given
        total += float(
            token_regularised_simpo(
                *arrays, *rewards, beta=2.5, gamma=0.6, alpha=0.5, weighting=weighting
            ).total[0]
        )
    return total / len(pairs)


def test_without_the_regulariser_it_is_simpo(pairs: Any, tokenizer: Any, tmp_path: Path) -> None:
    own = trainer_of(pairs, tmp_path / "own", alpha=0.0)
    own.train()
    plain = cpo.CPOTrainer(
        start(),
        config(tmp_path / "plain"),
        train_dataset=datasets.Dataset.from_list(ROWS),
        processing_class=tokenizer,
    )
    plain.train()
    assert losses(own) == losses(plain)
    assert losses(own)[1] != losses(own)[0]
    for one, other in zip(own.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("weighting", ["dynamic", "static"])
def test_the_loss_is_that_of_its_definition(pairs: Any, tmp_path: Path, weighting: Any) -> None:
    trainer = trainer_of(pairs, tmp_path, weighting=weighting)
    before = float(trainer.evaluate()["eval_loss"])
    assert before == pytest.approx(expected(trainer, pairs, weighting), abs=1e-4)
    trainer.train()
    found = trainer.evaluate()
    assert float(found["eval_loss"]) == pytest.approx(expected(trainer, pairs, weighting), abs=1e-4)
    assert float(found["eval_loss"]) != pytest.approx(before, abs=1e-2)
    assert (found["eval_regulariser/weight"] == 1) == (weighting == "static")
    assert any("regulariser/chosen" in entry for entry in trainer.state.log_history)


def test_tokens_of_positive_reward_become_likelier(tokenizer: Any, tmp_path: Path) -> None:
    check_that_rewarded_tokens_become_likelier(trainer_of, tokenizer, tmp_path)


def test_truncation_cuts_tokens_and_rewards_alike(pairs: Any, tmp_path: Path) -> None:
    whole = trainer_of(pairs, tmp_path / "whole").eval_dataset
    longest = max(len(row["rejected_labels"]) for row in whole)
    shorter = longest - 5
    trainer = trainer_of(pairs, tmp_path / "cut", max_length=shorter)
    for row, full in zip(trainer.eval_dataset, whole, strict=True):
        for side in ("chosen", "rejected"):
            assert row[f"{side}_labels"] == full[f"{side}_labels"][:shorter]
            assert row[f"{side}_ids_rewards"] == full[f"{side}_ids_rewards"][:shorter]
            assert any(row[f"{side}_ids_rewards"])
    assert math.isfinite(trainer.evaluate()["eval_loss"])
    with pytest.raises(ValueError, match=r"row 0: args\.max_length of 2 leaves no token of chosen"):
        trainer_of(pairs, tmp_path / "none", max_length=2)


def test_rewards_of_other_tokens_are_refused(pairs: Any, tmp_path: Path) -> None:
    shifted = pairs.map(lambda row: {"rejected_token_ids": [*row["rejected_token_ids"][1:], 1]})
    with pytest.raises(ValueError, match="row 0: rejected_token_ids"):
        trainer_of(shifted, tmp_path)
    whole = trainer_of(pairs, tmp_path).train_dataset["chosen_labels"]
    longer = pairs.map(
        lambda _, i: {"chosen_token_ids": (more := [t for t in [*whole[i], 1] if t != -100]),
                      "chosen_token_rewards": [0.1] * len(more)},
        with_indices=True,
    )  # fmt: skip
    with pytest.raises(ValueError, match="row 0: chosen_token_ids"):
        trainer_of(longer, tmp_path)
    broken = pairs.map(lambda row: {"chosen_token_rewards": [math.nan] * len(row["chosen_token_rewards"])})
    with pytest.raises(ValueError, match="chosen_token_rewards: expected finite"):
        trainer_of(broken, tmp_path)
    with pytest.raises(ValueError, match="chosen_token_ids"):
        trainer_of(pairs.remove_columns("chosen_token_ids"), tmp_path)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"alpha": -1.0}, "alpha"),
        ({"weighting": "fixed"}, "weighting"),
        ({"loss_type": "sigmoid"}, "args.loss_type"),
        ({"cpo_alpha": 1.0}, "args.cpo_alpha"),
        ({"label_smoothing": 0.1}, "args.label_smoothing"),
        ({"collator": len}, "data_collator"),
    ],
)
def test_options_out_of_range(pairs: Any, tmp_path: Path, options: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        trainer_of(pairs, tmp_path, **options)


def test_the_alpha_of_alphapo_is_refused(pairs: Any, tmp_path: Path) -> None:
    from guerdon.train.token_regularised_simpo import TokenRegularisedSimPOTrainer

    with pytest.raises(ValueError, match=r"args\.alpha"):
        TokenRegularisedSimPOTrainer(start(), config(tmp_path, alpha=0.3), train_dataset=pairs)
