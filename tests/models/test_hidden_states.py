"""The tokens that a policy emitted, their log-probabilities with gradient, and the states that predicted them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from guerdon.core.samples import Chat, Episode
from guerdon.models.completion_log_probs import TokenRow, completion_log_probs
from guerdon.models.encoding import ChatEncoder
from guerdon.models.hidden_states import CausalStates
from guerdon.models.log_probs import CausalLogProbs
from tests.judges.models import QUESTIONS, raw_model, solved

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

DIALOGUE = Chat(solved("12+7")[:1], solved("12+7")[1:])
TEXTS = [Chat("hi", "First.\n\nSecond \U0001f600 é."), Chat("hi " * 30, ""), Chat("hi", " \ud800\n")]


@pytest.fixture(scope="module")
def states() -> CausalStates:
    return CausalStates(*raw_model())


@pytest.fixture(scope="module")
def encode() -> ChatEncoder:
    return ChatEncoder(raw_model()[1])


def emitted(sample: Chat, ids: Any) -> Chat:
    return Chat(sample.prompt, sample.completion, extra={"completion_ids": ids})


# -- which tokens ----------------------------------------------------------------------------------------------------


def test_without_emitted_ids_the_tokens_are_those_of_the_text(encode):
    for sample in (DIALOGUE, *TEXTS):
        row, encoded = TokenRow.of(sample, encode), encode(sample)
        assert (row.ids, row.first) == (encoded.ids, encoded.first)
        np.testing.assert_array_equal(row.written, encoded.tokens.written)


def test_emitted_ids_are_kept_though_the_text_encodes_to_others(encode):
    text = "the answer"
    single = [encode(Chat("hi", letter)).ids[encode(Chat("hi", letter)).first] for letter in text]
    whole = encode(Chat("hi", text))
    assert single != whole.ids[whole.first : whole.first + len(single)]
    for ids in (single, np.array(single), torch.tensor(single)):
        row = TokenRow.of(emitted(Chat("hi", text), ids), encode)
        assert row.ids == whole.ids[: whole.first] + single
        assert row.written.tolist() == [True] * len(single)


def test_a_completion_that_was_cut_off_has_the_tokens_until_there(encode):
    whole = TokenRow.of(DIALOGUE, encode)
    ids = whole.ids[whole.first : -1]
    row = TokenRow.of(emitted(DIALOGUE, ids), encode)
    assert row.ids[row.first :] == ids
    np.testing.assert_array_equal(row.written, whole.written[:-1])
    with pytest.raises(ValueError, match="aren't the tokens of the text"):
        TokenRow.of(emitted(DIALOGUE, ids[:4]), encode)


def test_tokens_of_tools_that_cannot_be_told_apart_are_an_error(encode):
    ids = TokenRow.of(DIALOGUE, encode).ids
    with pytest.raises(ValueError, match="those of tools can't be told apart"):
        TokenRow.of(emitted(DIALOGUE, ids[::-1]), encode)


@pytest.mark.parametrize("ids", [[1.5], "12", [[1]], [-1], ["a"], 3])
def test_ids_that_are_none_are_an_error(encode, ids):
    with pytest.raises(ValueError, match="completion_ids"):
        TokenRow.of(emitted(TEXTS[0], ids), encode)


# -- log-probabilities ------------------------------------------------------------------------------------------------


def test_log_probs_are_those_of_the_source_that_scores_one_sample(encode):
    samples = [DIALOGUE, *TEXTS]
    rows = [TokenRow.of(sample, encode) for sample in samples]
    found, written = completion_log_probs(raw_model()[0], rows)
    assert found.dtype == torch.float32
    for i, expected in enumerate(CausalLogProbs(*raw_model()).log_probs(samples)):
        size = expected.size
        np.testing.assert_allclose(found[i, :size].detach().numpy(), expected, atol=1e-4)
        np.testing.assert_array_equal(written[i, :size].numpy(), rows[i].written)
        assert not found[i, size:].any()
        assert not written[i, size:].any()


def test_a_step_along_the_gradient_makes_a_completion_likelier(encode):
    model = copy.deepcopy(raw_model()[0])
    rows = [TokenRow.of(DIALOGUE, encode)]
    before, written = completion_log_probs(model, rows)
    (-before[written].sum()).backward()
    torch.optim.SGD(model.parameters(), lr=1e-4).step()
    after, _ = completion_log_probs(model, rows)
    assert after[written].sum().item() > before[written].sum().item()


def test_no_row_is_an_error():
    with pytest.raises(ValueError, match="rows: expected at least one"):
        completion_log_probs(raw_model()[0], [])


# -- states -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_tokens", [1, 10_000])
def test_states_are_those_before_each_token(batch_tokens):
    model, tokenizer = raw_model()
    states = CausalStates(model, tokenizer, batch_tokens=batch_tokens)
    rows = [states.tokens(sample) for sample in (DIALOGUE, *TEXTS)]
    vocabulary = [5, 3, 40]
    for row, found in zip(rows, states(rows, vocabulary), strict=True):
        with torch.no_grad():
            output = model(torch.tensor([row.ids]), output_hidden_states=True)
        before = slice(row.first - 1, len(row.ids) - 1)
        np.testing.assert_allclose(found.hidden, output.hidden_states[-1][0, before], atol=1e-3)
        expected = output.logits[0, before].softmax(-1)[:, vocabulary]
        np.testing.assert_allclose(found.probabilities, expected, atol=1e-4)
        assert found.hidden.shape[0] == row.written.size
        assert not found.hidden.requires_grad


def test_hidden_states_are_what_the_output_layer_reads(states):
    model, _ = raw_model()
    row = states.tokens(DIALOGUE)
    (found,) = states([row], range(model.config.vocab_size))
    logits = model.get_output_embeddings()(found.hidden)
    np.testing.assert_allclose(logits.softmax(-1).detach(), found.probabilities, atol=1e-4)


def test_a_model_in_training_is_asked_without_dropout_and_left_in_training(states):
    model = copy.deepcopy(raw_model()[0]).train()
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.5
    asked = CausalStates(model, raw_model()[1])
    row = asked.tokens(TEXTS[0])
    np.testing.assert_allclose(asked([row], [1])[0].hidden, states([row], [1])[0].hidden, atol=1e-4)
    assert model.training


def test_half_precision_is_widened(states):
    model = copy.deepcopy(raw_model()[0]).to(torch.bfloat16)
    asked = CausalStates(model, raw_model()[1])
    (found,) = asked([asked.tokens(TEXTS[0])], [1, 2])
    assert found.hidden.dtype == found.probabilities.dtype == torch.float32


def test_errors_at_the_door(states):
    assert states([], [1]) == []
    with pytest.raises(ValueError, match="a model and a tokenizer in this process, got NoneType"):
        CausalStates.of(None)
    with pytest.raises(ValueError, match="batch_tokens: expected an integer"):
        CausalStates(*raw_model(), batch_tokens=0)
    with pytest.raises(ValueError, match="expected a Chat"):
        states.tokens(Episode(np.zeros(2), np.zeros(1), np.zeros(1)))


def test_all_questions_encode(states):
    assert all(states.tokens(Chat(solved(q)[:1], solved(q)[1:])).written.any() for q in QUESTIONS)
