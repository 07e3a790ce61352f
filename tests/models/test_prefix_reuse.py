"""Shared prefixes among rows of tokens, and values that are those of a plain padded batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.core.samples import Chat
from guerdon.models.encoding import ChatEncoder
from guerdon.models.log_probs import CausalLogProbs
from guerdon.models.prefix_reuse import PrefixCache, SharedPrefix, reuse_obstacle, shared_prefixes
from guerdon.models.recent_encodings import RecentEncodings
from guerdon.models.self_aligned import SelfAligned
from tests.judges.models import QUESTIONS, raw_model, solved

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}
PROMPTS = ["Which is more, 12 or 7? Say it in words.", "hi", "Count to three and then stop at once."]
SAMPLES = [Chat(prompt, text) for prompt in PROMPTS for text in ("", "1", "one, two, three", "é" * 20)]
DIALOGUES = [Chat(dialogue[:1], dialogue[1:]) for dialogue in map(solved, QUESTIONS)] * 2


def groups(contexts: list[list[int]]) -> list[tuple[int, list[int]]]:
    return sorted((length, sorted(rows)) for length, rows in shared_prefixes(contexts))


def model_of(config: Any) -> Any:
    """Weights large enough that what a token attends to shows in its value."""
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    for weight in model.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.3)
    return model


def assert_same(found: list[Any], expected: list[Any]) -> None:
    for values, others in zip(found, expected, strict=True):
        np.testing.assert_allclose(values, others, rtol=0, atol=1e-4)


# -- which rows share what -----------------------------------------------------------------------------------------


def test_equal_prompts_are_a_group_and_a_header_of_all_does_not_keep_them_apart() -> None:
    header = [9, 9, 9]
    a, b = [*header, 1, 2, 3, 4], [*header, 5, 6, 7, 8]
    assert groups([a, b, a, b, a]) == [(7, [0, 2, 4]), (7, [1, 3])]


def test_prompts_that_share_only_a_header_share_it() -> None:
    assert groups([[9, 9, 9, k] for k in range(4)]) == [(3, [0, 1, 2, 3])]


def test_texts_that_grow_share_the_shortest() -> None:
    chain = [list(range(n)) for n in range(1000, 1020)]
    assert groups(chain) == [(1000, list(range(20)))]


def test_where_nothing_is_common_nothing_is_saved() -> None:
    assert sum(group.saved for group in shared_prefixes([[1], [2, 3], []])) == 0
    assert shared_prefixes([]) == []
    assert groups([[4, 5]]) == [(2, [0])]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), max_size=6), max_size=12))
def test_each_row_is_in_one_group_that_begins_alike(contexts: list[list[int]]) -> None:
    found = shared_prefixes(contexts)
    assert sorted(i for group in found for i in group.rows) == list(range(len(contexts)))
    for length, rows in found:
        assert len({tuple(contexts[i][:length]) for i in rows}) == 1
        assert all(len(contexts[i]) >= length for i in rows)
        # As long as it can be, and no group of equal rows would have saved more.
        assert (
            len(rows) == 1
            or len({tuple(contexts[i][: length + 1]) for i in rows}) > 1
            or (any(len(contexts[i]) == length for i in rows))
        )
    of_all = next((n for n in range(7) if len({tuple(c[: n + 1]) for c in contexts}) > 1), 0)
    of_all = min([of_all, *map(len, contexts)])
    assert sum(group.saved for group in found) >= (len(contexts) - 1) * of_all


def test_what_a_group_saves() -> None:
    assert SharedPrefix(5, [3, 1, 7]).saved == 10
    assert SharedPrefix(5, [3]).saved == 0


# -- values --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_tokens", [1, 60, 200, 10_000])
def test_values_are_those_of_a_plain_batch(batch_tokens: int) -> None:
    model, tokenizer = raw_model()
    shared = CausalLogProbs(model, tokenizer, batch_tokens=batch_tokens)
    plain = CausalLogProbs(model, tokenizer, reuse=False)
    assert shared.reuse
    assert not plain.reuse
    samples = [*SAMPLES, *DIALOGUES]
    order = np.random.default_rng(0).permutation(len(samples))
    mixed = [samples[i] for i in order]
    assert_same(shared.log_probs(mixed), plain.log_probs(mixed))


def test_a_prompt_of_one_token_and_a_prompt_that_is_a_prefix_of_another() -> None:
    model, tokenizer = raw_model()
    tokenizer = type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer, eos_token=tokenizer.eos_token)
    assert not tokenizer.chat_template
    texts = ["a", "bc", "bc dd", ""]
    samples = [Chat(prompt, text) for prompt in ("q", "q" * 12, "q" * 40) for text in texts]
    shared, plain = (CausalLogProbs(model, tokenizer, reuse=reuse) for reuse in (True, False))
    assert min(len(shared._encode(sample).ids) for sample in samples) == 1
    assert_same(shared.log_probs(samples), plain.log_probs(samples))


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", ["GPT2Config", "Qwen3Config", "OPTConfig"])
def test_other_architectures_and_positions_that_are_learnt(kind: str, attention: str) -> None:
    tokenizer = raw_model()[1]
    options = {**SMALL, "vocab_size": len(tokenizer)}
    options |= {"OPTConfig": {"word_embed_proj_dim": 32}, "Qwen3Config": {"num_key_value_heads": 2}}.get(
        kind, {}
    )
    config = getattr(transformers, kind)(**options, attn_implementation=attention)
    model = model_of(config)
    shared, plain = (CausalLogProbs(model, tokenizer, reuse=reuse) for reuse in (True, False))
    assert shared.reuse
    # A long prompt beside a short one with a long completion: padding reaches beyond the model's positions.
    short = [Chat("hi", "x " * 50 + str(k)) for k in range(3)]
    long = [Chat("y " * 50, str(k)) for k in range(3)]
    assert_same(shared.log_probs(short + long + SAMPLES), plain.log_probs(short + long + SAMPLES))


@pytest.mark.parametrize(
    ("kind", "extra", "text"),
    [
        (
            "MistralConfig",
            {"sliding_window": 8, "num_key_value_heads": 4},
            "keep a DynamicSlidingWindowLayer",
        ),
        ("MambaConfig", {}, "doesn't take"),
    ],
)
def test_a_model_that_cannot_reuse_is_scored_plainly(kind: str, extra: dict[str, Any], text: str) -> None:
    tokenizer = raw_model()[1]
    model = model_of(getattr(transformers, kind)(**SMALL, **extra, vocab_size=len(tokenizer)))
    source = CausalLogProbs(model, tokenizer)
    assert not source.reuse
    assert text in (reuse_obstacle(model) or "")
    assert_same(source.log_probs(SAMPLES), [source.log_probs([sample])[0] for sample in SAMPLES])


def test_fewer_tokens_are_computed() -> None:
    model, tokenizer = raw_model()
    passes = list[int]()
    hook = model.register_forward_pre_hook(
        lambda _, args, given: passes.append(given["input_ids"].numel()), with_kwargs=True
    )
    try:
        samples = [Chat("word " * 50, str(k)) for k in range(16)]
        CausalLogProbs(model, tokenizer).log_probs(samples)
        reused = sum(passes)
        passes.clear()
        CausalLogProbs(model, tokenizer, reuse=False).log_probs(samples)
        assert reused < sum(passes) / 4
        passes.clear()
        CausalLogProbs(model, tokenizer).log_probs([Chat("hi", "word " * 50 + str(k)) for k in range(8)])
        assert len(passes) == 1  # what they share isn't worth a pass
    finally:
        hook.remove()


def test_a_pass_takes_no_more_tokens_than_it_may_prompt_included() -> None:
    model, tokenizer = raw_model()
    sizes = list[int]()
    hook = model.register_forward_pre_hook(
        lambda _, args, given: sizes.append(given["attention_mask"].numel()), with_kwargs=True
    )
    try:
        CausalLogProbs(model, tokenizer, batch_tokens=400).log_probs(
            [Chat("word " * 50, str(k)) for k in range(16)]
        )
    finally:
        hook.remove()
    assert max(sizes) <= 400


def test_a_cache_serves_rows_again_and_in_any_order() -> None:
    model, _ = raw_model()
    model.eval()
    prefixes = [[5, 6, 7, 8], [9]]
    ids, mask = torch.tensor([[3, 4], [4, 0]]), torch.tensor([[1, 1], [1, 0]])
    with torch.no_grad():
        cache = PrefixCache(model, prefixes)
        for owners in ([0, 1], [1, 0], [0, 1]):
            logits = cache.logits(ids, mask, owners)
            for row, owner in enumerate(owners):
                whole = torch.tensor([[*prefixes[owner], *ids[row, : mask[row].sum()].tolist()]])
                expected = model(whole).logits[0, len(prefixes[owner]) :]
                torch.testing.assert_close(logits[row, : len(expected)], expected, rtol=0, atol=1e-4)


# -- what was encoded ----------------------------------------------------------------------------------------------


class Counted:
    def __init__(self, encode: Any) -> None:
        self.encode, self.calls = encode, 0

    def __call__(self, sample: Any) -> Any:
        self.calls += 1
        return self.encode(sample)


def test_a_sample_is_encoded_once_and_again_when_it_was_edited() -> None:
    counted = Counted(ChatEncoder(raw_model()[1]))
    encode = RecentEncodings(counted)
    messages = [{"role": "user", "content": "hi"}]
    first = encode(Chat(messages, "ho"))
    assert encode(Chat([{"role": "user", "content": "hi"}], "ho", reference=3)) is first
    assert counted.calls == 1
    messages[0]["content"] = "hello"
    assert encode(Chat(messages, "ho")).ids != first.ids
    for _ in range(2):
        with pytest.raises(ValueError, match="expected a Chat"):
            encode("text")


def test_the_oldest_are_forgotten() -> None:
    samples = [Chat("hi", str(k)) for k in range(3)]
    plain = ChatEncoder(raw_model()[1])
    counted = Counted(plain)
    encode = RecentEncodings(counted, tokens=2 * len(plain(samples[0]).ids))
    for k in (0, 1, 0, 2, 0, 2):
        encode(samples[k])
    assert counted.calls == 3
    encode(samples[1])
    assert counted.calls == 4
    long = Chat("hi", "word " * 50)
    assert encode(long).ids == plain(long).ids
    with pytest.raises(ValueError, match="tokens: expected"):
        RecentEncodings(plain, tokens=0)


def test_a_reward_encodes_each_sample_once() -> None:
    source = CausalLogProbs(*raw_model())
    counted = source._encode._encode = Counted(source._encode._encode)
    SelfAligned(source)(SAMPLES)
    # Without their question, samples with equal completions are equal.
    assert counted.calls == len(SAMPLES) + len({sample.completion for sample in SAMPLES})
