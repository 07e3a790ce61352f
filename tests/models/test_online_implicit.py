"""The implicit process reward that learns from outcomes: what trains it, what doesn't, and when rewards are read."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from guerdon.core.context import Context
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Status
from guerdon.credit import DenseLeaveOneOut, ranking_accuracy
from guerdon.models.implicit_reward import ImplicitReward
from guerdon.models.log_probs import CausalLogProbs
from guerdon.models.online_implicit import OnlineImplicitReward
from tests.judges.models import raw_model, solved

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

PROMPT = [{"role": "user", "content": "What is 12+7?"}]
TRAINING = Context(step=0, total_steps=30)


class Right(Reward):
    """Whether a number is even, or what the sample says; abstains without text. It counts what it has seen."""

    name = "right"
    seen = 0

    def score(self, sample: Chat, context: Context) -> float | None:
        self.seen += 1
        if "outcome" in sample.extra:
            return sample.extra["outcome"]
        return float(int(sample.text.split()[-1]) % 2 == 0) if sample.text else None

    def own_state(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def load_own_state(self, state: Mapping[str, Any]) -> None:
        self.seen = state["seen"]


def chats(*numbers: int) -> list[Chat]:
    return [Chat(PROMPT, f"The answer is {number}") for number in numbers]


BATCH = chats(12, 13, 24, 35)


def online(**options: Any) -> OnlineImplicitReward:
    model, tokenizer = raw_model()
    given = {"learning_rate": 1e-3, "tokenizer": tokenizer, **options}
    return OnlineImplicitReward(Right(), copy.deepcopy(model), **given)


def weights(reward: OnlineImplicitReward) -> list[Any]:
    return [weight.detach().clone() for weight in reward.model.parameters()]


def same(first: list[Any], second: list[Any]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


# -- learning ---------------------------------------------------------------------------------------------------------


def test_it_learns_to_rank_answers_it_has_not_seen_by_outcomes_alone():
    reward = online()
    held_out = chats(40, 47, 58, 61, 44, 53, 62, 69)
    groups = np.zeros(8, dtype=int)
    rng = np.random.default_rng(0)
    before = reward(held_out)
    assert ranking_accuracy(before.dense.sums(), before.outcome, groups) <= 0.75
    for step in range(30):
        numbers = rng.integers(10, 40, 8) + 60 * rng.integers(0, 2, 8)
        reward(chats(*numbers.tolist()), Context(step=step))
    after = reward(held_out)
    assert ranking_accuracy(after.dense.sums(), after.outcome, groups) >= 0.9
    last = after.dense.sums()
    assert last[after.outcome == 1].mean() > last[after.outcome == 0].mean()


def test_after_gives_the_rewards_from_before_the_step_and_before_those_from_after_it():
    after, before = online(update="after"), online(update="before")
    first, second = after(BATCH, TRAINING), before(BATCH, TRAINING)
    assert not first.dense.values.any()  # still the reference
    assert second.dense.values.any()
    assert same(weights(after), weights(before))
    np.testing.assert_allclose(after(BATCH).dense.values, second.dense.values, atol=1e-5)


def test_rewards_are_log_ratios_without_beta_and_part_outcome_is_the_verifiers():
    reward = online(beta=0.3)
    reward(BATCH, TRAINING)
    found = reward(BATCH)
    sources = [CausalLogProbs(model, raw_model()[1]) for model in (reward.model, raw_model()[0])]
    expected = ImplicitReward(*sources, beta=1.0, unit="token")(BATCH)
    np.testing.assert_allclose(found.dense.values, expected.dense.values, atol=1e-4)
    np.testing.assert_array_equal(found.dense.offsets, expected.dense.offsets)
    assert found.dense.unit == "token"
    np.testing.assert_array_equal(found.outcome, [1, 0, 1, 0])
    np.testing.assert_array_equal(found.parts["outcome"].outcome, found.outcome)


def test_the_first_step_is_adam_on_the_cross_entropy():
    """At the reference every response has probability ½, so the gradient is that of Σ ± beta/2 · log π."""
    from guerdon.models.completion_log_probs import TokenRow, completion_log_probs
    from guerdon.models.encoding import ChatEncoder

    model, tokenizer = copy.deepcopy(raw_model()[0]), raw_model()[1]
    rows = [TokenRow.of(sample, ChatEncoder(tokenizer)) for sample in BATCH]
    log_probs, written = completion_log_probs(model.eval(), rows)
    sign = torch.tensor([1.0, -1.0, 1.0, -1.0])
    loss = -(0.05 / 2 * sign * (log_probs * written).sum(-1)).mean()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.01)
    optimizer.step()
    reward = online(max_grad_norm=0.01)
    reward(BATCH, TRAINING)
    for found, expected in zip(weights(reward), model.parameters(), strict=True):
        np.testing.assert_allclose(found, expected.detach(), atol=1e-5)


@pytest.mark.parametrize("batch_tokens", [1, 90])
def test_passes_add_up_to_the_whole_batch(batch_tokens):
    mixed = [*BATCH, *(Chat(PROMPT, "word " * n + "12") for n in (3, 9))]
    whole, cut = online(), online(batch_tokens=batch_tokens)
    for reward in (whole, cut):
        reward(mixed, TRAINING)
    found, expected = cut(mixed).dense.values, whole(mixed).dense.values
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())


def test_response_granularity_puts_the_sum_on_the_last_token():
    reward, whole = online(), online(granularity="response")
    samples = [*BATCH, Chat(PROMPT, solved("12+7")[1:], extra={"outcome": 1.0})]
    for one in (reward, whole):
        one(samples, TRAINING)
    tokens, sums = reward(samples).dense, whole(samples).dense
    np.testing.assert_allclose(sums.sums(), tokens.sums(), atol=1e-4)
    for row in sums:
        assert np.flatnonzero(row).tolist() == [row.size - 1]


def test_tokens_of_tools_have_no_reward():
    dialogue = Chat(PROMPT, solved("12+7")[1:], extra={"outcome": 1.0})
    reward = online(update="before")
    written = CausalLogProbs(*raw_model()).completion_tokens(dialogue).written
    np.testing.assert_array_equal(reward([dialogue], TRAINING).dense.row(0) != 0, written)


# -- what doesn't train -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("context", [None, Context(), Context(step=3, extra={"training": False})])
def test_scoring_without_training_changes_nothing(context):
    reward = online()
    reward(BATCH, TRAINING)
    before = weights(reward)
    first, second = reward(BATCH, context), reward(BATCH, context)
    assert same(weights(reward), before)
    np.testing.assert_array_equal(first.dense.values, second.dense.values)


def test_a_row_without_an_outcome_does_not_train():
    bad = [
        Chat(PROMPT, "no number"),
        Chat(PROMPT, ""),
        Chat(PROMPT, "12", extra={"outcome": 1.5}),
        Chat(PROMPT, "12" + " a" * 2000),
    ]
    bad[3] = Chat(PROMPT, bad[3].text, extra={"outcome": 1.0})
    clean, mixed = online(), online()
    clean(BATCH, TRAINING)
    signal = mixed([*BATCH[:2], *bad, *BATCH[2:]], TRAINING)
    assert signal.status.tolist() == [
        0,
        0,
        Status.FAILED,
        Status.ABSTAINED,
        Status.FAILED,
        Status.FAILED,
        0,
        0,
    ]
    assert "invalid literal" in signal.reasons[2]
    assert "outcome: expected a finite number in [0, 1], got 1.5" in signal.reasons[4]
    assert "the model takes 1024 tokens" in signal.reasons[5]
    for found, expected in zip(weights(mixed), weights(clean), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_batch_without_any_outcome_changes_nothing():
    reward = online()
    before = weights(reward)
    signal = reward([Chat(PROMPT, "none")] * 2, TRAINING)
    assert signal.status.tolist() == [Status.FAILED] * 2
    assert len(reward([], TRAINING)) == 0
    assert same(weights(reward), before)
    assert not reward.state_dict()["0:online_implicit_reward"]["optimizer"]["state"]


def test_a_gradient_that_is_not_finite_writes_no_weight():
    reward = online()
    reward(BATCH, TRAINING)
    with torch.no_grad():
        reward.model.get_input_embeddings().weight[:] = float("inf")
    before = weights(reward)
    signal = reward(BATCH, TRAINING)
    assert signal.status.tolist() == [Status.FAILED] * 4
    assert same(weights(reward)[1:], before[1:])


def test_the_reference_stays_and_the_mode_of_the_model_too():
    start = copy.deepcopy(raw_model()[0]).train()
    kept = [weight.detach().clone() for weight in start.parameters()]
    reward = online(reference=start)
    reward.model.train()
    reward(BATCH, TRAINING)
    assert same(kept, list(start.parameters()))
    assert all(weight.grad is None for weight in start.parameters())
    assert start.training
    assert reward.model.training


# -- state ------------------------------------------------------------------------------------------------------------


def test_state_goes_on_where_it_was_saved():
    first, second = online(), online()
    for step in range(2):
        first(BATCH, Context(step=step))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert second.outcome.seen == 8
    for reward in (first, second):
        reward(BATCH, Context(step=2))
    assert same(weights(first), weights(second))
    np.testing.assert_array_equal(first(BATCH).dense.values, second(BATCH).dense.values)


def test_a_folder_is_loaded_and_its_copy_is_the_reference(tmp_path: Path):
    for part in raw_model():
        part.save_pretrained(tmp_path)
    reward = OnlineImplicitReward(Right(), str(tmp_path), learning_rate=1e-3)
    reward.prepare()
    assert not reward(BATCH, TRAINING).dense.values.any()
    assert reward(BATCH).dense.values.any()
    beside = OnlineImplicitReward(Right(), str(tmp_path), str(tmp_path), learning_rate=1e-3)
    beside(BATCH, TRAINING)
    np.testing.assert_allclose(beside(BATCH).dense.values, reward(BATCH).dense.values, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"beta": 0},
        {"learning_rate": -1},
        {"update": "never"},
        {"granularity": "step"},
        {"max_grad_norm": 0},
        {"weight_decay": float("nan")},
        {"batch_tokens": 0},
    ],
)
def test_options_are_checked(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        online(**options)


def test_models_are_checked_on_first_use():
    model, tokenizer = raw_model()
    with pytest.raises(ValueError, match="reference: expected another model"):
        OnlineImplicitReward(Right(), model, model, tokenizer=tokenizer).prepare()
    with pytest.raises(TypeError, match="tokenizer"):
        OnlineImplicitReward(Right(), model).prepare()


# -- training ---------------------------------------------------------------------------------------------------------


def test_two_steps_of_grpo_with_its_process_rewards(tmp_path: Path):
    pytest.importorskip("trl")
    from tests.lab.policies import raw_policy
    from tests.train.test_grpo import trained

    class Odd(Reward):
        def score(self, sample: Chat, context: Context) -> float:
            return float(sum(sample.extra["completion_ids"]) % 2)

    reward = OnlineImplicitReward(Odd(), str(raw_policy()), learning_rate=1e-3, update="before")
    rows = [{"prompt": [{"role": "user", "content": f"What is {i}+1?"}]} for i in range(4)]
    trainer, _, rollouts = trained(reward, tmp_path, steps=2, rows=rows, credit=DenseLeaveOneOut())
    assert len(rollouts) == 2
    for rollout in rollouts:
        assert rollout.signal.ok.all()
        lengths = [len(sample.extra["completion_ids"]) for sample in rollout.samples]
        assert rollout.signal.dense.lengths.tolist() == lengths
        assert rollout.signal.dense.values.any()
        assert np.isfinite(rollout.advantages).all()
        assert rollout.advantages.any()
    assert all(torch.isfinite(weight).all() for weight in trainer.model.parameters())
