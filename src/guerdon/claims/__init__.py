"""One file a paper: what it claims, the experiment that asks whether that shows at laptop scale, and the verdict.

`find("otc-po")` gives a `Claim`, `run_claim(claim)` a `Result`. A claim that does not hold is reported so.
"""

from __future__ import annotations

import importlib
import pkgutil

from guerdon.claims.harness.claim import Claim, Expect, Run, Tuning
from guerdon.claims.harness.result import Arm, Outcome, Result
from guerdon.claims.harness.run import run_claim, trial_count
from guerdon.claims.harness.verdict import Interval, interval, judge, overall
from guerdon.core.registry import UnknownName, did_you_mean

__all__ = [
    "Arm",
    "Claim",
    "Expect",
    "Interval",
    "Outcome",
    "Result",
    "Run",
    "Tuning",
    "find",
    "interval",
    "judge",
    "overall",
    "run_claim",
    "slugs",
    "trial_count",
]


def slugs() -> list[str]:
    """The methods that have a claim, sorted."""
    return sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(__path__) if not m.ispkg)


def find(slug: str) -> Claim:
    """The claim of a method. Raises `UnknownName` where it has none."""
    if slug not in slugs():
        raise UnknownName(f"unknown claim {slug!r}{did_you_mean(slug, slugs())}")
    return importlib.import_module(f"{__name__}.{slug.replace('-', '_')}").CLAIM
