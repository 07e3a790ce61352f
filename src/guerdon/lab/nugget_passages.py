"""Nuggets, facts that an answer should hold, and passages that say them in full, in part, wrongly or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from guerdon.verify.nugget_labels import Label

NUGGETS = 10
COPY, PARAPHRASE, OMISSION, HEDGE, CONTRADICTION, ABSENT = range(6)
TRUTH: Sequence[Label] = (
    *("support", "support", "partial_support"),
    *("partial_support", "not_support", "not_support"),
)
ASIDES = 0.3  # share of sentences, copies aside, that name another person and year too
KNOWN_HEDGES = ("perhaps", "probably", "reportedly")


class Vocabulary(NamedTuple):
    """What sentences are made of. Training and test share the kinds of buildings and some hedges, nothing else."""

    places: Sequence[str]
    people: Sequence[str]
    verbs: Sequence[tuple[str, str]]
    hedges: Sequence[str]


TRAIN = Vocabulary(
    ("Alder", "Birch", "Cedar", "Elm", "Hazel", "Larch"),
    ("Abara", "Brandt", "Costa", "Dumas", "Eriksen", "Farkas"),
    (("opened", "inaugurated"), ("founded", "established"), ("rebuilt", "restored"), ("bought", "acquired")),
    KNOWN_HEDGES,
)
TEST = Vocabulary(
    ("Maple", "Oak", "Pine", "Rowan", "Spruce", "Willow"),
    ("Ishida", "Jansen", "Kovacs", "Lindt", "Moreau", "Nakata"),
    (("painted", "decorated"), ("closed", "shut"), ("designed", "planned"), ("sold", "auctioned")),
    (*KNOWN_HEDGES, "supposedly", "presumably"),
)
BUILDINGS = ("Bridge", "Hall", "Mill", "Tower")


@dataclass(frozen=True)
class Fact:
    """Who did what to which place, and when. `verb`: as the nugget says it, and as others do."""

    place: str
    verb: tuple[str, str]
    year: int
    person: str

    @property
    def nugget(self) -> str:
        """The fact as a rubric has it."""
        return f"{self.place} was {self.verb[0]} in {self.year} by {self.person}."


class Sheet(NamedTuple):
    """What a verifier is given, with the right labels."""

    passage: str
    nuggets: Sequence[str]
    labels: Sequence[Label]


def draw_facts(words: Vocabulary, rng: np.random.Generator) -> list[Fact]:
    """As many facts as a batch has nuggets, each about another place."""
    places = [f"{place} {building}" for place in words.places for building in BUILDINGS]
    chosen = rng.permutation(places)[:NUGGETS]
    return [
        Fact(
            str(place),
            words.verbs[int(rng.integers(len(words.verbs)))],
            _year(rng),
            str(rng.choice(words.people)),
        )
        for place in chosen
    ]


def sentence(fact: Fact, kind: int, words: Vocabulary, rng: np.random.Generator) -> str:
    """What a text says on a fact in the manner of `kind`: one sentence, often with an aside, or nothing."""
    text = _statement(fact, kind, words, rng)
    if not text or kind == COPY or rng.random() > ASIDES:
        return text
    return f"{text[:-1]}, as {rng.choice(words.people)} noted in {_year(rng)}."


def _year(rng: np.random.Generator) -> int:
    return int(rng.integers(1800, 2000))


def _statement(fact: Fact, kind: int, words: Vocabulary, rng: np.random.Generator) -> str:
    place, verb, year, person = fact.place, fact.verb[int(rng.integers(2))], fact.year, fact.person
    if kind == COPY:
        return fact.nugget
    if kind == OMISSION:
        return str(rng.choice([f"{place} was {verb} by {person}.", f"In {year}, {place} was {verb}."]))
    if kind == HEDGE:
        return f"{place} was {rng.choice(words.hedges)} {verb} in {year} by {person}."
    if kind == ABSENT:
        if rng.random() < 0.5:
            return ""
        place = f"{place.split()[0]} {rng.choice([b for b in BUILDINGS if b not in place])}"
    if kind == CONTRADICTION:
        if rng.random() < 0.5:
            year += int(rng.integers(1, 50))
        else:
            person = str(rng.choice([p for p in words.people if p != person]))
    paraphrases = (
        f"In {year}, {person} {verb} {place}.",
        f"It was {person} who {verb} {place} in {year}.",
        f"The year {year} saw {place} {verb} by {person}.",
    )
    return str(rng.choice(paraphrases))


def write(
    facts: Sequence[Fact], share: float, words: Vocabulary, rng: np.random.Generator
) -> tuple[list[str], list[Label]]:
    """What is said on each fact, of which `share` are supported, a quarter of these word for word; and the labels."""
    good, bad = (0.25 * share, 0.75 * share), 4 * (0.25 * (1 - share),)
    kinds = rng.choice(6, size=len(facts), p=[*good, *bad])
    return [sentence(f, int(k), words, rng) for f, k in zip(facts, kinds, strict=True)], [
        TRUTH[k] for k in kinds
    ]


def join(sentences: Sequence[str], rng: np.random.Generator) -> str:
    """A passage, in any order."""
    return " ".join(text for text in rng.permutation(list(sentences)) if text)


def draw_sheet(words: Vocabulary, rng: np.random.Generator) -> Sheet:
    """A passage about a batch of nuggets; the three labels are about equally frequent."""
    facts = draw_facts(words, rng)
    sentences, labels = write(facts, 1 / 3, words, rng)
    return Sheet(join(sentences, rng), [fact.nugget for fact in facts], labels)
