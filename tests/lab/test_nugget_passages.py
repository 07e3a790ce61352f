"""Nuggets and the passages that bear on them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from guerdon.lab.nugget_passages import (
    ABSENT,
    CONTRADICTION,
    COPY,
    HEDGE,
    NUGGETS,
    OMISSION,
    PARAPHRASE,
    TEST,
    TRAIN,
    Fact,
    draw_sheet,
    sentence,
)

FACT = Fact("Maple Bridge", ("painted", "decorated"), 1931, "Ishida")
TOLD = ("Maple Bridge", "1931", "Ishida")


def sentences(kind: int) -> list[str]:
    """Without the asides."""
    rng = np.random.default_rng(0)
    return [sentence(FACT, kind, TEST, rng).partition(", as ")[0] for _ in range(200)]


@pytest.mark.parametrize("kind", [COPY, PARAPHRASE, HEDGE])
def test_all_of_the_fact_is_told(kind: int) -> None:
    assert all(part in text for text in sentences(kind) for part in TOLD)
    assert all(any(hedge in text for hedge in TEST.hedges) == (kind == HEDGE) for text in sentences(kind))


@pytest.mark.parametrize("kind", [OMISSION, CONTRADICTION])
def test_the_year_or_the_person_is_missing(kind: int) -> None:
    assert all(sum(part in text for part in TOLD) == 2 for text in sentences(kind))
    assert all("Maple Bridge" in text for text in sentences(kind))


def test_another_place_or_nothing_is_told() -> None:
    assert "" in sentences(ABSENT)
    assert not any("Maple Bridge" in text for text in sentences(ABSENT))


def test_labels_are_balanced_and_sheets_repeat() -> None:
    sheets = [draw_sheet(TRAIN, np.random.default_rng(seed)) for seed in range(100)]
    assert sheets[7] == draw_sheet(TRAIN, np.random.default_rng(7))
    labels = Counter(label for sheet in sheets for label in sheet.labels)
    assert sum(labels.values()) == 100 * NUGGETS
    assert min(labels.values()) > 0.27 * 100 * NUGGETS


def test_training_and_test_share_no_name_and_no_verb() -> None:
    for field in ("places", "people", "verbs"):
        assert not set(getattr(TRAIN, field)) & set(getattr(TEST, field))
