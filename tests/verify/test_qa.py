"""Scoring of short answers: normalisation, matching, and the reward."""

from __future__ import annotations

import pickle
import re
import string
from collections import Counter
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.core.registry import create
from guerdon.core.samples import Chat
from guerdon.core.signal import Status
from guerdon.verify.qa import (
    CLOSED_ANSWERS,
    QuestionAnswer,
    cover_match,
    exact_match,
    normalize_answer,
    token_f1,
)

# A small alphabet makes articles, punctuation and repeated tokens likely.
words = st.lists(
    st.sampled_from(["the", "a", "Paris", "paris", "no", "it's", "8-bit", "…", "ß", ""]), max_size=6
)
texts = st.one_of(words.map(" ".join), st.text(max_size=30))


# -- normalisation -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("The Eiffel Tower!", {}, "eiffel tower"),
        ("  a\tcat \n", {}, "cat"),
        ("another then", {}, "another then"),
        ("the", {}, ""),
        ("well-known", {}, "wellknown"),
        ("well-known", {"punctuation": "space"}, "well known"),
        ("Well-Known.", {"punctuation": "keep"}, "well-known."),
        ("The Cat", {"articles": "keep"}, "the cat"),
        ("The Cat", {"lowercase": False}, "Cat"),
        ("the-cat", {}, "thecat"),
        ("the-cat", {"punctuation": "space"}, "cat"),
        ("l'été «a»", {}, "lété « »"),
        ("\ud800 A", {}, "\ud800"),
        ("", {}, ""),
    ],
)
def test_normalize_answer(text: str, options: dict[str, object], expected: str) -> None:
    assert normalize_answer(text, **options) == expected


@given(texts)
def test_normalize_answer_follows_squad(text: str) -> None:
    bare = "".join(c for c in text.lower() if c not in string.punctuation)
    assert normalize_answer(text) == " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


@given(texts, st.sampled_from(["space", "keep"]), st.sampled_from(["drop", "keep"]))
def test_normalizing_again_changes_nothing(text: str, punctuation: str, articles: str) -> None:
    normalize = partial(normalize_answer, lowercase=False, punctuation=punctuation, articles=articles)
    assert normalize(normalize(text)) == normalize(text)


@pytest.mark.parametrize("options", [{"punctuation": "strip"}, {"articles": "remove"}])
def test_normalize_answer_refuses_unknown_options(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))}: expected one of"):
        normalize_answer("x", **options)


def test_normalize_answer_refuses_what_is_not_text() -> None:
    with pytest.raises(TypeError, match="text: expected text, got int"):
        normalize_answer(4)


# -- matching ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prediction", "aliases", "exact", "cover"),
    [
        ("Paris.", "paris", True, True),
        ("Big Apple", ["New York", "the big apple"], True, True),
        ("It is Paris, France", "Paris", False, True),
        ("I know", "no", False, False),
        ("Parisian", "Paris", False, False),
        ("", "Paris", False, False),
        ("anything", "the", False, False),
        ("x", [], False, False),
    ],
)
def test_exact_and_cover_match(prediction: str, aliases: str | list[str], exact: bool, cover: bool) -> None:
    assert exact_match(prediction, aliases) is exact
    assert cover_match(prediction, aliases) is cover


def test_cover_match_of_characters() -> None:
    assert cover_match("I know", "no", whole_tokens=False)
    assert cover_match("首都是北京。", "北京", whole_tokens=False)
    assert not cover_match("anything", "the", whole_tokens=False)


@pytest.mark.parametrize(
    ("prediction", "aliases", "options", "expected"),
    [
        ("the Jane Austen novel", "Jane Austen", {}, 0.8),
        ("yes it is", "yes", {}, 0.5),
        ("yes it is", "yes", {"closed": CLOSED_ANSWERS}, 0.0),
        ("Yes!", "yes", {"closed": CLOSED_ANSWERS}, 1.0),
        ("yes it is", ["yes", "yes it is"], {"closed": CLOSED_ANSWERS}, 1.0),
        ("to be to be", "to be", {}, 2 / 3),
        ("to be to be", "to be", {"kind": "set"}, 1.0),
        ("paris paris paris", "paris", {}, 0.5),
        ("", "paris", {}, 0.0),
        ("", "", {}, 0.0),
        ("x", [], {}, 0.0),
    ],
)
def test_token_f1(prediction: str, aliases: object, options: dict[str, object], expected: float) -> None:
    assert token_f1(prediction, aliases, **options) == pytest.approx(expected)


@given(texts, texts)
def test_f1_is_the_harmonic_mean_of_precision_and_recall(prediction: str, alias: str) -> None:
    found, wanted = normalize_answer(prediction).split(), normalize_answer(alias).split()
    common = sum((Counter(found) & Counter(wanted)).values())
    expected = 0.0
    if common:
        precision, recall = common / len(found), common / len(wanted)
        expected = 2 * precision * recall / (precision + recall)
    assert token_f1(prediction, alias) == pytest.approx(expected)


@given(texts, st.lists(texts, max_size=4), st.sampled_from(["multiset", "set"]))
def test_metrics_agree_with_each_other(prediction: str, aliases: list[str], kind: str) -> None:
    f1 = token_f1(prediction, aliases, kind=kind)
    assert 0 <= f1 <= 1
    assert f1 == max((token_f1(prediction, alias, kind=kind) for alias in aliases), default=0.0)
    assert all(token_f1(alias, prediction, kind=kind) <= f1 for alias in aliases)
    if normalize_answer(prediction) and exact_match(prediction, aliases):
        assert f1 == 1.0
        assert cover_match(prediction, aliases)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="kind: expected one of multiset, set, got 'bag'"):
        token_f1("x", "x", kind="bag")


# -- the reward ----------------------------------------------------------------------------------------------


def one(reward: QuestionAnswer, completion: object, reference: object = "Paris"):
    return reward([Chat("q", completion, reference=reference)])


TURN = "<answer>Rome</answer> no: <answer>the city of Paris</answer>"


@pytest.mark.parametrize(
    ("options", "completion", "expected"),
    [
        ({}, "paris", 1.0),
        ({}, "It is Paris", 0.0),
        ({"metric": "cover_em"}, "It is Paris", 1.0),
        ({"metric": "cover_em", "extract": "first"}, TURN, 0.0),
        ({"metric": "f1", "extract": "last"}, TURN, 0.5),
        ({"metric": "set_f1", "extract": "last", "articles": "keep"}, TURN, 0.4),
        ({"metric": "f1", "extract": "first"}, TURN, 0.0),
        ({"extract": "last", "tag": "final"}, "<final> Paris </final>", 1.0),
        ({"extract": "last"}, "<answer></answer>", 0.0),
        ({"extract": "last"}, "<answer>Paris", 0.0),
        ({}, "", 0.0),
    ],
)
def test_the_reward(options: dict[str, str], completion: str, expected: float) -> None:
    signal = one(create("qa", arguments=options), completion)
    assert signal.status[0] == Status.OK
    assert signal.outcome[0] == pytest.approx(expected)


def test_the_answer_is_looked_for_in_the_last_turn() -> None:
    turns = [
        {"role": "assistant", "content": "<answer>Paris</answer>"},
        {"role": "user", "content": "sure?"},
        {"role": "assistant", "content": "no"},
    ]
    signal = one(QuestionAnswer(extract="last"), turns)
    assert signal.outcome[0] == 0
    assert signal.notes[0] == "there is no <answer> block"


@pytest.mark.parametrize(
    "reference", [None, 42, [], ["Paris", 3], {"target": "Paris"}, "the", ["", "?!"], ""]
)
@pytest.mark.parametrize("metric", ["em", "f1", "set_f1", "cover_em"])
def test_a_reference_that_says_nothing_abstains(reference: object, metric: str) -> None:
    signal = one(QuestionAnswer(metric), "", reference)
    assert signal.status[0] == Status.ABSTAINED
    assert signal.reasons[0].startswith("reference")


def test_an_empty_alias_beside_others_is_ignored() -> None:
    assert one(QuestionAnswer(), "", ["", "Paris"]).outcome[0] == 0
    assert one(QuestionAnswer(articles="keep"), "A", "a").outcome[0] == 1


@pytest.mark.parametrize(
    "options",
    [
        {"metric": "rouge"},
        {"extract": "all"},
        {"tag": ""},
        {"closed": "yes"},
        {"punctuation": "?"},
        {"articles": ""},
    ],
)
def test_wrong_options_raise(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))}: expected"):
        QuestionAnswer(**options)


def test_it_survives_pickling_and_its_fingerprint_knows_the_options() -> None:
    reward = QuestionAnswer("f1", punctuation="space")
    twin = pickle.loads(pickle.dumps(reward))
    assert twin.fingerprint() == reward.fingerprint() != QuestionAnswer("f1").fingerprint()
    assert one(twin, "well known", "well-known").outcome[0] == 1


@pytest.mark.parametrize("metric", ["em", "f1", "set_f1", "cover_em"])
def test_hostile_text(metric: str) -> None:
    reward = QuestionAnswer(metric, extract="last")
    long = "<answer>" * 300_000 + "paris " * 300_000 + "</answer>"
    for text in (long, "<answer>\ud800\x00</answer>", "<" * 1_000_000):
        signal = one(reward, text)
        assert signal.status[0] == Status.OK
        assert 0 <= signal.outcome[0] <= 1


@settings(max_examples=30)
@given(texts, texts)
def test_every_text_gets_a_value_or_a_reason(completion: str, reference: str) -> None:
    signal = one(QuestionAnswer("f1"), completion, reference)
    assert signal.status[0] in (Status.OK, Status.ABSTAINED)
    assert (signal.status[0] == Status.ABSTAINED) == (not normalize_answer(reference))
