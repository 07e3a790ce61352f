"""Claim: what a paper says, and the experiment that asks whether it shows at laptop scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Setting: TypeAlias = Mapping[str, Any]
Points: TypeAlias = Sequence[tuple[float, float]]
Relation: TypeAlias = Literal["higher", "lower", "no_lower", "no_higher"]
RELATIONS: tuple[Relation, ...] = ("higher", "lower", "no_lower", "no_higher")
MIN_SEEDS = 3
TUNING_SEED = 10_000  # seeds of tuning begin here, so that no reported trial shares one
FRESH_SEED = 50_000  # nobody looks at these while an experiment is written


@dataclass(frozen=True, slots=True)
class Run:
    """What one trial measured: one finite number a metric, and curves as (x, y) points.

    Raises `ValueError` where there is no metric or one isn't finite.
    """

    metrics: Mapping[str, float]
    curves: Mapping[str, Points] = field(default_factory=dict[str, Points])

    def __post_init__(self) -> None:
        if not self.metrics:
            raise ValueError("Run.metrics: expected at least one")
        for name, value in self.metrics.items():
            if not math.isfinite(value):
                raise ValueError(f"Run.metrics[{name!r}]: expected a finite number, got {value}")


Experiment: TypeAlias = Callable[[str, Setting, int], Run]
"""`experiment(arm, setting, seed)`: one trial. Equal arguments give equal numbers."""


@dataclass(frozen=True, slots=True)
class Expect:
    """One comparison that was fixed before the run, over d = metric of `method` − metric of `baseline`, paired by seed.

    `higher`: d > margin · `lower`: d < −margin · `no_lower`: d > −margin · `no_higher`: d < margin.
    `baseline` is an arm, or a number.

    Raises `ValueError` on an unknown relation, a negative margin, or a margin of 0 for `no_lower` and `no_higher`: how
    much worse still counts as no worse has to be said.
    """

    metric: str
    method: str
    relation: Relation
    baseline: str | float
    margin: float = 0.0

    def __post_init__(self) -> None:
        if self.relation not in RELATIONS:
            raise ValueError(
                f"Expect.relation: expected one of {', '.join(RELATIONS)}, got {self.relation!r}"
            )
        if not 0.0 <= self.margin < math.inf:
            raise ValueError(f"Expect.margin: expected at least 0, got {self.margin}")
        if self.margin == 0.0 and self.relation in ("no_lower", "no_higher"):
            raise ValueError(f"Expect.margin: {self.relation} needs a margin above 0")

    @property
    def text(self) -> str:
        """In words: `accuracy: otc no lower than grpo − 0.03`."""
        words = {"no_lower": "no lower than", "no_higher": "no higher than"}
        sign = {"higher": " + ", "lower": " − ", "no_lower": " − ", "no_higher": " + "}[self.relation]
        than = words.get(self.relation, f"{self.relation} than")
        return f"{self.metric}: {self.method} {than} {self.baseline}" + (
            f"{sign}{self.margin:g}" if self.margin else ""
        )


@dataclass(frozen=True, slots=True)
class Tuning:
    """How the setting of each arm is chosen, with equal effort for all.

    Every arm tries each setting of `grid` on `seeds` of its own that no result is reported on, and keeps the one
    with the best mean of `metric`. `own` replaces the grid of an arm that has an option which the others lack; it has
    as many settings as `grid`.

    Raises `ValueError` where a grid is empty or one arm would try more settings than another.
    """

    grid: Sequence[Setting]
    metric: str
    better: Literal["higher", "lower"] = "higher"
    seeds: int = 3
    own: Mapping[str, Sequence[Setting]] = field(default_factory=dict[str, Sequence[Setting]])

    def __post_init__(self) -> None:
        if not self.grid or self.seeds < 1:
            raise ValueError("Tuning: expected at least one setting and one seed")
        for arm, settings in self.own.items():
            if len(settings) != len(self.grid):
                raise ValueError(
                    f"Tuning.own[{arm!r}]: expected {len(self.grid)} settings like every other arm, got {len(settings)}"
                )

    def settings(self, arm: str) -> Sequence[Setting]:
        """What `arm` tries."""
        return self.own.get(arm, self.grid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A paper's claim with the experiment that tests it.

    `slug`: the method · `says`: what the paper claims, one sentence · `hypothesis`: what is expected here, fixed before
    the run · `setup`: world, policy, training and what each arm is, in a few sentences · `arms`: what is compared; the
    method and its baselines · `metrics`: each metric with its meaning and unit · `expect`: the comparisons that decide
    · `experiment`: one trial · `tuning`: how settings are chosen, None where there is nothing to tune · `seeds`: of the
    reported trials by default · `first_seed`: where they begin; another than 0 where the lower ones were looked at while
    the experiment was still changed · `axes`: of each curve, `{name: (x label, y label)}` · `remark`: what a reader should know about the outcome: why
    it doesn't hold, what it doesn't show.

    Raises `ValueError` where an expectation names an unknown arm or metric, or `seeds` is below 3, or
    `first_seed` is one of tuning.
    """

    slug: str
    says: str
    hypothesis: str
    setup: str
    arms: Sequence[str]
    metrics: Mapping[str, str]
    expect: Sequence[Expect]
    experiment: Experiment
    tuning: Tuning | None = None
    seeds: int = 5
    first_seed: int = 0
    axes: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    remark: str = ""

    def __post_init__(self) -> None:
        if self.seeds < MIN_SEEDS:
            raise ValueError(f"Claim.seeds: expected at least {MIN_SEEDS}, got {self.seeds}")
        if TUNING_SEED <= self.first_seed < FRESH_SEED:
            raise ValueError(f"Claim.first_seed: those from {TUNING_SEED} to {FRESH_SEED} are for tuning")
        if not self.expect:
            raise ValueError("Claim.expect: expected at least one comparison")
        named = [e.metric for e in self.expect] + ([self.tuning.metric] if self.tuning else [])
        for metric in named:
            if metric not in self.metrics:
                raise ValueError(f"Claim.metrics: {metric!r} isn't described")
        arms = [a for e in self.expect for a in (e.method, e.baseline) if isinstance(a, str)]
        for arm in [*arms, *(self.tuning.own if self.tuning else ())]:
            if arm not in self.arms:
                raise ValueError(f"Claim.arms: {arm!r} isn't one of {', '.join(self.arms)}")
