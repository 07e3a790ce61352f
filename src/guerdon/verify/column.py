"""A reward that somebody else computed: it stands in a column of the data."""

from __future__ import annotations

from typing import Any

from guerdon.core.checks import check_choice, check_number
from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import UNITS, Sample, Unit
from guerdon.core.signal import Abstain, Score, Value


@register("column", example="{reward: column, key: step_scores, missing: 0.5}")
class Column(Reward):
    """What `extra[key]` says: a number is the outcome, a list of numbers the rewards of steps.

    For verdicts of a judge, results of tests, or the environment's own reward, where they were made with the data.
    `true` is 1 and `false` 0. A list becomes the dense channel, one value a `unit` of the sample in its order, with the
    outcome 0; put `| total` behind it for one number.

    `missing`: what null, a verdict that couldn't be read, is worth. Without it null alone abstains, and a list with null
    in it fails. `Signal.parts["missing"]` counts them.

    Abstains where the column is missing. A sample fails where it is neither a finite number nor a list of those. Raises
    `ValueError` for an unknown `unit` or a `missing` that isn't finite.
    """

    uses_context = False

    def __init__(self, key: str, *, unit: Unit = "turn", missing: float | None = None) -> None:
        check_choice(unit, "unit", UNITS)
        self.name = "column"
        self.key = key
        self.unit: Unit = unit
        self.missing = None if missing is None else check_number(missing, "missing")

    def score(self, sample: Sample, context: Context) -> Value:
        if self.key not in sample.extra:
            raise Abstain(f"extra[{self.key!r}]: missing")
        found = sample.extra[self.key]
        if isinstance(found, (list, tuple)):
            values = [self._number(value, f"extra[{self.key!r}][{i}]") for i, value in enumerate(found)]
            nulls = sum(value is None for value in found)
            return Score(0.0, dense=values, unit=self.unit, parts={"missing": float(nulls)})
        if found is None and self.missing is None:
            raise Abstain(f"extra[{self.key!r}]: null")
        value = self._number(found, f"extra[{self.key!r}]")
        return Score(value, parts={"missing": float(found is None)})

    def _number(self, value: Any, name: str) -> float:
        if value is None and self.missing is not None:
            return self.missing
        return float(value) if isinstance(value, bool) else check_number(value, name)
