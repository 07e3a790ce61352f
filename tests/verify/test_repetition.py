"""Repetition penalty."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.core.registry import create
from guerdon.core.samples import Chat
from guerdon.verify.repetition import repeated_share


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 5), st.floats(-3, 0))
def test_equals_trl_on_token_ids(ids, ngram_size, max_penalty):
    rewards = pytest.importorskip("trl.rewards")
    (expected,) = rewards.get_repetition_penalty_reward(ngram_size, max_penalty)([ids])
    reward = create(
        "repetition", arguments={"ngram_size": ngram_size, "max_penalty": max_penalty, "unit": "tokens"}
    )
    assert reward([Chat("p", "", extra={"completion_ids": ids})]).outcome[0] == pytest.approx(expected)


def test_words_are_compared_in_lower_case():
    reward = create("repetition", arguments={"ngram_size": 2})
    signal = reward([Chat("p", "No no NO no"), Chat("p", "a b c d"), Chat("p", "a"), Chat("p", "")])
    assert signal.outcome.tolist() == pytest.approx([-2 / 3, 0, 0, 0])


def test_characters_for_text_without_spaces():
    reward = create("repetition", arguments={"ngram_size": 1, "unit": "characters"})
    assert reward([Chat("p", "哈哈哈哈")]).outcome[0] == -0.75


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 5))
def test_the_share_is_in_range_and_grows_when_the_text_is_repeated(tokens, ngram_size):
    share = repeated_share(tokens, ngram_size)
    assert 0 <= share < 1
    assert len(tokens) < ngram_size or repeated_share(tokens * 3, ngram_size) > share


@pytest.mark.parametrize(
    "arguments", [{"ngram_size": 0}, {"max_penalty": 0.5}, {"max_penalty": float("-inf")}]
)
def test_wrong_options_raise(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        create("repetition", arguments=arguments)


def test_ten_megabytes():
    assert create("repetition")([Chat("p", "spam " * 2_000_000)]).outcome[0] == pytest.approx(-1, abs=1e-5)
