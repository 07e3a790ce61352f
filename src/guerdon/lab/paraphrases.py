"""Facts that can be said in many ways, so that a text is known to be true or false however it is worded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

Fact: TypeAlias = tuple[int, ...]
"""Who did what to which thing, where and when: for each slot, the number of its content."""

CONTENTS: tuple[tuple[tuple[str, ...], ...], ...] = (
    (
        ("doctor", "physician", "medic", "clinician"),
        ("teacher", "instructor", "tutor", "educator"),
        ("lawyer", "attorney", "solicitor", "barrister"),
        ("thief", "burglar", "robber", "crook"),
        ("child", "kid", "youngster", "infant"),
        ("soldier", "trooper", "fighter", "serviceman"),
    ),
    (
        ("bought", "purchased", "acquired", "obtained"),
        ("repaired", "fixed", "mended", "restored"),
        ("lost", "mislaid", "misplaced", "left behind"),
        ("found", "discovered", "located", "spotted"),
        ("concealed", "stashed", "tucked away", "covered up"),
        ("destroyed", "wrecked", "ruined", "demolished"),
    ),
    (
        ("car", "automobile", "vehicle", "motorcar"),
        ("bicycle", "bike", "cycle", "pushbike"),
        ("couch", "sofa", "settee", "divan"),
        ("picture", "painting", "canvas", "artwork"),
        ("phone", "telephone", "mobile", "handset"),
        ("coat", "jacket", "overcoat", "parka"),
    ),
    (
        ("in the city", "in town", "downtown", "in the metropolis"),
        ("at the harbour", "at the port", "by the docks", "on the quay"),
        ("in the woods", "in the forest", "among the trees", "in the grove"),
        ("at the shop", "at the store", "in the boutique", "at the outlet"),
        ("at school", "in the classroom", "on campus", "at the academy"),
        ("at home", "in the house", "in the residence", "in the dwelling"),
    ),
    (
        ("at dawn", "at daybreak", "at sunrise", "at first light"),
        ("in the evening", "at dusk", "at nightfall", "after sunset"),
        ("last winter", "in the cold season", "in the snowy months", "during the frost"),
        ("last summer", "in the hot season", "in the sunny months", "during the heat"),
        ("at noon", "at midday", "at lunchtime", "in the middle of the day"),
        ("this year", "in recent months", "of late", "not long ago"),
    ),
)
SLOTS = len(CONTENTS)
OPTIONS = len(CONTENTS[0])
WORDINGS = len(CONTENTS[0][0])
ORDERS = (
    "the {0} {1} the {2} {3} {4}.",
    "{4}, the {0} {1} the {2} {3}.",
    "{3}, the {0} {1} the {2} {4}.",
    "the {2} was {1} by the {0} {3} {4}.",
    "{4}, the {2} was {1} {3} by the {0}.",
    "it was the {0} who {1} the {2} {4} {3}.",
)


def draw_fact(rng: np.random.Generator) -> Fact:
    """Any content in every slot."""
    return tuple(int(content) for content in rng.integers(OPTIONS, size=SLOTS))


def change(fact: Fact, slots: int, rng: np.random.Generator) -> Fact:
    """Another content in so many slots."""
    changed = list(fact)
    for slot in rng.choice(SLOTS, size=slots, replace=False):
        changed[slot] = int((fact[slot] + rng.integers(1, OPTIONS)) % OPTIONS)
    return tuple(changed)


def say(fact: Fact, wordings: Sequence[int] = (0,) * SLOTS, order: int = 0) -> str:
    """One sentence: the wording of each slot, put in an order. By default the plain one."""
    phrases = [
        CONTENTS[slot][content][wording]
        for slot, (content, wording) in enumerate(zip(fact, wordings, strict=True))
    ]
    text = ORDERS[order].format(*phrases)
    return text[0].upper() + text[1:]


def paraphrase(fact: Fact, rng: np.random.Generator) -> str:
    """Any wording in any order."""
    return say(fact, rng.integers(WORDINGS, size=SLOTS).tolist(), int(rng.integers(len(ORDERS))))
