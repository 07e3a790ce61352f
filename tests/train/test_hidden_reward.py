"""Token hidden reward measured with a real policy, alone and in training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import guerdon
from guerdon import Chat, Context, Reward, Score, Status
from guerdon.credit.hidden_reward_estimator import HiddenRewardSteering
from guerdon.models.encoding import CompletionTokens
from guerdon.models.log_probs import CausalLogProbs
from guerdon.train import Rollout
from guerdon.train.hidden_reward import TokenHiddenReward
from tests.judges.models import raw_model, solved
from tests.lab.policies import raw_policy
from tests.train.quiet_arguments import QUIET

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

PROMPT = [{"role": "user", "content": "What is 12+7?"}]
GROUP = [Chat(PROMPT, text, text) for text in ("The answer is 19.", "The answer is 8.", "19", "no idea")]


class InProcess:
    """A source that shows what it asks."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.log_probs = CausalLogProbs(model, tokenizer).log_probs
        self.completion_tokens = CausalLogProbs(model, tokenizer).completion_tokens


class Contains(Reward):
    """1 where "19" is in the text; abstains on the empty text, and raises where it says "broken"."""

    name = "contains"

    def score(self, sample: Chat, context: Context) -> float | None:
        if "broken" in sample.text:
            raise RuntimeError("broken")
        return float("19" in sample.text) if sample.text else None


@pytest.fixture(scope="module")
def source() -> InProcess:
    return InProcess(*raw_model())


def pairwise(samples: list[Chat], correct: list[bool]) -> list[np.ndarray]:
    """The definition, summed over all pairs of written tokens, from one plain forward pass a sample."""
    model, tokenizer = raw_model()
    encoder = CausalLogProbs(model, tokenizer)
    hidden, error, places = [], [], []
    for sample in samples:
        size, written = encoder.completion_tokens(sample).spans.shape[0], encoder.completion_tokens(sample)[1]
        ids = tokenizer.apply_chat_template([*sample.prompt, *sample.completion_messages], return_dict=True)
        prompt = tokenizer.apply_chat_template(PROMPT, add_generation_prompt=True, return_dict=True)
        first, ids = len(prompt["input_ids"]), torch.tensor(ids["input_ids"])
        with torch.no_grad():
            output = model(ids[None], output_hidden_states=True)
        at = first - 1 + np.flatnonzero(written)
        onehot = torch.nn.functional.one_hot(ids[at + 1], model.config.vocab_size)
        hidden.append(output.hidden_states[-1][0, at].double().numpy())
        error.append((onehot - output.logits[0, at].softmax(-1)).double().numpy())
        places.append((size, written, ids[at + 1].numpy()))
    seen = np.unique(np.concatenate([ids for *_, ids in places]))
    error = [e[:, seen] for e in error]
    found = []
    for j, (size, written, _) in enumerate(places):
        dense, values = np.zeros(size), np.zeros(len(hidden[j]))
        for i, right in enumerate(correct):
            for k in range(len(hidden[i]) if right else 0):
                alike = (error[j] @ error[i][k]) * (hidden[j] @ hidden[i][k])
                values += (2 * correct[j] - 1) * alike / len(hidden[i])
        dense[written] = values
        found.append(dense)
    return found


def test_values_are_the_sum_over_pairs_of_tokens(source):
    signal = TokenHiddenReward(Contains(), source)(GROUP)
    assert signal.outcome.tolist() == [1, 0, 1, 0]
    assert signal.parts["contains"].outcome.tolist() == [1, 0, 1, 0]
    for found, expected in zip(signal.dense, pairwise(GROUP, [True, False, True, False]), strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-2)


def test_tokens_of_tools_have_no_hidden_reward_and_give_none(source):
    dialogue = Chat(PROMPT, solved("12+7")[1:])
    samples = [dialogue, GROUP[1]]
    signal = TokenHiddenReward(Contains(), source)(samples)
    tokens: CompletionTokens = source.completion_tokens(dialogue)
    assert not tokens.written.all()
    np.testing.assert_array_equal(signal.dense.row(0) != 0, tokens.written)
    for found, expected in zip(signal.dense, pairwise(samples, [True, False]), strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-2)


def test_the_live_policy_is_asked_where_no_model_is_given(source):
    reward = TokenHiddenReward(Contains())
    found = reward(GROUP, Context(policy=source))
    np.testing.assert_array_equal(
        found.dense.values, TokenHiddenReward(Contains(), source)(GROUP).dense.values
    )
    assert reward(GROUP).reasons[0].startswith("ValueError: model: expected one, or a context whose policy")


@pytest.mark.parametrize("text", ["The answer is 19.", "The answer is 8."])
@pytest.mark.parametrize("size", [1, 3])
def test_groups_that_are_all_right_all_wrong_or_of_one_are_finite(source, text, size):
    samples = [Chat(PROMPT, text)] * size
    signal = TokenHiddenReward(Contains(), source)(samples)
    assert signal.ok.all()
    assert np.isfinite(signal.dense.values).all()
    assert signal.dense.values.any() == ("19" in text)
    mask = np.ones((size, signal.dense.lengths[0]), dtype=bool)
    assert not HiddenRewardSteering()(signal, np.zeros(size, int), mask).any()


def test_what_cannot_be_scored_fails_alone_and_changes_nothing_for_the_others(source):
    samples = [GROUP[0], Chat(PROMPT, "19 broken"), Chat(PROMPT, ""), GROUP[1]]
    samples.insert(1, Chat(PROMPT, "19" + " a" * 2000))
    signal = TokenHiddenReward(Contains(), source)(samples)
    assert signal.status.tolist() == [0, Status.FAILED, Status.FAILED, Status.ABSTAINED, 0]
    assert "the model takes 1024 tokens" in signal.reasons[1]
    assert "broken" in signal.reasons[2]
    alone = TokenHiddenReward(Contains(), source)(GROUP[:2])
    np.testing.assert_allclose(signal.dense.values, alone.dense.values, rtol=1e-4)


def test_tokens_are_those_that_the_policy_emitted(source):
    letters = [source.tokenizer.convert_tokens_to_ids(letter) for letter in "19"]
    split = [*letters, *source.tokenizer.encode(" is it")]
    samples = [Chat(PROMPT, "19 is it", extra={"completion_ids": split}), GROUP[1]]
    assert TokenHiddenReward(Contains(), source)(samples).dense.lengths[0] == len(split)


def test_an_empty_completion_among_the_emitted_has_no_values(source):
    nothing = Chat(PROMPT, [{"role": "assistant", "content": ""}], extra={"completion_ids": []})

    class Fine(Reward):
        def score(self, sample: Chat, context: Context) -> float:
            return 1.0

    signal = TokenHiddenReward(Fine(), source)([nothing, nothing])
    assert signal.ok.all()
    assert signal.dense.values.size == 0


def test_correctness_by_name_and_threshold(source):
    samples = [Chat(PROMPT, text, "19") for text in (r"\boxed{19}", r"\boxed{8}")]
    signal = TokenHiddenReward("math", source, threshold=0.5)(samples)
    assert signal.outcome.tolist() == [1, 0]
    flat = TokenHiddenReward("math", source, threshold=1.0)(samples)
    assert not flat.dense.values.any()
    with pytest.raises(ValueError, match="threshold"):
        TokenHiddenReward("math", source, threshold=float("nan"))


# -- training ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.0, 0.2])
def test_two_steps_of_training_steer_by_it(tmp_path: Path, p: float) -> None:
    datasets, trl = pytest.importorskip("datasets"), pytest.importorskip("trl")
    from guerdon.train import GRPOTrainer

    @guerdon.reward
    def odd(sample: Chat) -> float:
        return float(sum(sample.extra["completion_ids"]) % 2)

    model = transformers.AutoModelForCausalLM.from_pretrained(raw_policy())
    tokenizer = transformers.AutoTokenizer.from_pretrained(raw_policy())
    start = [weight.detach().clone() for weight in model.parameters()]
    rollouts = list[Rollout]()
    rows = [{"prompt": [{"role": "user", "content": f"What is {i}+1?"}]} for i in range(4)]
    trainer = GRPOTrainer(
        model,
        TokenHiddenReward(odd, InProcess(model, tokenizer)),
        credit=HiddenRewardSteering(p),
        on_rollout=rollouts.append,
        processing_class=tokenizer,
        train_dataset=datasets.Dataset.from_list(rows),
        args=trl.GRPOConfig(
            output_dir=str(tmp_path),
            max_steps=2,
            num_generations=4,
            per_device_train_batch_size=8,
            max_completion_length=12,
            learning_rate=1e-3,
            **QUIET,
        ),
    )
    trainer.train()
    assert len(rollouts) == 2
    for rollout in rollouts:
        assert rollout.signal.ok.all()
        lengths = [len(sample.extra["completion_ids"]) for sample in rollout.samples]
        assert rollout.signal.dense.lengths.tolist() == lengths
        assert np.isfinite(rollout.advantages).all()
        _check_steering(rollout, p)
    assert any(rollout.advantages.any() for rollout in rollouts)
    assert all(torch.isfinite(weight).all() for weight in model.parameters())
    assert any((a != b).any() for a, b in zip(start, model.parameters(), strict=True))


def _check_steering(rollout: Rollout, p: float) -> None:
    """Every advantage is 0, or that of its outcome times `1 + p · sign(THR)`."""
    outcome = rollout.signal.outcome.reshape(-1, 4)
    std = outcome.std(axis=1, keepdims=True)
    advantage = ((outcome - outcome.mean(axis=1, keepdims=True)) / np.where(std > 0, std, 1)).ravel()
    for row, thr in enumerate(rollout.signal.dense):
        found = rollout.advantages[row, : thr.size]
        expected = (1 + p * np.sign(thr)) * advantage[row]
        np.testing.assert_allclose(np.where(found != 0, found, expected), expected, rtol=1e-5)


def test_a_score_of_steps_from_correctness_is_not_taken_for_hidden_reward(source):
    class Stepwise(Reward):
        def score(self, sample: Chat, context: Context) -> Score:
            return Score(1.0, dense=[5.0], spans=[(0, 1)])

    signal = TokenHiddenReward(Stepwise(), source)(GROUP[:1])
    assert signal.dense.unit == "token"
    assert signal.outcome.tolist() == [1]
