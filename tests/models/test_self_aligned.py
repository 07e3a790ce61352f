"""The self-aligned reward: the function, and the reward on policies of which the log-probabilities are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from guerdon import Chat
from guerdon.core.context import Context
from guerdon.core.recipe import load_reward
from guerdon.core.signal import Status
from guerdon.models.encoding import CompletionTokens
from guerdon.models.log_probs import CausalLogProbs
from guerdon.models.self_aligned import SelfAligned, self_aligned_reward, without_question

LOGS = st.floats(0, 1e4)


def of(ppl_given, ppl_alone, **options):
    return float(self_aligned_reward(*np.log([[ppl_given], [ppl_alone]]), **options)[0])


@given(given_=LOGS, alone=LOGS, use_log=st.booleans())
def test_the_relative_form_is_bounded_and_has_the_sign_of_the_drop(given_, alone, use_log):
    found = float(self_aligned_reward(np.array([given_]), np.array([alone]), use_log=use_log)[0])
    assert -1 <= found <= 1
    assert found * (alone - given_) >= 0


@given(tokens=st.lists(st.tuples(st.floats(-20, 0), st.floats(-20, 0)), min_size=1, max_size=6))
def test_the_paper_s_view_by_tokens(tokens):
    given_, alone = np.array(tokens).T
    found = self_aligned_reward(np.array([-given_.mean()]), np.array([-alone.mean()]))
    assert found[0] == pytest.approx(max(-1, 1 - math.exp(-(given_ - alone).mean())), abs=1e-6)


def test_forms_cap_and_logarithms():
    assert of(2, 5, form="difference") == pytest.approx(3)
    assert of(7, 5.5, form="difference") == pytest.approx(-1.5)
    assert of(9, 1, form="absolute") == pytest.approx(-4)
    assert of(9, 1, form="absolute", use_log=True) == pytest.approx(5 - math.log(9))
    assert of(20, 50, cap=10) == pytest.approx(0)
    assert of(2, math.e**4, use_log=True, cap=2) == pytest.approx((2 - math.log(2)) / 2)
    assert of(1, 1, use_log=True) == 0


def test_torch_agrees_and_keeps_its_dtype():
    logs = np.random.default_rng(0).uniform(0, 5, (2, 20)).astype(np.float32)
    for form in ("relative", "difference", "absolute"):
        found = self_aligned_reward(*torch.tensor(logs), form=form, cap=30.0)
        assert found.dtype == torch.float32
        np.testing.assert_allclose(
            found.numpy(), self_aligned_reward(*logs, form=form, cap=30.0), rtol=1e-4, atol=1e-5
        )


def test_wrong_arguments_are_named():
    one = np.ones(1)
    for message, arguments, options in (
        ("form: expected one of", (one, one), {"form": "ratio"}),
        ("cap: expected a finite number above 1", (one, one), {"cap": 1.0}),
        ("epsilon: expected", (one, one), {"epsilon": 0.0}),
        ("log_alone: expected shape", (one, np.ones(2)), {}),
        ("log_given: expected finite", (-one, one), {}),
        ("log_alone: expected finite", (one, one * math.nan), {}),
        ("log_alone: its perplexity is beyond", (one, one * 1e3), {"form": "difference"}),
    ):
        with pytest.raises(ValueError, match=message):
            self_aligned_reward(*arguments, **options)


class ByWord:
    """A policy with a token a word: a word that the prompt has costs 0.1 nats, another 2."""

    def cost(self, word, prompt):
        return -7.0 if word == "tool" else -0.1 if word in prompt else -2.0

    def log_probs(self, samples):
        return [
            np.array([self.cost(word, str(sample.prompt)) for word in sample.text.split()])
            for sample in samples
        ]

    def completion_tokens(self, sample):
        if sample.text == "unreadable":
            raise ValueError("too long")
        words = sample.text.split()
        return CompletionTokens(np.zeros((len(words), 2), int), np.array([w != "tool" for w in words], bool))


def scored(samples, policy=None, **options):
    return SelfAligned(**options)(samples, Context(policy=policy or ByWord()))


def test_an_answer_to_the_question_beats_a_padded_and_an_unrelated_one():
    prompt = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "three pears plus two pears"},
    ]
    signal = scored(
        [Chat(prompt, answer) for answer in ("three pears plus", "three pears well so", "so it goes")]
    )
    assert signal.outcome[0] == pytest.approx(1 - math.exp(-1.9))
    assert signal.outcome[0] > signal.outcome[1] > signal.outcome[2] == 0
    assert signal.parts["log_perplexity"].outcome[0] == pytest.approx(0.1)
    assert signal.parts["log_perplexity_alone"].outcome[0] == pytest.approx(2.0)


def test_the_prompt_without_its_question():
    system, user = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}
    chat = Chat([system, user, {"role": "assistant", "content": "?"}, user], "so", reference="r", group=3)
    alone = without_question(chat)
    assert alone.prompt == [system, {"role": "user", "content": ""}]
    assert (alone.completion, alone.reference, alone.group) == ("so", "r", 3)
    assert without_question(chat, system_as_user=True).prompt == [{"role": "user", "content": "Be brief."}]
    assert without_question(Chat([user], "so"), system_as_user=True).prompt == [
        {"role": "user", "content": ""}
    ]
    assert without_question(Chat("Why?", "so"), placeholder="…").prompt == "…"


def test_what_tools_answered_does_not_count():
    signal = scored([Chat("a", "a tool tool"), Chat("a", "a")])
    assert signal.outcome == pytest.approx([1 - math.exp(-1.9)] * 2)


def test_rows_without_a_value_say_why():
    class Odd(ByWord):
        def log_probs(self, samples):
            found = {"nan": [math.nan], "dense": [0.7]}
            return [
                np.array(found.get(s.text, row))
                for s, row in zip(samples, super().log_probs(samples), strict=True)
            ]

    class Uneven(ByWord):
        def log_probs(self, samples):
            return [
                row[: -1 if sample.prompt else None]
                for sample, row in zip(samples, super().log_probs(samples), strict=True)
            ]

    texts = ["", "tool", "nan", "dense", "unreadable", "fine", "\ud800"]
    signal = scored([*(Chat("q", text) for text in texts), object()], Odd())
    A, F, OK = Status.ABSTAINED, Status.FAILED, Status.OK
    assert signal.status.tolist() == [A, A, F, F, F, OK, OK, A]
    assert "no tokens" in signal.reasons[0]
    assert "too long" in signal.reasons[4]
    assert scored([Chat("q", "a b")], Uneven()).status.tolist() == [F]
    assert not len(scored([]))


@pytest.mark.parametrize("policy", [None, object()])
def test_without_a_source_that_tells_its_tokens_all_fail(policy):
    signal = SelfAligned()([Chat("q", "a")], Context(policy=policy))
    assert signal.status.tolist() == [Status.FAILED]
    assert "policy is a LogProbs" in signal.reasons[0]


def test_a_model_of_its_own_needs_no_context():
    reward = SelfAligned(ByWord())
    assert not reward.uses_context
    assert reward([Chat("a", "a")]).outcome == pytest.approx(scored([Chat("a", "a")]).outcome)


def test_one_at_a_time_is_the_same():
    samples = [Chat("a b", text) for text in ("a", "a c", "c c")]
    together = scored(samples)
    assert [scored([sample]).outcome[0] for sample in samples] == together.outcome.tolist()


TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture(scope="module")
def tiny_policy():
    """A causal language model with random weights, and a token a byte."""
    torch.manual_seed(0)
    letters = Tokenizer(BPE({c: i for i, c in enumerate(sorted(ByteLevel.alphabet()))}, []))
    letters.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=letters, eos_token="<end>", chat_template=TEMPLATE)
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=len(tokenizer), n_positions=256, n_embd=16, n_layer=1, n_head=2)
    )
    return CausalLogProbs(model, tokenizer)


def test_a_causal_language_model(tiny_policy):
    prompt = [{"role": "system", "content": "Add."}, {"role": "user", "content": "1 + 2"}]
    chat = Chat(prompt, "3")
    signal = scored([chat, Chat(prompt, "1 2 3")], tiny_policy)
    assert signal.ok.all()
    given_, alone = tiny_policy.log_probs([chat, without_question(chat)])
    assert signal.outcome[0] == pytest.approx(max(-1, 1 - math.exp(alone.mean() - given_.mean())), abs=1e-6)


def test_the_published_sum_pays_nothing_where_correctness_is_unknown():
    total = {
        "gate": {"sum": ["math", "self_aligned"], "weights": [1.0, 0.2]},
        "by": "math",
        "threshold": -1.0,
    }
    reward = load_reward({"name": "sar", "total": total})
    samples = [Chat("2", "\\boxed{2}", reference="2"), Chat("2", "\\boxed{3}", reference="2"), Chat("2", "2")]
    signal = reward(samples, Context(policy=ByWord()))
    assert signal.status.tolist() == [Status.OK, Status.OK, Status.ABSTAINED]
    aligned = scored(samples).outcome
    assert signal.outcome[:2] == pytest.approx([1 + 0.2 * aligned[0], 0.2 * aligned[1]])


def test_half_precision_keeps_its_epsilon() -> None:
    nothing = torch.zeros(1, dtype=torch.float16)
    assert self_aligned_reward(nothing, nothing, use_log=True).tolist() == [0.0]
