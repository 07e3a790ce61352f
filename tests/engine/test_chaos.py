"""Many misfortunes at once: `make chaos`."""

from __future__ import annotations

import random

import pytest

from guerdon import Status
from tests.engine.test_faults import run

FATES = {
    "loop": Status.TIMED_OUT,
    "hang in C": Status.TIMED_OUT,
    "swallow everything": Status.TIMED_OUT,
    "_exit": Status.FAILED,
    "exit": Status.FAILED,
    "segfault": Status.FAILED,
    "kill": Status.FAILED,
    "memory": Status.FAILED,
    "raise": Status.FAILED,
    "thread": Status.OK,
}


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_thousands_of_samples_among_every_misfortune(seed, workers):
    rng = random.Random(seed)
    texts = [rng.choice(list(FATES)) if rng.random() < 0.05 else "x" * rng.randrange(9) for _ in range(2000)]
    signal = run(texts, workers, timeout=0.3, memory=1 << 28)
    for i, text in enumerate(texts):
        if text in FATES:
            assert signal.status[i] == FATES[text], (text, signal.reasons.get(i))
        else:
            assert signal.outcome[i] == len(text), signal.reasons.get(i)
