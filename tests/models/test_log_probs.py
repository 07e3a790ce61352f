"""Log-probabilities of completions under a causal language model, and the rewards read off them."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from guerdon.core.context import Context
from guerdon.core.samples import Chat, Episode
from guerdon.core.signal import Status
from guerdon.models.contrastive_prompts import ContrastiveTokenReward
from guerdon.models.implicit_reward import ImplicitReward
from guerdon.models.log_probs import CausalLogProbs
from tests.judges.models import QUESTIONS, fitted_model, raw_model, solved

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

DIALOGUES = [Chat(dialogue[:1], dialogue[1:]) for dialogue in map(solved, QUESTIONS)]
TEXTS = [Chat("hi", "First.\n\nSecond \U0001f600 é.\n\n"), Chat("hi " * 30, ""), Chat("hi", " \ud800\n")]
EPISODE = Episode(np.zeros(2), np.zeros(1), np.zeros(1))


@pytest.fixture(scope="module")
def start() -> CausalLogProbs:
    return CausalLogProbs(*raw_model())


@pytest.fixture(scope="module")
def trained() -> CausalLogProbs:
    return CausalLogProbs(*fitted_model())


def test_values_are_those_of_one_forward_pass(start):
    model, tokenizer = raw_model()
    dialogue = solved("12+7")
    ids = tokenizer.apply_chat_template(dialogue, return_dict=True, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        logits = model(ids).logits[0, :-1].log_softmax(-1)
    expected = logits.gather(-1, ids[0, 1:, None])[:, 0].numpy()
    prompt = tokenizer.apply_chat_template(dialogue[:1], add_generation_prompt=True, return_dict=True)
    begin = len(prompt["input_ids"]) - 1
    (found,) = start.log_probs([DIALOGUES[0]])
    np.testing.assert_allclose(
        found, expected[begin:-1], atol=1e-4
    )  # the newline after the last turn isn't scored


@pytest.mark.parametrize("batch_tokens", [1, 200, 10_000])
def test_a_batch_has_what_each_sample_has_alone(batch_tokens):
    source = CausalLogProbs(*raw_model(), batch_tokens=batch_tokens)
    samples = [*DIALOGUES, *TEXTS]
    for sample, values in zip(samples, source.log_probs(samples), strict=True):
        np.testing.assert_allclose(values, source.log_probs([sample])[0], atol=1e-4)
        tokens = source.completion_tokens(sample)
        assert tokens.spans.shape == (values.size, 2)
        assert tokens.written.shape == values.shape


def test_the_tokens_that_the_assistant_wrote_hold_its_text(start):
    for sample in (*DIALOGUES, *TEXTS):
        spans, written, _ = start.completion_tokens(sample)
        inside = np.zeros(len(sample.text), dtype=bool)
        for low, high in spans[written]:
            inside[low:high] = True
        # The newline between two turns is no token's.
        assert [sample.text[i] for i in np.flatnonzero(~inside)] == ["\n"] * (len(sample.steps()) - 1)
        assert (np.diff(spans[:, 0]) >= 0).all()
    tokens = start.completion_tokens(DIALOGUES[0])
    assert tokens.written[0]
    assert tokens.written[-1]
    assert not tokens.written.all()
    assert tokens.spans[-1].tolist() == [len(DIALOGUES[0].text)] * 2  # the end of the turn holds no character


def test_a_model_in_training_is_scored_without_dropout_and_left_in_training(start):
    model = copy.deepcopy(raw_model()[0]).train()
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.5
    found = CausalLogProbs(model, raw_model()[1]).log_probs(TEXTS)
    assert model.training
    for values, expected in zip(found, start.log_probs(TEXTS), strict=True):
        np.testing.assert_allclose(values, expected, atol=1e-5)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_that_was_trained_further_is_another_one(fused, dtype):
    model = copy.deepcopy(raw_model()[0]).to(dtype)
    source = CausalLogProbs(model, raw_model()[1])
    before = ImplicitReward(source, source).fingerprint()
    assert ImplicitReward(source, source).fingerprint() == before
    model(torch.ones(1, 2, dtype=torch.long)).logits.sum().backward()
    torch.optim.AdamW(model.parameters(), lr=0.1, fused=fused).step()
    assert ImplicitReward(source, source).fingerprint() != before


def test_a_call_with_arguments_as_text_is_the_same_call(start):
    dialogue = solved("12+7")
    (call,) = dialogue[1]["tool_calls"]
    written = {"type": "function", "function": {**call["function"], "arguments": '{"expression": "12+7"}'}}
    same = Chat(dialogue[:1], [{**dialogue[1], "tool_calls": [written]}, *dialogue[2:]])
    np.testing.assert_array_equal(*start.log_probs([DIALOGUES[0], same]))


def test_without_a_template_text_is_joined():
    model, tokenizer = raw_model()
    plain = copy.copy(tokenizer)
    plain.chat_template = None
    source = CausalLogProbs(model, plain)
    tokens = source.completion_tokens(Chat("one two", " three\n\n"))
    assert tokens.spans[0, 0] == 0
    assert tokens.spans[-1, 1] == len(" three\n\n")
    with pytest.raises(ValueError, match="no chat template"):
        source.completion_tokens(DIALOGUES[0])
    with pytest.raises(ValueError, match="prompt: expected at least one token"):
        source.completion_tokens(Chat("", "three"))


def test_a_template_that_rewrites_earlier_turns_is_refused():
    model, tokenizer = raw_model()
    forgetful = copy.copy(tokenizer)
    forgetful.chat_template = (
        "{% for m in messages %}{{ m.role if not loop.last }}{{ m.content if loop.last }}{% endfor %}"
    )
    with pytest.raises(ValueError, match="doesn't leave earlier text as it was"):
        CausalLogProbs(model, forgetful).completion_tokens(DIALOGUES[0])


@pytest.mark.parametrize("unit", ["turn", "step", "token"])
def test_the_rewards_of_parts_sum_to_that_of_the_response(start, trained, unit):
    samples = [*DIALOGUES, *TEXTS]
    whole = ImplicitReward(trained, start, unit="response")(samples)
    parts = ImplicitReward(trained, start, unit=unit)(samples)
    assert (parts.outcome == 0).all()
    np.testing.assert_allclose(parts.total, whole.outcome, atol=1e-6)
    assert (whole.outcome[: len(DIALOGUES)] > 1).all()  # what it was trained on


def test_what_a_tool_wrote_is_neither_good_nor_bad(start, trained):
    dense = ImplicitReward(trained, start, unit="token")(DIALOGUES[:1]).dense
    written = start.completion_tokens(DIALOGUES[0]).written
    assert (dense.row(0)[~written] == 0).all()
    assert (dense.row(0)[written] != 0).all()


def test_turns_and_steps_have_spans_in_their_own_unit(start, trained):
    turns = ImplicitReward(trained, start, unit="turn")(DIALOGUES[:1])
    assert turns.dense.row_spans(0).tolist() == [[0, 1], [2, 3]]
    steps = ImplicitReward(trained, start)(TEXTS[:2])
    assert [TEXTS[0].text[a:b] for a, b in steps.dense.row_spans(0)] == [
        "First.\n\n",
        "Second \U0001f600 é.\n\n",
    ]
    assert steps.dense.row_spans(1).tolist() == [[0, 0]]


def test_a_step_is_rewarded_for_its_own_tokens():
    class Fixed:
        def __init__(self, values):
            self.values = values

        def log_probs(self, samples):
            return [self.values for _ in samples]

        def completion_tokens(self, sample):
            return CausalLogProbs(*raw_model()).completion_tokens(sample)

    sample = Chat("q", "a\n\nb")
    spans = Fixed(None).completion_tokens(sample).spans
    values = np.where(spans[:, 0] >= 3, 1.0, -10.0)
    signal = ImplicitReward(Fixed(values), Fixed(np.zeros(len(values))), beta=0.5)([sample])
    second = int((spans[:, 0] >= 3).sum())
    assert signal.dense.row(0).tolist() == [-5.0 * (len(values) - second), 0.5 * second]


def test_the_reference_may_be_the_live_policy(start, trained):
    reward = ImplicitReward(trained, unit="response")
    same = ImplicitReward(trained, start, unit="response")
    assert reward.uses_context
    assert not same.uses_context
    found = reward(DIALOGUES, Context(policy=start))
    np.testing.assert_array_equal(found.outcome, same(DIALOGUES).outcome)
    missing = reward(DIALOGUES)
    assert (missing.status == Status.FAILED).all()
    assert "the context has no policy" in missing.reasons[0]


def test_a_sample_that_cannot_be_scored_fails_alone(start, trained):
    samples = [TEXTS[0], Chat("hi", "word " * 3000), EPISODE, TEXTS[1]]
    signal = ImplicitReward(trained, start)(samples)
    assert signal.status.tolist() == [Status.OK, Status.FAILED, Status.FAILED, Status.OK]
    assert "the model takes 1024 tokens" in signal.reasons[1]
    assert "Episode" in signal.reasons[2]
    alone = ImplicitReward(trained, start)([samples[0]])
    np.testing.assert_allclose(signal.dense.row(0), alone.dense.row(0), atol=1e-5)
    assert len(ImplicitReward(trained, start)([])) == 0


def test_models_with_other_tokens_or_no_number_are_told(start):
    class Other:
        def __init__(self, values):
            self.values = values

        def log_probs(self, samples):
            return [self.values(start.completion_tokens(s).written.size) for s in samples]

    longer = ImplicitReward(start, Other(lambda size: np.zeros(size + 1)))(TEXTS[:1])
    assert "tokens on one side of the ratio" in longer.reasons[0]
    broken = ImplicitReward(start, Other(lambda size: np.full(size, -np.inf)))(TEXTS[:1])
    assert "not finite" in broken.reasons[0]


def test_contrastive_prompts_reward_each_token_of_the_response(trained):
    reward = ContrastiveTokenReward(trained)
    samples = [TEXTS[0], DIALOGUES[0], Chat([{"role": "user", "content": "{response}"}], "ok"), EPISODE]
    signal = reward(samples)
    assert signal.status.tolist() == [Status.OK, Status.ABSTAINED, Status.OK, Status.ABSTAINED]
    assert signal.dense.lengths[0] == trained.completion_tokens(TEXTS[0]).written.size
    assert (np.abs(signal.dense.values) <= 0.5).all()
    assert (signal.dense.values != 0).any()
    swapped = ContrastiveTokenReward(trained, better=reward.worse, worse=reward.better)
    np.testing.assert_allclose(swapped(samples).dense.values, -signal.dense.values, atol=1e-6)
    same = ContrastiveTokenReward(trained, better=reward.worse)(samples)
    np.testing.assert_allclose(same.dense.values, 0.0, atol=1e-6)


def test_wrong_options_are_named(start):
    with pytest.raises(ValueError, match="beta: expected"):
        ImplicitReward(start, beta=0.0)
    with pytest.raises(ValueError, match="unit: expected one of"):
        ImplicitReward(start, unit="word")
    with pytest.raises(ValueError, match="separator: expected"):
        ImplicitReward(start, separator="")
    with pytest.raises(ValueError, match="worse: expected"):
        ContrastiveTokenReward(start, worse="{prompt}")
    with pytest.raises(TypeError, match="tokenizer"):
        CausalLogProbs(raw_model()[0])
    with pytest.raises(ValueError, match="batch_tokens: expected"):
        CausalLogProbs(*raw_model(), batch_tokens=0)


def test_a_folder_may_be_a_path(tmp_path):
    model, tokenizer = raw_model()
    model.save_pretrained(tmp_path / "start")
    tokenizer.save_pretrained(tmp_path / "start")
    by_path = ImplicitReward(tmp_path / "start", tmp_path / "start", unit="response")
    assert by_path.model == str(tmp_path / "start")
    np.testing.assert_allclose(by_path(DIALOGUES).outcome, 0.0, atol=1e-6)
