"""The discriminative process reward model: its network, and the reward that asks it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from guerdon.core.context import EMPTY
from guerdon.core.samples import Chat, Episode
from guerdon.core.segmenters import separated
from guerdon.core.signal import Status
from guerdon.models.process_reward import ProcessReward
from tests.judges.models import raw_model, solved

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from guerdon.models.step_head import StepHead, step_loss  # noqa: E402

STEPS = ["First, 1 + 2 = 3.", "Then 3 * 3 = 9 \U0001f600 é.", "So it is 9."]
SOLUTION = Chat("What is (1 + 2) * 3?", "\n\n".join(STEPS))
OTHERS = [Chat("hi", "One step."), Chat("hi " * 30, "a\n\nb"), Chat("hi", "\ud800 and\n\n\n\nmore\n\n")]
EPISODE: Any = Episode(np.zeros(2), np.zeros(1), np.zeros(1))


def make_head(**options: Any) -> StepHead:
    model, tokenizer = raw_model()
    return StepHead(copy.deepcopy(model), tokenizer, **options).eval()


@pytest.fixture(scope="module")
def head() -> StepHead:
    return make_head()


@pytest.fixture(scope="module")
def reward(head: StepHead) -> ProcessReward:
    return ProcessReward(head)


# -- values ----------------------------------------------------------------------------------------------------------


def test_a_value_is_the_head_on_the_last_state_of_the_step(head, reward):
    model, tokenizer = raw_model()
    messages = [{"role": "user", "content": SOLUTION.prompt}, {"role": "assistant", "content": STEPS[0]}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    upto = tokenizer(text[: text.index(STEPS[0]) + len(STEPS[0])], return_tensors="pt")
    with torch.no_grad():
        state = model.base_model(**upto).last_hidden_state[0, -1]
        expected = head.head(state).sigmoid().item()
    assert reward([SOLUTION]).dense.values[0] == pytest.approx(expected, abs=1e-5)


def test_dense_values_are_probabilities_over_the_steps_of_the_text(reward):
    signal = reward([SOLUTION, *OTHERS])
    assert (signal.outcome == 0).all()
    assert signal.dense.unit == "step"
    assert ((signal.dense.values > 0) & (signal.dense.values < 1)).all()
    for i, sample in enumerate([SOLUTION, *OTHERS]):
        assert signal.dense.row_spans(i).tolist() == list(map(list, separated("\n\n")(sample.text)))


@pytest.mark.parametrize("batch_tokens", [1, 200, 10_000])
def test_a_batch_has_what_each_sample_has_alone(head, reward, batch_tokens):
    samples = [SOLUTION, *OTHERS]
    together = ProcessReward(head, batch_tokens=batch_tokens)(samples)
    for i, sample in enumerate(samples):
        alone = reward.score(sample, EMPTY)
        np.testing.assert_allclose(together.dense.row(i), alone.dense, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("ending", ["", "\n\n", "\n \n\n"])
def test_a_step_is_worth_the_same_whatever_stands_behind_it(reward, count, ending):
    whole = reward([SOLUTION]).dense.values
    part = reward([Chat(SOLUTION.prompt, "\n\n".join(STEPS[:count]) + ending)]).dense.values
    np.testing.assert_allclose(part, whole[:count], atol=1e-5)


def test_a_step_depends_on_the_steps_before_it(reward):
    whole = reward([SOLUTION]).dense.values
    other = reward([Chat(SOLUTION.prompt, "\n\n".join(["Nonsense.", *STEPS[1:]]))]).dense.values
    assert abs(other[1] - whole[1]) > 1e-4


def test_text_and_messages_are_the_same_chat(reward):
    messages = Chat(
        [{"role": "user", "content": SOLUTION.prompt}], [{"role": "assistant", "content": SOLUTION.text}]
    )
    np.testing.assert_array_equal(reward([messages]).dense.values, reward([SOLUTION]).dense.values)


def test_results_of_tools_are_in_no_step(head):
    dialogue = solved("12+7")
    dialogue[1] = {**dialogue[1], "content": "I ask.\n\n"}
    sample = Chat(dialogue[:1], dialogue[1:])
    steps = head.steps(sample)
    assert [sample.text[start:end] for start, end in steps.spans] == ["I ask.\n\n", "\nThe answer is 19."]
    last = head.tokenizer.decode([steps.ids[end] for end in steps.ends])
    assert last.endswith(".")
    assert "19" in head.tokenizer.decode(steps.ids[: steps.ends[1]])
    assert "19" not in head.tokenizer.decode(steps.ids[: steps.ends[0]])


def test_a_rating_is_not_bounded():
    head = make_head(output="rating")
    with torch.no_grad():
        head.head.bias.fill_(7.0)
    assert ProcessReward(head)([SOLUTION]).dense.values.min() > 1.5


def test_the_backbone_may_read_words_and_have_no_template(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    words = {"[UNK]": 0, "Q": 1, "one": 2, "two": 3, ".": 4}
    plain = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    plain.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    config = transformers.BertConfig(
        vocab_size=5, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="[UNK]")
    head = StepHead(transformers.BertForMaskedLM(config), tokenizer, hidden=4).eval()
    steps = head.steps(Chat("Q", " one .\n\ntwo .\n\n"))
    assert steps.ends.tolist() == [2, 4]
    assert ProcessReward(head)([Chat("Q", " one .\n\ntwo .\n\n")]).dense.lengths.tolist() == [2]


# -- what can't be scored --------------------------------------------------------------------------------------------


def test_each_sample_that_cannot_be_scored_says_why_and_harms_no_other(reward):
    blank, long = Chat("hi", " \n\n "), Chat("hi", "a step\n\n" * 2000)
    call: Any = {"type": "function", "function": {"name": "f", "arguments": "{not json"}}
    broken = Chat("hi", [{"role": "assistant", "content": "x", "tool_calls": [call]}])
    signal = reward([blank, long, EPISODE, broken, SOLUTION])
    assert signal.status.tolist() == [Status.ABSTAINED, *[Status.FAILED] * 3, Status.OK]
    assert "has no step" in signal.reasons[0]
    assert "takes 1024 tokens" in signal.reasons[1]
    assert "expected a Chat" in signal.reasons[2]
    assert signal.dense.lengths.tolist() == [0, 0, 0, 0, 3]


def test_a_step_without_a_token_of_its_own_fails(head):
    with pytest.raises(ValueError, match="step 1: no token of its own"):
        head.steps(SOLUTION, [(0, 5), (5, 5)])
    with pytest.raises(ValueError, match="step 0: no token of its own"):
        head.steps(Chat("hi", "a \n\n b"), [(1, 4)])


def test_a_value_that_is_not_finite_fails():
    head = make_head()
    with torch.no_grad():
        head.head.weight.fill_(float("nan"))
    signal = ProcessReward(head)([SOLUTION])
    assert signal.status.tolist() == [Status.FAILED]
    assert "step 0 is nan" in signal.reasons[0]


def test_no_samples_have_no_values(reward):
    assert len(reward([])) == 0


def test_options_out_of_range_are_named():
    model, tokenizer = raw_model()
    with pytest.raises(ValueError, match="batch_tokens"):
        ProcessReward("folder", batch_tokens=0)
    with pytest.raises(ValueError, match="output"):
        StepHead(model, tokenizer, output="class")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="separator"):
        StepHead(model, tokenizer, separator="")
    with pytest.raises(ValueError, match="hidden"):
        StepHead(model, tokenizer, hidden=0)
    with pytest.raises(TypeError, match="tokenizer"):
        StepHead(model)
    with pytest.raises(TypeError, match="backbone: expected a transformers model, got Linear"):
        StepHead(torch.nn.Linear(2, 2), tokenizer)


# -- folders and identity --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"output": "rating", "hidden": 16, "separator": "\n"}])
def test_a_saved_model_scores_as_before(tmp_path, options):
    head = make_head(seed=3, **options)
    head.save_pretrained(tmp_path)
    loaded = ProcessReward(str(tmp_path))
    loaded.prepare()
    before, after = ProcessReward(head)([SOLUTION, *OTHERS]), loaded([SOLUTION, *OTHERS])
    np.testing.assert_allclose(after.dense.values, before.dense.values, atol=1e-6)
    np.testing.assert_array_equal(after.dense.spans, before.dense.spans)
    assert StepHead.from_pretrained(tmp_path, device="cpu").fingerprint() == head.fingerprint()


def test_a_saved_model_keeps_its_precision(tmp_path):
    head = make_head()
    head.backbone.to(torch.bfloat16)
    head.save_pretrained(tmp_path)
    loaded = StepHead.from_pretrained(tmp_path, device="cpu")
    assert loaded.backbone.dtype == torch.bfloat16
    assert ProcessReward(loaded)([SOLUTION]).dense.lengths.tolist() == [3]


def test_a_plain_checkpoint_is_a_backbone_but_not_a_reward(tmp_path):
    model, tokenizer = raw_model()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    StepHead(tmp_path)
    with pytest.raises(OSError, match=r"step_head\.json"):
        ProcessReward(str(tmp_path)).prepare()


def test_the_fingerprint_is_that_of_weights_and_head():
    head = make_head()
    reward = ProcessReward(head)
    before = reward.fingerprint()
    assert ProcessReward(make_head()).fingerprint() == before
    assert ProcessReward(make_head(seed=1)).fingerprint() != before
    assert ProcessReward(make_head(separator="\n")).fingerprint() != before
    with torch.no_grad():
        head.head.bias += 0.5
    assert reward.fingerprint() != before


def test_a_new_head_leaves_the_random_numbers_of_the_caller_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    make_head()
    assert torch.equal(torch.rand(3), expected)


# -- loss ------------------------------------------------------------------------------------------------------------


def test_a_step_without_a_label_has_no_part_in_the_loss():
    logits = torch.tensor([[0.3, -1.2], [2.0, 5.0]], requires_grad=True)
    labels = torch.tensor([[1.0, 0.25], [0.0, float("nan")]])
    loss = step_loss(logits, labels)
    p = 1 / (1 + np.exp(-np.array([0.3, -1.2, 2.0])))
    y = np.array([1.0, 0.25, 0.0])
    assert loss.item() == pytest.approx(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(), abs=1e-6)
    loss.backward()
    np.testing.assert_allclose(logits.grad.flatten()[:3], (p - y) / 3, atol=1e-6)
    assert logits.grad[1, 1] == 0


def test_the_loss_of_a_rating_is_its_squared_error():
    logits, labels = torch.tensor([3.0, -2.0, 9.0]), torch.tensor([1.0, -1.0, float("nan")])
    assert step_loss(logits, labels, "rating").item() == pytest.approx(2.5)


def test_a_loss_over_no_label_is_an_error():
    with pytest.raises(ValueError, match="labels: expected at least one"):
        step_loss(torch.zeros(2), torch.full((2,), float("nan")))
