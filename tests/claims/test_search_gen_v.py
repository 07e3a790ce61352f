"""What the verifiers of Search-Gen-V see and are paid for."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.claims.search_gen_v import SHEETS, WithoutPerfectMatch, features, fit, match_exactly, verdicts
from guerdon.core.samples import Chat
from guerdon.lab.nugget_passages import TRAIN, Sheet, draw_sheet
from guerdon.verify.nuggets import NuggetLabels

NUGGET = "Maple Bridge was painted in 1931 by Ishida."


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        ("It was Ishida who painted Maple Bridge in 1931.", (1, 1, 0, 0)),
        ("In 1931, Maple Bridge was painted.", (1, 2 / 3, 0, 0)),
        ("Maple Bridge was perhaps painted in 1931 by Ishida.", (1, 1, 0, 1)),
        ("In 1932, Ishida painted Maple Bridge.", (0, 1, 1, 0)),
        ("", (0, 0, 0, 0)),
    ],
)
def test_features_are_those_of_the_closest_sentence(said: str, seen: tuple[float, ...]) -> None:
    passage = f"Moreau sold Oak Mill in 1850. {said}" if said else ""
    assert features(NUGGET, passage)[1:] == pytest.approx(seen)


def test_exact_match_takes_the_nugget_word_for_word() -> None:
    pairs = [(NUGGET, f"So. {NUGGET}"), (NUGGET, "In 1931, Ishida painted Maple Bridge.")]
    assert match_exactly(pairs) == ["support", "not_support"]


def test_a_fitted_verifier_reads_what_exact_match_does_not() -> None:
    rng = np.random.default_rng(0)
    verify = fit([draw_sheet(TRAIN, rng) for _ in range(SHEETS)], 1.0)
    pairs = [
        (NUGGET, "In 1931, Ishida painted Maple Bridge."),
        (NUGGET, "In 1932, Ishida painted Maple Bridge."),
    ]
    assert verify(pairs) == ["support", "not_support"]


def test_only_the_term_for_a_perfect_batch_is_left_out() -> None:
    gold = ["support", "not_support"]
    texts = ['["support", "not_support"]', '["support", "support"]']
    samples = [Chat("q", text, gold, extra={"prompt_format_hint": "json"}) for text in texts]
    difference = NuggetLabels()(samples).outcome - WithoutPerfectMatch()(samples).outcome
    assert difference == pytest.approx([0.35, 0.0])


def test_a_verdict_counts_either_way_of_support() -> None:
    sheet = Sheet(NUGGET, [NUGGET, "Oak Mill was sold in 1850 by Moreau."], ["support", "not_support"])
    assert verdicts([["not_support", "not_support"]], [sheet]) == 1.0
    assert verdicts([["support", "support"]], [sheet]) == 0.5
