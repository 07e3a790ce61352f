"""Fitting a goal-conditioned reward model: the loss of a batch, what is learnt, and what is left out."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from guerdon.core.preferences import Preference
from guerdon.core.samples import Chat
from guerdon.models.goal_conditioned import (
    goal_conditioned_loss,
    goal_contrastive_loss,
    partial_position,
    sample_positions,
    sample_source_and_goal,
)
from guerdon.models.goal_conditioned_fitting import fit_goal_conditioned

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

PROMPT = [{"role": "user", "content": "Count."}]


def answer(text: str) -> Chat:
    return Chat(PROMPT, [{"role": "assistant", "content": text}])


def counted(rng: np.random.Generator, wrong: bool) -> str:
    """Ten digits that go up by one; when wrong, only up to some place, from where they repeat."""
    first = int(rng.integers(10))
    digits = [(first + i) % 10 for i in range(10)]
    if wrong:
        at = int(rng.integers(2, 6))
        digits[at:] = [digits[at - 1]] * (10 - at)
    return "".join(map(str, digits))


def pairs(count: int, seed: int = 0) -> list[Preference[Chat]]:
    rng = np.random.default_rng(seed)
    return [Preference(answer(counted(rng, False)), answer(counted(rng, True))) for _ in range(count)]


@cache
def tokenizer() -> Any:
    from guerdon.lab.policy import make_tokenizer

    return make_tokenizer([[*PROMPT, {"role": "assistant", "content": "01"}]], [], vocab_size=262)


def new_model() -> Any:
    from guerdon.lab.policy import make_model
    from guerdon.models.goal_conditioned_model import GoalConditionedModel
    from guerdon.models.step_head import StepHead

    backbone = make_model(tokenizer(), 0, layers=2, width=32)
    return GoalConditionedModel(StepHead(backbone, tokenizer(), output="rating", separator="\n"))


FAST: dict[str, Any] = {"learning_rate": 3e-3, "batch_size": 16, "options": {"use_cpu": True}}


# -- the loss ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("average_goals", [False, True])
def test_the_loss_of_a_batch_is_that_of_states_counted_back_from_the_end_of_each_answer(
    average_goals: bool,
) -> None:
    rows = [
        Preference(answer("0123456"), answer("01")),
        Preference(answer("5"), answer("55 and 5 and 5")),
        Preference(answer("9 8 7"), answer("0")),
    ]
    model = new_model()
    chosen, rejected = (
        [model.tokens(getattr(pair, side)) for pair in rows] for side in ("chosen", "rejected")
    )
    counts = [np.array([len(row.ids) - row.first for row in side]) for side in (chosen, rejected)]
    rng = np.random.default_rng(7)
    source, goal = sample_source_and_goal(counts[0], 99, 4, rng, source_percentile=0.3, goal_percentile=0.2)
    uniforms = rng.random((2, 3, 5))
    negative_source = sample_positions(uniforms[0], counts[0], 99, percentile=0.3)
    negative_goal = sample_positions(uniforms[1], counts[1], 99, percentile=0.2)

    def states(side: list[Any], places: np.ndarray) -> np.ndarray:
        hidden = [model.network.backbone(torch.tensor([row.ids])).last_hidden_state[0] for row in side]
        return np.stack([h.detach().numpy()[-at] for h, at in zip(hidden, places, strict=True)])

    def rewards(side: list[Any]) -> np.ndarray:
        return np.array([one.reward for one in model.predict(side)])

    contrastive = goal_contrastive_loss(
        states(chosen, source),
        states(chosen, goal),
        states(chosen, negative_source),
        states(rejected, negative_goal),
        beta=0.7,
        average_goals=average_goals,
    )
    expected = goal_conditioned_loss(rewards(chosen), rewards(rejected), contrastive)
    fit = fit_goal_conditioned(
        model,
        rows,
        beta=0.7,
        positives=4,
        negatives=5,
        source_percentile=0.3,
        goal_percentile=0.2,
        average_goals=average_goals,
        batch_size=3,
        seed=7,
        learning_rate=0.0,
        options={"use_cpu": True, "train_sampling_strategy": "sequential"},
    )
    assert fit.losses == [pytest.approx(float(expected), rel=1e-4)]


def test_without_beta_it_is_a_plain_reward_model() -> None:
    model, rows = new_model(), pairs(4)
    margins = [
        np.subtract(
            *(one.reward for one in model.predict([model.tokens(p.chosen), model.tokens(p.rejected)]))
        )
        for p in rows
    ]
    fit = fit_goal_conditioned(model, rows, beta=0.0, learning_rate=0.0, options={"use_cpu": True})
    assert fit.losses == [pytest.approx(np.mean(np.log1p(np.exp(-np.array(margins)))), rel=1e-4)]


# -- what is learnt ---------------------------------------------------------------------------------------------------


def test_it_learns_to_prefer_and_its_values_fall_after_an_error() -> None:
    model = new_model()
    fit = fit_goal_conditioned(model, pairs(256), epochs=3, **FAST)
    assert fit.losses[-1] < fit.losses[0]
    assert fit.rejected == {}
    held_out = pairs(40, seed=1)
    good, bad = (
        model.predict([model.tokens(getattr(pair, side)) for pair in held_out])
        for side in ("chosen", "rejected")
    )
    assert np.mean([a.reward > b.reward for a, b in zip(good, bad, strict=True)]) > 0.9
    at = partial_position(11, 0.8)
    assert np.mean([a.values[at] > b.values[at] for a, b in zip(good, bad, strict=True)]) > 0.9
    early = np.mean([one.values[0] for one in bad])
    assert np.mean([one.values[at] for one in bad]) < early - 0.2


def test_equal_arguments_give_equal_weights() -> None:
    def weights(seed: int) -> list[Any]:
        model = new_model()
        fit_goal_conditioned(model, pairs(20), seed=seed, **FAST)
        return [*model.parameters(), model.goal]

    first, again, other = weights(3), weights(3), weights(4)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_goal_is_the_mean_state_at_the_ends_of_the_chosen_answers_or_of_those_given() -> None:
    model, rows = new_model(), pairs(3)
    given = [answer("42"), answer("7")]
    for goals, samples in ((None, [pair.chosen for pair in rows]), (given, given)):
        fit_goal_conditioned(model, rows, goals=goals, **FAST)
        ends = [
            model.network.backbone(torch.tensor([model.tokens(sample).ids])).last_hidden_state[0, -1]
            for sample in samples
        ]
        torch.testing.assert_close(model.goal, torch.stack(ends).mean(0).detach(), atol=1e-5, rtol=1e-4)


def test_a_saved_model_is_the_same_model(tmp_path: Path) -> None:
    from guerdon.models.goal_conditioned_model import GoalConditionedModel

    model, rows = new_model(), pairs(8)
    with pytest.raises(ValueError, match="goal"):
        model.save_pretrained(tmp_path)
    before = model.fingerprint()
    fit_goal_conditioned(model, rows, **FAST)
    assert model.fingerprint() != before
    model.save_pretrained(tmp_path)
    loaded = GoalConditionedModel.from_pretrained(tmp_path, device="cpu")
    tokens = [model.tokens(pair.rejected) for pair in rows]
    for a, b in zip(model.predict(tokens), loaded.predict(tokens, batch_tokens=1), strict=True):
        assert a.reward == pytest.approx(b.reward, rel=1e-4)
        np.testing.assert_allclose(a.values, b.values, atol=1e-5)
    assert loaded.network.separator == "\n"
    assert loaded.fingerprint() == model.fingerprint()


# -- what is left out -------------------------------------------------------------------------------------------------


def test_a_pair_that_cannot_be_encoded_is_left_out_with_its_reason() -> None:
    long = Preference(answer("1"), answer("1" * 3000))
    fit = fit_goal_conditioned(new_model(), [long, *pairs(2)], **FAST)
    assert list(fit.rejected) == [0]
    assert "1024 tokens" in fit.rejected[0]
    with pytest.raises(ValueError, match="pairs: expected one"):
        fit_goal_conditioned(new_model(), [long], **FAST)
    with pytest.raises(ValueError, match="pairs: expected one"):
        fit_goal_conditioned(new_model(), [], **FAST)


@pytest.mark.parametrize(
    "options",
    [
        {"beta": -0.1},
        {"beta": math.nan},
        {"positives": 0},
        {"negatives": 0},
        {"source_percentile": 1.0},
        {"goal_percentile": -0.1},
        {"epochs": 0},
        {"batch_size": 0},
        {"learning_rate": -1.0},
    ],
)
def test_options_are_checked_before_anything_is_trained(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        fit_goal_conditioned(new_model(), pairs(2), **options)


def test_weights_that_diverge_are_told() -> None:
    model = new_model()
    with torch.no_grad():
        model.network.head.weight.fill_(math.inf)
    with pytest.raises(FloatingPointError, match="isn't finite"):
        fit_goal_conditioned(model, pairs(2), **FAST)


def test_a_network_of_probabilities_is_refused() -> None:
    from guerdon.models.goal_conditioned_model import GoalConditionedModel
    from guerdon.models.step_head import StepHead

    with pytest.raises(ValueError, match="rating"):
        GoalConditionedModel(StepHead(new_model().network.backbone, tokenizer()))
