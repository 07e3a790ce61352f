"""Experiments with known outcomes, for tests of the harness; in a module of their own so that workers can import them."""

from __future__ import annotations

import os
import time

import numpy as np

from guerdon.claims import Claim, Expect, Run, Tuning


def gap(arm, setting, seed):
    """The method is better by exactly 1; a step of 3 is best for both arms, on every seed."""
    noise = float(np.random.default_rng(seed).normal())
    value = noise + (arm == "method") - abs(setting.get("step", 3) - 3)
    threads = float(os.environ.get("OMP_NUM_THREADS", 0))
    return Run({"score": value, "seed": float(seed), "threads": threads}, {"score": [(0, 0.0), (1, value)]})


def slow(arm, setting, seed):
    """Takes its time."""
    time.sleep(0.4)
    return Run({"score": 1.0})


def broken(arm, setting, seed):
    """Raises."""
    raise ZeroDivisionError("nothing to divide by")


def claim(experiment=gap, **changes) -> Claim:
    """A claim around one of the experiments."""
    fields = {
        "slug": "otc-po",
        "says": "The method is better <by far> & always.",
        "hypothesis": "It is better by more than half.",
        "setup": "Two numbers.",
        "arms": ("method", "baseline"),
        "metrics": {"score": "a number", "seed": "which seed", "threads": "of each process"},
        "expect": (Expect("score", "method", "higher", "baseline", margin=0.5),),
        "experiment": experiment,
        "seeds": 4,
    }
    return Claim(**{**fields, **changes})


TUNED = Tuning([{"step": 1}, {"step": 3}, {"step": 4}], "score")
