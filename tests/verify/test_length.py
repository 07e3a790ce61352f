"""Length terms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.core.registry import create
from guerdon.core.samples import Chat
from guerdon.core.signal import Status
from guerdon.verify.length import length_band, overlong_penalty


def outcome(name, sample, **arguments):
    return create(name, arguments=arguments)([sample]).outcome[0]


@pytest.mark.parametrize(
    ("length", "expected"), [(0, 0.0), (5, 0.5), (10, 1.0), (15, 1.0), (20, 1.0), (25, 0.5), (31, 0.0)]
)
def test_the_band_falls_linearly_on_both_sides(length, expected):
    assert length_band(length, 10, 20, 10) == expected


@settings(deadline=None)
@given(st.integers(0, 500), st.integers(1, 300))
def test_a_lower_edge_with_its_own_margin_is_the_ratio(length, limit):
    sample = Chat("p", "w " * length)
    assert outcome("length", sample, low=limit, margin=limit) == pytest.approx(min(1, length / limit))


def test_a_band_without_margin_is_a_step():
    assert outcome("length", Chat("p", "a b c"), high=3) == 1
    assert outcome("length", Chat("p", "a b c d"), high=3) == 0
    assert outcome("length", Chat("p", ""), low=1) == 0


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(1, 120), st.integers(0, 60))
def test_overlong_equals_trl(length, maximum, buffer):
    rewards = pytest.importorskip("trl.rewards")
    buffer = min(buffer, maximum)
    ids = list(range(length))
    (expected,) = rewards.get_soft_overlong_punishment(maximum, buffer)([ids])
    assert overlong_penalty(length, maximum, buffer) == pytest.approx(expected)
    sample = Chat("p", "", extra={"completion_ids": ids})
    assert outcome("overlong", sample, maximum=maximum, buffer=buffer) == pytest.approx(expected)


@pytest.mark.parametrize("ids", [[7, 8, 9], (7, 8, 9), np.array([7, 8, 9])])
def test_tokens_are_the_ids_that_the_policy_emitted(ids):
    sample = Chat("p", "one two", extra={"completion_ids": ids})
    assert outcome("length", sample, high=3, low=3, unit="tokens", tokenizer=str.split) == 1


def test_tokens_from_a_tokenizer():
    sample = Chat("p", "one two", extra={"completion_ids": None})
    assert outcome("length", sample, low=2, high=2, unit="tokens", tokenizer=str.split) == 1
    signal = create("length", arguments={"low": 2, "unit": "tokens"})([sample])
    assert signal.status[0] == Status.ABSTAINED
    assert "completion_ids" in signal.reasons[0]


def test_a_hugging_face_tokenizer():
    pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="[UNK]")
    sample = Chat("p", "one two three")
    assert outcome("length", sample, low=3, high=3, unit="tokens", tokenizer=tokenizer.tokenize) == 1
    signal = create("length", arguments={"low": 3, "unit": "tokens", "tokenizer": tokenizer})([sample])
    assert signal.status[0] == Status.FAILED
    assert "BatchEncoding" in signal.reasons[0]


def test_a_hugging_face_id(tmp_path):
    pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=core, unk_token="[UNK]").save_pretrained(tmp_path)
    sample = Chat("p", "one two three")
    assert outcome("length", sample, low=3, high=3, unit="tokens", tokenizer=str(tmp_path)) == 1


@pytest.mark.parametrize("ids", ["text", [[1, 2]], [1.5], 3, np.zeros((2, 2), int)])
def test_ids_that_are_no_ids_fail(ids):
    signal = create("length", arguments={"low": 2, "unit": "tokens"})(
        [Chat("p", "", extra={"completion_ids": ids})]
    )
    assert signal.status[0] == Status.FAILED
    assert "completion_ids" in signal.reasons[0]


def test_all_assistant_turns_count():
    messages = [
        {"role": "assistant", "content": "one two"},
        {"role": "tool", "content": "a long tool result"},
        {"role": "assistant", "content": "three"},
    ]
    assert outcome("length", Chat("p", messages), low=3, high=3) == 1


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("length", {}),
        ("length", {"low": 5, "high": 4}),
        ("length", {"low": -1}),
        ("length", {"low": float("nan")}),
        ("length", {"low": 1, "margin": -1}),
        ("length", {"low": 1, "unit": "bytes"}),
        ("overlong", {"maximum": 10, "buffer": 11}),
        ("overlong", {"maximum": 10, "buffer": -1}),
        ("overlong", {"maximum": float("inf"), "buffer": 1}),
    ],
)
def test_wrong_options_raise(name, arguments):
    with pytest.raises(ValueError):
        create(name, arguments=arguments)


def test_ten_megabytes():
    sample = Chat("p", "\ud800 " * 5_000_000)
    assert outcome("length", sample, low=5_000_000, high=5_000_000) == 1
    assert outcome("length", sample, low=10_000_000, high=10_000_000, unit="characters") == 1


def test_the_count_of_units():
    samples = [Chat("q", "two words"), Chat("q", ""), Chat("q", "a", extra={"completion_ids": [1, 2, 3]})]
    assert create("unit_count")(samples).outcome.tolist() == [2, 0, 1]
    assert create("unit_count", arguments={"unit": "characters"})(samples).outcome.tolist() == [9, 0, 1]
    tokens = create("unit_count", arguments={"unit": "tokens"})(samples)
    assert tokens.status.tolist() == [Status.ABSTAINED, Status.ABSTAINED, Status.OK]
    assert tokens.outcome[2] == 3
