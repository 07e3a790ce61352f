"""The implicit process reward that learns from outcomes: what trains it, what doesn't, and when rewards are read."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from guerdon.core.context import Context
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal, Status
from guerdon.credit import DenseLeaveOneOut, EpisodeStep, ranking_accuracy
from guerdon.models.implicit_reward import ImplicitReward
from guerdon.models.log_probs import CausalLogProbs
from guerdon.models.online_implicit import OnlineImplicitReward
from tests.judges.models import QUESTIONS, fitted_model, question, raw_model, solved

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


def learnt_model(reward: OnlineImplicitReward) -> Any:
    """The model of a reward that made it from the policy."""
    model = copy.deepcopy(raw_model()[0])
    model.load_state_dict(reward.state_dict()["0:online_implicit_reward"]["model"])
    return model


def gradient(reward: OnlineImplicitReward) -> Any:
    """That of the only step so far, from the first moment of Adam."""
    state = reward.state_dict()["0:online_implicit_reward"]["optimizer"]["state"]
    return torch.cat([moments["exp_avg"].flatten() for moments in state.values()]) / (1 - 0.9)


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


# -- pairs ------------------------------------------------------------------------------------------------------------


def other_model(seed: int = 1) -> Any:
    """A model near the raw one."""
    model = copy.deepcopy(raw_model()[0])
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.02 * torch.randn_like(weight)
    return model


def outcomes(*rows: tuple[int | str, str, float]) -> list[Chat]:
    """Samples of groups, each with its text and outcome."""
    return [Chat(PROMPT, text, group=group, extra={"outcome": outcome}) for group, text, outcome in rows]


def dialogue(outcome: float, expression: str = "12+7", group: int | None = None) -> Chat:
    """Two turns with a call of a tool between them."""
    return Chat(PROMPT, solved(expression)[1:], group=group, extra={"outcome": outcome})


MIXED = [
    *outcomes((0, "The answer is 12", 1), (0, "No, it is 3", 0), (0, "word " * 9 + "4", 0)),
    *outcomes((1, "It is 5", 1), (1, "It is 6 or 8", 1)),
    dialogue(0, group=1),
    *outcomes((2, "alone", 1), (3, "1", 0), (3, "2", 0)),
]
PAIRS = [(0, 1), (0, 2), (3, 5), (4, 5)]


def pair_gradient(reduce: str, beta: float) -> Any:
    """Of the loss over `PAIRS`, all samples in one pass."""
    from guerdon.models.completion_log_probs import TokenRow, completion_log_probs
    from guerdon.models.encoding import ChatEncoder

    model = other_model().eval()
    rows = [TokenRow.of(sample, ChatEncoder(raw_model()[1])) for sample in MIXED]
    (log_probs, written), (reference, _) = (
        completion_log_probs(one, rows) for one in (model, raw_model()[0].eval())
    )
    scores = beta * ((log_probs - reference.detach()) * written).sum(-1)
    if reduce == "mean":
        scores = scores / torch.tensor([2.0 if i == 5 else 1.0 for i in range(len(MIXED))])
    loss = -sum(torch.nn.functional.logsigmoid(scores[i] - scores[j]) for i, j in PAIRS) / len(PAIRS)
    return torch.cat([found.flatten() for found in torch.autograd.grad(loss, list(model.parameters()))])


@pytest.mark.parametrize("batch_tokens", [1, 90, 4096])
@pytest.mark.parametrize(("reduce", "granularity"), [("sum", "turn"), ("mean", "turn"), ("mean", "token")])
def test_the_gradient_is_that_of_all_pairs_whatever_the_passes(batch_tokens, reduce, granularity):
    reward = OnlineImplicitReward(
        Right(),
        other_model(),
        raw_model()[0],
        tokenizer=raw_model()[1],
        loss="pairs",
        reduce=reduce,
        granularity=granularity,
        beta=0.3,
        max_grad_norm=1e9,
        batch_tokens=batch_tokens,
    )
    assert reward(MIXED, TRAINING).ok.all()
    expected = pair_gradient(reduce, beta=0.3)
    assert expected.abs().max() > 0.01
    np.testing.assert_allclose(gradient(reward), expected, atol=1e-5)


def test_reduce_matters_only_where_trajectories_have_several_turns():
    first, second = (online(loss="pairs", reduce=reduce, max_grad_norm=1e9) for reduce in ("sum", "mean"))
    for reward in (first, second):
        reward(BATCH, TRAINING)
    assert torch.equal(gradient(first), gradient(second))


def test_pairs_raise_successes_over_failures():
    reward = online(loss="pairs", granularity="turn")
    held_out = chats(40, 47, 58, 61, 44, 53, 62, 69)
    rng = np.random.default_rng(0)
    for step in range(30):
        numbers = rng.integers(10, 40, 8) + 60 * rng.integers(0, 2, 8)
        reward(chats(*numbers.tolist()), Context(step=step))
    after = reward(held_out)
    assert ranking_accuracy(after.dense.sums(), after.outcome, np.zeros(8, dtype=int)) >= 0.9


@pytest.mark.parametrize(
    "samples",
    [
        outcomes((0, "1", 1), (1, "2", 0), (2, "3", 1)),
        outcomes((0, "1", 1), (0, "2", 1), (1, "3", 0), (1, "4", 0)),
        outcomes((0, "1", 0.5)),
        [*outcomes((0, "1", 1)), Chat(PROMPT, "none", group=0), Chat(PROMPT, "", group=0)],
    ],
    ids=["groups of one", "no mixed group", "one sample", "the others failed"],
)
def test_without_a_pair_nothing_is_trained_and_rewards_are_read(samples):
    reward = OnlineImplicitReward(
        Right(), other_model(), raw_model()[0], tokenizer=raw_model()[1], loss="pairs", update="before"
    )
    before, expected = weights(reward), reward(samples)
    found = reward(samples, TRAINING)
    assert same(weights(reward), before)
    assert not reward.state_dict()["0:online_implicit_reward"]["optimizer"]["state"]
    assert found.dense.values.any()
    np.testing.assert_array_equal(found.dense.values, expected.dense.values)


def test_success_is_an_outcome_above_the_threshold_on_any_scale():
    scaled = outcomes((0, "1", 9), (0, "2", 6), (0, "3", -2))
    plain = outcomes((0, "1", 1), (0, "2", 0), (0, "3", 0))
    first, second = online(loss="pairs", success_above=6.0), online(loss="pairs")
    assert first(scaled, TRAINING).outcome.tolist() == [9, 6, -2]
    second(plain, TRAINING)
    assert same(weights(first), weights(second))
    everywhere = online(loss="pairs")  # -2 is the only one that isn't above 0
    everywhere(scaled, TRAINING)
    assert not same(weights(first), weights(everywhere))


def test_rows_that_fail_or_abstain_are_in_no_pair():
    bad = [
        Chat(PROMPT, "no number"),
        Chat(PROMPT, ""),
        Chat(PROMPT, "12" + " a" * 2000, extra={"outcome": 0.0}),
    ]
    clean, mixed = (online(loss="pairs", granularity="turn", max_grad_norm=1e9) for _ in range(2))
    clean(BATCH, TRAINING)
    signal = mixed([*BATCH[:2], *bad, *BATCH[2:]], TRAINING)
    assert signal.status.tolist() == [0, 0, Status.FAILED, Status.ABSTAINED, Status.FAILED, 0, 0]
    assert signal.dense.lengths.tolist() == [1, 1, 0, 0, 0, 1, 1]
    np.testing.assert_allclose(gradient(mixed), gradient(clean), atol=1e-5)


def test_weights_that_are_not_finite_fail_the_batch_of_pairs():
    reward = online(loss="pairs", granularity="turn")
    with torch.no_grad():
        reward.model.get_input_embeddings().weight[:] = float("inf")
    before = weights(reward)
    assert reward(BATCH, TRAINING).status.tolist() == [Status.FAILED] * 4
    assert same(weights(reward)[1:], before[1:])


# -- turns ------------------------------------------------------------------------------------------------------------


def test_turns_are_sums_of_their_tokens_and_lie_where_the_implicit_reward_has_them():
    samples = [dialogue(1.0), *outcomes((0, "It is 12", 0.0)), dialogue(0.0, "5*8")]
    models = {"model": other_model(), "reference": raw_model()[0], "tokenizer": raw_model()[1]}
    turns = OnlineImplicitReward(Right(), **models, granularity="turn")(samples).dense
    tokens = OnlineImplicitReward(Right(), **models)(samples).dense
    sources = [CausalLogProbs(model, raw_model()[1]) for model in (models["model"], models["reference"])]
    expected = ImplicitReward(*sources, beta=1.0, unit="turn")(samples).dense
    assert turns.unit == "turn"
    assert turns.lengths.tolist() == [2, 1, 2]
    np.testing.assert_array_equal(turns.spans, [[0, 1], [2, 3], [0, 1], [0, 1], [2, 3]])
    np.testing.assert_array_equal(turns.spans, expected.spans)
    np.testing.assert_allclose(turns.values, expected.values, atol=1e-4)
    np.testing.assert_allclose(turns.sums(), tokens.sums(), atol=1e-4)
    assert np.abs(turns.values).min() > 0.01


def test_turns_need_no_token_of_the_policy_but_one_of_their_own():
    tokenizer = copy.deepcopy(raw_model()[1])
    tokenizer.chat_template = None
    reward = online(granularity="turn", tokenizer=tokenizer)
    alien = {"outcome": 1.0, "completion_ids": [10**6]}
    samples = [Chat("12+7", "19", extra=alien), Chat("12+7", "", extra={"outcome": 1.0})]
    found = reward(samples)
    assert found.status.tolist() == [Status.OK, Status.FAILED]
    assert "1 assistant turns, but 0 stretches" in found.reasons[1]
    refused = online(tokenizer=tokenizer)(samples[:1])
    assert "completion_ids" in refused.reasons[0]


# -- relative to the live policy --------------------------------------------------------------------------------------


def test_rewards_are_relative_to_the_policy_that_each_context_has():
    reward = OnlineImplicitReward(
        Right(), reference="policy", loss="pairs", granularity="turn", learning_rate=1e-3
    )
    model, tokenizer = copy.deepcopy(raw_model()[0]).train(), raw_model()[1]
    policy = CausalLogProbs(model, tokenizer)
    samples = [dialogue(1.0), dialogue(0.0, "5*8"), *BATCH]
    first = reward(samples, Context(step=0, policy=policy))
    assert first.reasons == {}
    assert not first.dense.values.any()  # a copy in the same passes, to the last bit
    assert reward(samples, Context(policy=policy)).dense.values.any()
    assert same(list(model.parameters()), list(raw_model()[0].parameters()))
    assert model.training
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 1.1
    moved = reward(samples, Context(policy=policy))
    learnt = CausalLogProbs(learnt_model(reward), tokenizer)
    expected = ImplicitReward(learnt, policy, beta=1.0, unit="turn")(samples)
    np.testing.assert_allclose(moved.dense.values, expected.dense.values, atol=1e-3)


def test_a_context_without_a_policy_to_compare_with_fails_with_its_reason():
    reward = online(reference="policy", loss="pairs")
    for policy in (None, object()):
        found = reward(BATCH, Context(step=0, policy=policy))
        assert found.status.tolist() == [Status.FAILED] * 4
        assert "reference: expected a context whose policy is a model" in found.reasons[0]
    assert reward.outcome.seen == 0
    itself = CausalLogProbs(reward.model, raw_model()[1])
    found = reward(BATCH, Context(step=0, policy=itself))
    assert "reference: expected another model" in found.reasons[0]
    tokenizer = copy.deepcopy(raw_model()[1])
    tokenizer.add_tokens(["qqq"])
    other = CausalLogProbs(raw_model()[0], tokenizer)
    assert "reference: expected a policy with the tokens" in reward(BATCH, Context(policy=other)).reasons[0]
    same_words = CausalLogProbs(raw_model()[0], copy.deepcopy(raw_model()[1]))
    assert reward(BATCH, Context(policy=same_words)).ok.all()


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


@pytest.mark.parametrize("options", [{}, {"loss": "pairs", "granularity": "turn"}])
def test_state_goes_on_where_it_was_saved(options):
    first, second = online(**options), online(**options)
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
        {"loss": "pair"},
        {"reduce": "max"},
        {"success_above": float("nan")},
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


def test_two_steps_of_grpo_with_turn_rewards_of_pairs(tmp_path: Path):
    pytest.importorskip("trl")
    from guerdon.agents import calculator
    from tests.train.test_grpo import trained

    class Alternate(Reward):
        """Every other sample is a success, so that each group has pairs."""

        scope = "batch"

        def score_batch(self, samples: Sequence[Chat], context: Context) -> Signal:
            return Signal(np.arange(len(samples)) % 2.0)

    start = tmp_path / "start"
    for part in fitted_model():
        part.save_pretrained(start)
    reward = OnlineImplicitReward(
        Alternate(), loss="pairs", granularity="turn", reference="policy", learning_rate=1e-3, update="before"
    )
    trainer, _, rollouts = trained(
        reward,
        tmp_path / "out",
        steps=2,
        model=start,
        credit=EpisodeStep(),
        rows=[{"prompt": question(expression)} for expression in QUESTIONS],
        tools=[calculator],
        config={"max_completion_length": 64, "learning_rate": 1e-4},
    )
    assert len(rollouts) == 2
    assert any(len(sample.steps()) == 2 for rollout in rollouts for sample in rollout.samples)
    for rollout in rollouts:
        assert rollout.signal.reasons == {}
        dense = rollout.signal.dense
        assert dense.unit == "turn"
        assert dense.lengths.tolist() == [len(sample.steps()) for sample in rollout.samples]
        assert dense.values.any()
        assert rollout.advantages.any()
        for sample, mask, advantages in zip(rollout.samples, rollout.mask, rollout.advantages, strict=True):
            starts = np.flatnonzero(np.diff(mask, prepend=False) & mask)
            turn = np.searchsorted(starts, np.flatnonzero(mask), side="right")
            assert len(set(zip(turn.tolist(), advantages[mask].tolist(), strict=True))) == len(sample.steps())
    assert all(torch.isfinite(weight).all() for weight in trainer.model.parameters())
