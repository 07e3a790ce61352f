"""Next steps from a local model: what a step is, what it costs, and that batches change nothing."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from guerdon.steer.causal_proposals import CausalPolicy

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

PROMPT = [{"role": "user", "content": "7 +5"}]
PREFIXES = [(), ("7+5=2",), ("7+5=2", "answer 2"), ("2",)]


@pytest.fixture(scope="module")
def raw() -> tuple[Any, Any]:
    """Random weights over 20 characters, so that lines and turns are short. Each character is a token."""
    from guerdon.lab.characters import character_tokenizer
    from guerdon.lab.policy import PAD, START, make_model

    tokenizer = character_tokenizer(["7 +5=2\nanswer 0123468 9-*"])
    model = make_model(tokenizer, 0, layers=2, width=32)
    model.generation_config.suppress_tokens = tokenizer.convert_tokens_to_ids([PAD, START])
    return model, tokenizer


@pytest.fixture(scope="module")
def fitted() -> tuple[Any, Any]:
    """Knows the form of chains of one operation."""
    from guerdon.lab.chains import Chains
    from guerdon.lab.characters import character_model

    world, rng = Chains(1), random.Random(0)
    return character_model([world.demonstrate(task, rng, 0.0) for task in world.tasks(64 * 60)], width=32)


@pytest.fixture
def policy(raw: tuple[Any, Any]) -> Callable[..., CausalPolicy]:
    return lambda **options: CausalPolicy(*raw, **{"max_tokens": 24, **options})


def asked(policy: CausalPolicy, prefixes: Any = PREFIXES, width: int = 3, seed: int = 0) -> Any:
    return policy.proposals(PROMPT)(prefixes, width, np.random.default_rng(seed))


def test_a_step_ends_at_the_separator_the_end_of_the_turn_or_the_limit(policy):
    found = [one for steps in asked(policy(), width=40) for one in steps]
    cut = [one for one in found if one.tokens == 24 and len(one.step) == 24]
    finished = [one for one in found if one.finished]
    separated = [one for one in found if not one.finished and one not in cut]
    assert cut
    assert finished
    assert separated
    assert not any("\n" in one.step for one in found)
    assert all(one.tokens == len(one.step) + 1 for one in finished + separated)
    assert not any(one.finished for one in cut)


def test_there_are_as_many_as_asked_for_each_prefix(policy):
    assert [len(steps) for steps in asked(policy(batch_size=5), width=7)] == [7] * 4


def test_steps_that_are_joined_are_what_the_model_writes_in_one_go(fitted):
    model, tokenizer = fitted
    opened = tokenizer.apply_chat_template(
        PROMPT, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    made = model.generate(**opened, max_new_tokens=40, do_sample=False)[0, opened["input_ids"].shape[1] :]
    expected = tokenizer.decode(made, skip_special_tokens=True)
    assert "\n" in expected
    propose = CausalPolicy(model, tokenizer, temperature=0.0).proposals(PROMPT)
    steps, finished = (), False
    while not finished:
        ((proposal,),) = propose([steps], 1, np.random.default_rng(0))
        steps, finished = (*steps, proposal.step), proposal.finished
    assert "\n".join(steps) == expected


def test_the_generator_decides_everything_and_the_global_one_stays(policy):
    before = torch.random.get_rng_state()
    first, again, other = (asked(policy(), seed=seed) for seed in (5, 5, 6))
    assert first == again != other
    assert torch.equal(before, torch.random.get_rng_state())


def test_each_call_of_one_search_draws_anew(policy):
    rng = np.random.default_rng(0)
    propose = policy().proposals(PROMPT)
    assert propose(PREFIXES, 3, rng) != propose(PREFIXES, 3, rng)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_greedy_steps_do_not_depend_on_what_is_in_the_batch(policy, batch_size):
    greedy = policy(temperature=0.0, batch_size=batch_size)
    together = asked(greedy, width=1)
    assert together == [asked(greedy, [prefix], 1)[0] for prefix in PREFIXES]
    assert len({steps[0].step for steps in together}) > 1


@pytest.mark.parametrize("reuses", [True, False])
def test_a_prefix_is_computed_once_for_all_its_steps(raw, policy, monkeypatch, reuses):
    """And the steps are those of a model that can't keep what it computed of a prefix."""
    expected = asked(policy(), width=6)
    if not reuses:
        monkeypatch.setattr("guerdon.steer.causal_proposals.reuse_obstacle", lambda model: "for the test")
    passes = []
    hook = raw[0].register_forward_pre_hook(
        lambda _, args, given: passes.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    try:
        assert asked(policy(), width=6) == expected
    finally:
        hook.remove()
    rows = [shape[0] for shape in passes if shape[1] > 1]
    assert rows == [len(PREFIXES) * (1 if reuses else 6)]


def test_a_hot_policy_differs_more_than_a_cold_one(policy):
    hot, cold = ({one.step for one in asked(policy(temperature=t), [()], 40)[0]} for t in (3.0, 1e-3))
    assert len(cold) == 1 < len(hot)


def test_padding_may_be_the_end_of_a_turn(raw):
    model, tokenizer = raw
    alike = copy.deepcopy(tokenizer)
    alike.pad_token = alike.eos_token
    options = {"max_tokens": 24, "batch_size": 64}
    assert asked(CausalPolicy(model, alike, **options), width=20) == asked(
        CausalPolicy(model, tokenizer, **options), width=20
    )


def test_a_separator_of_two_lines_is_looked_for_in_what_is_written_only(policy):
    found = [one for steps in asked(policy(separator="\n\n", max_tokens=60), width=60) for one in steps]
    assert any("\n" in one.step for one in found)
    assert not any("\n\n" in one.step for one in found)
    for one in found:
        assert one.tokens == len(one.step) + (1 if one.finished else 2) or (one.tokens, one.finished) == (
            60,
            False,
        )
    assert not any(one.step == "\n" and one.tokens < 60 and not one.finished for one in found)


def test_a_token_with_the_separator_and_more_loses_no_text():
    """As tokens of two line breaks, or of a break and the space behind it, in the tokenizers of large models."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    pieces = ["<s>", "</s>", "a", "b", "\n", "\n\n", "\n  "]
    inner = Tokenizer(models.WordLevel({piece: i for i, piece in enumerate(pieces)}, unk_token="<s>"))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.Split("", "isolated"), decoders.Fuse()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="</s>", pad_token="</s>"
    )
    config = transformers.LlamaConfig(
        vocab_size=7,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        eos_token_id=1,
    )
    policy = CausalPolicy(transformers.LlamaForCausalLM(config), tokenizer)
    for written, step in (
        ([2, 5], "a\n"),
        ([2, 4], "a"),
        ([4], ""),
        ([2, 6, 3, 4], "a\n  b"),
        ([2, 6, 3, 1], "a\n  b"),
        ([2, 5, 1, 1], "a\n"),
    ):
        found = policy._read(written)
        assert (found.step, found.finished) == (step, written == [2, 6, 3, 1])
    stopped = policy._separated(1)
    rows = torch.tensor([[2, 2, 5], [2, 2, 6], [4, 2, 2], [2, 2, 4]])
    assert stopped(rows, None).tolist() == [True, False, False, True]


def test_a_prompt_without_room_or_without_a_token_is_refused(raw):
    with pytest.raises(ValueError, match="max_tokens: the model has 1024 positions"):
        CausalPolicy(*raw, max_tokens=1024)
    with pytest.raises(ValueError, match="prompt: expected 1 to 1000 tokens"):
        CausalPolicy(*raw, max_tokens=24).proposals("2" * 1000)
    bare = copy.deepcopy(raw[1])
    bare.chat_template = None
    bare._tokenizer.post_processor = None
    with pytest.raises(ValueError, match=r"prompt: expected 1 to .* got 0"):
        CausalPolicy(raw[0], bare, max_tokens=24).proposals("")


def test_a_lone_surrogate_in_a_step_is_read_as_a_question_mark(policy):
    assert [len(steps) for steps in asked(policy(), [("\ud800",)], 2)] == [2]


def test_a_prefix_without_room_has_no_proposals(policy):
    # 1024 positions; start, prompt, and a mark of the turn are 5 of them.
    fits, beyond = ("2" * (1024 - 24 - 6),), ("2" * (1024 - 24 - 5),)
    assert [len(steps) for steps in asked(policy(), [fits, beyond, ()], 2)] == [2, 0, 2]


def test_the_mode_of_the_model_stays(raw):
    model, tokenizer = raw
    model.train()
    asked(CausalPolicy(model, tokenizer, max_tokens=2))
    assert model.training
    model.eval()


def test_without_a_template_a_text_is_continued(raw):
    model, tokenizer = raw
    bare = copy.deepcopy(tokenizer)
    bare.chat_template = None
    policy = CausalPolicy(model, bare, temperature=0.0, max_tokens=8)
    opened = tokenizer.apply_chat_template(PROMPT, add_generation_prompt=True, tokenize=False)
    propose = policy.proposals(opened)
    assert propose([()], 1, np.random.default_rng(0)) == CausalPolicy(
        model, tokenizer, temperature=0.0, max_tokens=8
    ).proposals("7 +5")([()], 1, np.random.default_rng(0))
    with pytest.raises(TypeError, match="no chat template"):
        policy.proposals(PROMPT)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"separator": ""}, "separator"),
        ({"temperature": -1.0}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_options_out_of_range_are_refused(policy, options, expected):
    with pytest.raises(ValueError, match=rf"CausalPolicy\.{expected}"):
        policy(**options)


def test_a_loaded_model_needs_its_tokenizer(raw):
    with pytest.raises(TypeError, match="tokenizer"):
        CausalPolicy(raw[0])
