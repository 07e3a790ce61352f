"""BLEU, ROUGE and chrF: the published cases, the reference packages, and rewards on bad input."""

from __future__ import annotations

import json
import random

import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.core.registry import create
from guerdon.core.samples import Chat
from guerdon.core.signal import Status
from guerdon.verify.bleu import SACREBLEU, sentence_bleu
from guerdon.verify.chrf import sentence_chrf
from guerdon.verify.ngrams import EmptyReference
from guerdon.verify.overlap import BleuRouge, answer_text
from guerdon.verify.rouge import longest_common_subsequence, sentence_rouge

words = st.sampled_from(
    ["the", "The", "cat", "sat", "on", "mat.", "3.5", "well-known", "(a)", "...", "&amp;", "猫", "é"]
)
sentences = st.one_of(st.lists(words, max_size=15).map(" ".join), st.text(max_size=25))
references_of = st.lists(sentences, min_size=1, max_size=4)


def has_token(references):
    return any(text.strip() for text in references)


# -- BLEU ----------------------------------------------------------------------------------------------------------


def test_published_cases(shared_golden):
    cases = json.loads((shared_golden / "bleuberi.json").read_text())["cases"]
    cases = [case for case in cases if case["call"].startswith("sentence_bleu")]
    assert cases
    for case in cases:
        value = sentence_bleu(case["inputs"]["prediction"], case["inputs"]["references"])
        assert value == pytest.approx(case["expected"], abs=case["tolerance"]), case["name"]


@settings(max_examples=300, deadline=None)
@given(
    sentences,
    references_of.filter(has_token),
    st.sampled_from(
        [("exp", None), ("floor", None), ("floor", 0.5), ("add-k", None), ("add-k", 0.0), ("none", None)]
    ),
    st.booleans(),
    st.booleans(),
    st.integers(1, 5),
)
def test_bleu_equals_sacrebleu(candidate, references, smoothing, effective_order, lowercase, max_order):
    method, value = smoothing
    metric = sacrebleu.BLEU(
        lowercase=lowercase,
        smooth_method=method,
        smooth_value=value,
        effective_order=effective_order,
        max_ngram_order=max_order,
    )
    found = sentence_bleu(
        candidate,
        references,
        max_order=max_order,
        smoothing=method.replace("-", "_"),
        smooth_value=value,
        effective_order=effective_order,
        reference_length="closest",
        tokenizer="sacrebleu_13a",
        lowercase=lowercase,
    )
    assert found == pytest.approx(metric.sentence_score(candidate, references).score / 100, abs=1e-9)


@settings(deadline=None)
@given(sentences, references_of.filter(has_token))
def test_the_sacrebleu_options_equal_its_default(candidate, references):
    expected = sacrebleu.sentence_bleu(candidate, references).score / 100
    assert sentence_bleu(candidate, references, **SACREBLEU) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("ours", "theirs"), [("characters", "char"), ("whitespace", "none")])
def test_other_tokenizers_equal_sacrebleu(ours, theirs):
    candidate, reference = "我们都喜欢 红色 的猫。", "我们 都喜欢红色的狗。"
    expected = sacrebleu.sentence_bleu(candidate, [reference], tokenize=theirs).score / 100
    assert sentence_bleu(candidate, [reference], **{**SACREBLEU, "tokenizer": ours}) == pytest.approx(
        expected
    )


@settings(deadline=None)
@given(sentences, references_of.filter(has_token))
def test_bleu_stays_in_range_and_a_copy_is_best(candidate, references):
    assert 0 <= sentence_bleu(candidate, references) <= 1
    copy = next(text for text in references if text.strip())
    best = sentence_bleu(copy, references)
    assert best == pytest.approx(1) or not copy.replace("<skipped>", "").strip()


def test_the_shortest_and_the_closest_reference():
    references = ["a b c d e f g h", "a b c", "", "q q q q q"]
    assert sentence_bleu("a b", references, max_order=1) == pytest.approx(2.718281828459045 ** (1 - 3 / 2))
    # 4 tokens lie between 3 and 5: the shorter one counts, so nothing is taken off
    assert sentence_bleu("a b c d", references, max_order=1, reference_length="closest") == 1
    # the empty reference is the closest to one token
    assert sentence_bleu("a", references, max_order=1, reference_length="closest") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smoothing": "add-one"}, "smoothing"),
        ({"smooth_value": 1.0}, "smooth_value"),
        ({"smoothing": "floor", "smooth_value": -1.0}, "smooth_value"),
        ({"smoothing": "add_k", "smooth_value": float("nan")}, "smooth_value"),
        ({"max_order": 0}, "max_order"),
        ({"reference_length": "longest"}, "reference_length"),
        ({"tokenizer": "14a"}, "tokenizer"),
    ],
)
def test_bleu_says_which_option_is_wrong(options, message):
    with pytest.raises(ValueError, match=message):
        sentence_bleu("a", ["a"], **options)
    with pytest.raises(ValueError, match=message):
        create("bleu", arguments=options)


# -- ROUGE ---------------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(sentences, references_of, st.sampled_from(["rouge1", "rouge2", "rouge3", "rougeL"]))
def test_rouge_equals_rouge_score(candidate, references, variant):
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer([variant])
    expected = scorer.score_multi(references, candidate)[variant].fmeasure
    try:
        found = sentence_rouge(candidate, references, variant=variant)
    except EmptyReference:
        found = 0
    assert found == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), max_size=20), st.lists(st.integers(0, 3), max_size=20))
def test_longest_common_subsequence_equals_the_table(a, b):
    row = [0] * (len(b) + 1)
    for x in a:
        above = row[:]
        for j, y in enumerate(b):
            row[j + 1] = above[j] + 1 if x == y else max(above[j + 1], row[j])
    assert longest_common_subsequence(a, b) == row[-1]


def test_rouge_refuses_what_it_cannot_finish():
    with pytest.raises(ValueError, match="200000 and 200000"):
        longest_common_subsequence("ab" * 100_000, "ba" * 100_000)
    assert longest_common_subsequence("ab" * 100_000, "cd" * 100_000) == 0
    with pytest.raises(ValueError, match="variant"):
        sentence_rouge("a", ["a"], variant="rougeLsum")


# -- chrF ----------------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(
    sentences,
    references_of.filter(has_token),
    st.sampled_from([(6, 0), (6, 2), (2, 1), (0, 2)]),
    st.sampled_from([1, 2, 3]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_chrf_equals_sacrebleu(candidate, references, orders, beta, lowercase, whitespace, eps_smoothing):
    options = {
        "char_order": orders[0],
        "word_order": orders[1],
        "beta": beta,
        "lowercase": lowercase,
        "whitespace": whitespace,
        "eps_smoothing": eps_smoothing,
    }
    expected = sacrebleu.CHRF(**options).sentence_score(candidate, references).score / 100
    assert sentence_chrf(candidate, references, **options) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "options", [{"char_order": 0}, {"char_order": -1}, {"beta": 0}, {"beta": float("inf")}]
)
def test_chrf_says_which_option_is_wrong(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        sentence_chrf("a", ["a"], **options)


# -- rewards -------------------------------------------------------------------------------------------------------

ALL = ["bleu", "rouge", "chrf", "bleu_rouge"]


@pytest.mark.parametrize("name", ALL)
def test_a_reward_scores_copies_strangers_and_blanks(name):
    reward = create(name)
    reference = "The cat sat on the mat."
    samples = [
        Chat("p", text, reference=[reference, "xyz"])
        for text in (reference, "The cat sat.", "Blue skies", " \n ", "")
    ]
    values = reward(samples).outcome
    assert values[0] == pytest.approx(1)
    assert values[0] > values[1] > values[2]
    assert values[3] == values[4] == 0


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("reference", [None, 3, {"a": 1}, [], ["a", None], "", ["", "  "]])
def test_a_reward_abstains_without_a_usable_reference(name, reference):
    signal = create(name)([Chat("p", "an answer", reference=reference)])
    assert signal.status[0] == Status.ABSTAINED
    assert "reference" in signal.reasons[0]


def test_a_blank_completion_scores_0_even_where_white_space_counts():
    reward = create("chrf", arguments={"whitespace": True})
    assert reward([Chat("p", " ", reference="a b")]).outcome[0] == 0


def test_rouge_abstains_for_a_script_without_tokens():
    sample = Chat("p", "我们都喜欢", reference="我们都喜欢")
    assert create("rouge")([sample]).status[0] == Status.ABSTAINED
    assert create("rouge", arguments={"tokenizer": "characters"})([sample]).outcome[0] == 1


def test_the_harmonic_mean():
    bleu, rouge = (
        sentence_bleu("The cat sat", ["The cat lay"]),
        sentence_rouge("The cat sat", ["The cat lay"]),
    )
    assert BleuRouge().compare("The cat sat", ["The cat lay"]) == pytest.approx(2 / (1 / bleu + 1 / rouge))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>x</think><answer>yes</answer> bye", "yes"),
        ("<answer>unclosed", "unclosed"),
        ("no tag", "no tag"),
        ("<answer>draft</answer><answer>final</answer>", "final"),
        ("<answer></answer>", ""),
    ],
)
def test_answer_text(text, answer):
    assert answer_text(text) == answer


def test_answer_only_compares_the_answer_of_the_last_turn():
    messages = [
        {"role": "assistant", "content": "<answer>wrong</answer>"},
        {"role": "user", "content": "again"},
        {"role": "assistant", "content": "<think>hm</think><answer>The cat sat.</answer>"},
    ]
    sample = Chat("p", messages, reference="The cat sat.")
    assert create("bleu", arguments={"answer_only": True})([sample]).outcome[0] == pytest.approx(1)
    assert create("bleu")([sample]).outcome[0] < 0.5
    blank = Chat("p", "<think>The cat sat.</think><answer> </answer>", reference="The cat sat.")
    assert create("bleu", arguments={"answer_only": True})([blank]).outcome[0] == 0


@pytest.mark.parametrize("name", ALL)
def test_ten_megabytes_and_lone_surrogates(name):
    rng = random.Random(0)
    vocabulary = ["".join(rng.choices("etaoin", k=5)) for _ in range(5000)]
    long = " ".join(rng.choices(vocabulary, k=1_700_000))
    assert len(long) > 10_000_000
    reference = [" ".join(vocabulary[:250]), "\ud800 broken \udfff"]
    signal = create(name)(
        [Chat("p", text, reference=reference) for text in (long, "\ud800 broken \udfff", "!?...")]
    )
    assert signal.ok.all()
    assert 0 <= signal.outcome[0] < 0.5
    assert signal.outcome[1] > 0.9


@pytest.mark.parametrize("name", ALL)
def test_many_references(name):
    reference = [f"answer {i} of many" for i in range(2000)]
    assert create(name)([Chat("p", "answer 1999 of many", reference=reference)]).outcome[0] == pytest.approx(
        1
    )


def test_bleu_of_ten_megabytes_against_itself():
    text = " ".join(f"w{i % 90_000}" for i in range(1_500_000))
    assert sentence_bleu(text, [text]) == pytest.approx(1)
