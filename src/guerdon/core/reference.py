"""A reward that reads its reference from another column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from guerdon.core.algebra import Expression
from guerdon.core.context import Context
from guerdon.core.guarded import score_batch_guarded
from guerdon.core.reward import Reward
from guerdon.core.signal import Abstain, Signal


class WithReference(Reward):
    """`part`, with `extra[key]` in the place of `reference`, so that parts of one reward can have references of their own.

    A sample without that key abstains. Made by `reward.with_reference(key)`. Raises `TypeError` for an expression: each
    of its leaves looks at samples by itself.
    """

    def __init__(self, part: Reward, key: str) -> None:
        if isinstance(part, Expression):
            raise TypeError(
                f"{part.name}: with_reference is for a reward that looks at samples, not for an expression"
            )
        self.part, self.key = part, key
        self.name, self.version = part.name, part.version
        self.scope, self.isolate, self.uses_context = part.scope, part.isolate, part.uses_context

    @property
    def is_async(self) -> bool:
        return self.part.is_async

    @property
    def vectorised(self) -> bool:
        return self.part.vectorised

    def prepare(self) -> None:
        self.part.prepare()

    def is_temporary(self, error: BaseException) -> bool:
        return self.part.is_temporary(error)

    def config(self) -> dict[str, Any]:
        return {"part": self.part.fingerprint(), "key": self.key}

    def score(self, sample: Any, context: Context) -> Any:
        return self.part.score(self._with(sample), context)

    def score_group(self, samples: Sequence[Any], context: Context) -> Sequence[Any]:
        return self.part.score_group([self._with(sample) for sample in samples], context)

    def score_batch(self, samples: Sequence[Any], context: Context) -> Signal:
        rows = [i for i, sample in enumerate(samples) if self.key in sample.extra]
        inner = score_batch_guarded(self.part, [self._with(samples[i]) for i in rows], context)
        if len(rows) == len(samples):
            return inner
        back = np.full(len(samples), -1, dtype=np.int64)
        back[rows] = np.arange(len(rows))
        without = {i: self._missing for i in np.flatnonzero(back < 0).tolist()}
        spread = inner.take(back)
        return spread.replace(reasons={**spread.reasons, **without})

    def _with(self, sample: Any) -> Any:
        if self.key not in sample.extra:
            raise Abstain(self._missing)
        return replace(sample, reference=sample.extra[self.key])

    @property
    def _missing(self) -> str:
        return f"extra[{self.key!r}], the reference, is missing"
