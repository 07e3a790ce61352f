"""Result: everything that a run of a claim found, as one JSON document."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from guerdon.claims.harness.claim import Claim, Expect, Points, Run, Setting
from guerdon.claims.harness.verdict import Interval, Verdict, interval, judge, overall


@dataclass(frozen=True, slots=True)
class Outcome:
    """One expectation, the paired difference that was measured, and its verdict."""

    expect: Expect
    difference: Interval
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm: the setting that tuning chose, and what was measured, one entry a seed."""

    setting: Setting
    metrics: Mapping[str, Sequence[float]]
    curves: Mapping[str, Sequence[Points]]


@dataclass(frozen=True, slots=True)
class Result:
    """A claim's verdict with all that it rests on.

    `slug`, `says`, `hypothesis`, `setup`, `remark`, `metrics`, `axes`: as in the claim · `seeds`: of the trials that
    count · `arms` · `outcomes` · `reason`: why there is no verdict, where there is none · `machine`, `versions`,
    `started` (UTC), `seconds`.
    """

    slug: str
    says: str
    hypothesis: str
    setup: str
    remark: str
    metrics: Mapping[str, str]
    axes: Mapping[str, tuple[str, str]]
    seeds: Sequence[int]
    arms: Mapping[str, Arm]
    outcomes: Sequence[Outcome]
    reason: str
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    started: str
    seconds: float

    @property
    def verdict(self) -> Verdict:
        """Of all expectations together; inconclusive where there is a `reason`."""
        return "inconclusive" if self.reason else overall(outcome.verdict for outcome in self.outcomes)

    def write(self, folder: str | Path) -> Path:
        """Write `SLUG.json` into `folder`."""
        path = Path(folder) / f"{self.slug}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {"verdict": self.verdict, **asdict(self)}
        path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", "utf-8")
        return path

    @classmethod
    def read(cls, path: str | Path) -> Result:
        """Read what `write` wrote. Raises `ValueError` where the file is something else."""
        try:
            document = json.loads(Path(path).read_text("utf-8"))
            stated = document.pop("verdict")
            document["arms"] = {name: Arm(**arm) for name, arm in document["arms"].items()}
            document["outcomes"] = [
                Outcome(Expect(**o["expect"]), Interval(**o["difference"]), o["verdict"])
                for o in document["outcomes"]
            ]
            result = cls(**document)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: not the result of a claim: {error}") from error
        if result.verdict != stated:
            raise ValueError(f"{path}: says {stated!r}, but its outcomes say {result.verdict!r}")
        return result


def gather(settings: Mapping[str, Setting], runs: Mapping[str, Sequence[Run]]) -> dict[str, Arm]:
    """The arms from their runs, one a seed."""
    return {
        arm: Arm(
            dict(settings[arm]),
            {name: [float(run.metrics[name]) for run in done] for name in done[0].metrics},
            {name: [list(run.curves[name]) for run in done] for name in done[0].curves},
        )
        for arm, done in runs.items()
    }


def compare(claim: Claim, arms: Mapping[str, Arm]) -> list[Outcome]:
    """The outcome of every expectation; differences are paired by seed."""
    outcomes = list[Outcome]()
    for expect in claim.expect:
        values = arms[expect.method].metrics[expect.metric]
        baseline = expect.baseline
        others = (
            arms[baseline].metrics[expect.metric] if isinstance(baseline, str) else [baseline] * len(values)
        )
        difference = interval([a - b for a, b in zip(values, others, strict=True)])
        outcomes.append(Outcome(expect, difference, judge(difference, expect.relation, expect.margin)))
    return outcomes
