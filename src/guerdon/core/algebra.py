"""How rewards combine. Each class is an inner node of the expression graph.

One rule for statuses holds in every node: a part that abstains is left out of the combination, and the result
abstains where all parts do; a part that failed or timed out makes the result fail, with the part's name in the reason.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_number
from guerdon.core.context import Context
from guerdon.core.dense import Dense
from guerdon.core.reward import SCOPES, Predicate, Reward, Scope
from guerdon.core.signal import Signal, Status
from guerdon.core.transform import Transform


class Expression(Reward):
    """A reward computed from other rewards: `combine` gets their Signals in the order of `children()`."""

    parts: tuple[Reward, ...]
    anonymous: bool = False
    """Whether the name only spells the expression out; such a sum or product melts into a larger one."""

    def __init__(self, parts: Sequence[Reward], name: str | None = None) -> None:
        for part in parts:
            if not isinstance(part, Reward):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"{type(self).__name__}: expected rewards, got {type(part).__name__}")
        self.parts = tuple(parts)
        self.name = self.spelled() if name is None else name

    def spelled(self) -> str:
        """The expression in words: its name where it is given none."""
        raise NotImplementedError

    @property
    def scope(self) -> Scope:  # pyright: ignore[reportIncompatibleVariableOverride]
        return widest(part.scope for part in self.parts)

    def children(self) -> tuple[Reward, ...]:
        return self.parts

    def named(self, name: str) -> Reward:
        twin = cast(Expression, super().named(name))
        twin.anonymous = False
        return twin

    def combine(self, signals: Sequence[Signal], groups: NDArray[np.int64], context: Context) -> Signal:
        """One Signal from the parts' Signals, all over the same n rows."""
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        """What distinguishes this node from another of its kind with the same parts."""
        return {}

    def config(self) -> dict[str, Any]:
        return {"parts": [part.fingerprint() for part in self.parts], **self.options()}


def widest(scopes: Any) -> Scope:
    """The scope that covers all of them."""
    return SCOPES[max((SCOPES.index(scope) for scope in scopes), default=0)]


class Sum(Expression):
    """`Σ_k weight_k · part_k + bias`, over the parts that don't abstain. Outcome and dense channels add separately."""

    def __init__(
        self, terms: Sequence[tuple[float, Reward]], bias: float = 0.0, name: str | None = None
    ) -> None:
        for weight, _ in terms:
            _check_number(weight, "weight")
        _check_number(bias, "bias")
        self.weights = tuple(float(weight) for weight, _ in terms)
        self.bias = float(bias)
        self.anonymous = name is None
        super().__init__([part for _, part in terms], name)

    def spelled(self) -> str:
        terms = " + ".join(map(_term, self.weights, self.parts))
        return f"{terms} + {self.bias:g}" if self.bias else terms

    def options(self) -> dict[str, Any]:
        return {"weights": self.weights, "bias": self.bias}

    def combine(self, signals: Sequence[Signal], groups: NDArray[np.int64], context: Context) -> Signal:
        status, reasons = merge_status(signals, self.parts)
        outcome = np.full(status.shape[0], self.bias)
        variance = np.zeros(status.shape[0])
        dense = list[Dense]()
        for weight, signal in zip(self.weights, signals, strict=True):
            outcome += np.where(signal.ok, weight * signal.outcome, 0.0)
            if signal.std is not None:
                variance += np.where(np.isfinite(signal.std), (weight * signal.std) ** 2, 0.0)
            if signal.dense is not None:
                dense.append(signal.dense.scale(weight).keep(status == Status.OK))
        return finite(
            outcome,
            status,
            reasons,
            dense=Dense.add(dense) if dense else None,
            parts=name_parts(self.parts, signals),
            std=np.sqrt(variance) if any(s.std is not None for s in signals) else None,
        )


class Product(Expression):
    """`Π_k part_k` of the outcomes, over the parts that don't abstain.

    At most one part may have a dense channel: its values are multiplied by the other parts' outcomes, so that the
    sum over both channels is the product of the totals. Raises `ValueError` where several have one.
    """

    def __init__(self, parts: Sequence[Reward], name: str | None = None) -> None:
        self.anonymous = name is None
        super().__init__(parts, name)

    def spelled(self) -> str:
        return " * ".join(map(_factor, self.parts))

    def combine(self, signals: Sequence[Signal], groups: NDArray[np.int64], context: Context) -> Signal:
        status, reasons = merge_status(signals, self.parts)
        outcome = np.ones(status.shape[0])
        with_dense = [k for k, signal in enumerate(signals) if signal.dense is not None]
        if len(with_dense) > 1:
            names = ", ".join(repr(self.parts[k].name) for k in with_dense)
            raise ValueError(f"{self.name}: at most one factor may have a dense channel, got {names}")
        others = np.ones(status.shape[0])
        for k, signal in enumerate(signals):
            factor = np.where(signal.ok, signal.outcome, 1.0)
            with np.errstate(over="ignore"):
                outcome *= factor
                others *= 1.0 if k in with_dense else factor
        dense = None
        if with_dense:
            channel = signals[with_dense[0]].dense
            assert channel is not None
            dense = channel.scale(np.where(status == Status.OK, others, np.nan))
        return finite(outcome, status, reasons, dense=dense, parts=name_parts(self.parts, signals))


class Extremum(Expression):
    """`min_k part_k` or `max_k part_k` of the outcomes, over the parts that don't abstain.

    Raises `ValueError` where a part has a dense channel: reduce it to an outcome first.
    """

    def __init__(self, parts: Sequence[Reward], largest: bool = False, name: str | None = None) -> None:
        self.kind = "maximum" if largest else "minimum"
        self.largest = largest
        if not parts:
            raise ValueError(f"{self.kind}: expected at least one reward")
        super().__init__(parts, name)

    def spelled(self) -> str:
        return f"{self.kind}({', '.join(part.name for part in self.parts)})"

    def options(self) -> dict[str, Any]:
        return {"largest": self.largest}

    def combine(self, signals: Sequence[Signal], groups: NDArray[np.int64], context: Context) -> Signal:
        status, reasons = merge_status(signals, self.parts)
        for part, signal in zip(self.parts, signals, strict=True):
            if signal.dense is not None:
                raise ValueError(
                    f"{self.name}: {part.name!r} has a dense channel; reduce it to an outcome first"
                )
        neutral = -np.inf if self.largest else np.inf
        stacked = np.stack([np.where(signal.ok, signal.outcome, neutral) for signal in signals])
        outcome = stacked.max(axis=0) if self.largest else stacked.min(axis=0)
        return finite(outcome, status, reasons, parts=name_parts(self.parts, signals))


class When(Expression):
    """A reward that applies only where `predicate(sample)` is true; elsewhere it abstains and nothing is computed.

    The evaluation applies the predicate; a predicate that raises fails its sample.
    """

    def __init__(self, part: Reward, predicate: Predicate, name: str | None = None) -> None:
        if not callable(predicate):
            raise TypeError(f"when: expected a function of a sample, got {type(predicate).__name__}")
        self.predicate = predicate
        super().__init__((part,), name)

    def spelled(self) -> str:
        return self.parts[0].name

    def options(self) -> dict[str, Any]:
        return {"predicate": getattr(self.predicate, "spec", None) or self.predicate}

    def combine(self, signals: Sequence[Signal], groups: NDArray[np.int64], context: Context) -> Signal:
        return signals[0]


class Gate(Expression):
    """`part` where `by > threshold`, else `otherwise`.

    `by` is compared on its outcome. Where it abstains the result abstains, and where it failed the result fails.
    A closed gate doesn't look at `part`, so a failure there does no harm.
    """

    def __init__(
        self,
        part: Reward,
        by: Reward,
        threshold: float = 0.0,
        otherwise: float = 0.0,
        name: str | None = None,
    ) -> None:
        _check_number(threshold, "threshold")
        _check_number(otherwise, "otherwise")
        self.threshold, self.otherwise = float(threshold), float(otherwise)
        super().__init__((part, by), name)

    def spelled(self) -> str:
        return f"gate({self.parts[0].name}, by={self.parts[1].name})"

    def options(self) -> dict[str, Any]:
        return {"threshold": self.threshold, "otherwise": self.otherwise}

    def combine(self, signals: Sequence[Signal], groups: NDArray[np.int64], context: Context) -> Signal:
        part, by = signals
        closed = by.ok & (np.where(by.ok, by.outcome, 0.0) <= self.threshold)
        opened = by.ok & ~closed
        outcome = np.where(closed, self.otherwise, part.outcome)
        status = np.where(by.ok, np.where(closed, np.uint8(Status.OK), part.status), by.status)
        reasons = {i: f"{self.parts[1].name}: {text}" for i, text in by.reasons.items() if not by.ok[i]}
        reasons |= {i: f"{self.parts[0].name}: {text}" for i, text in part.reasons.items() if opened[i]}
        dense = None if part.dense is None else part.dense.keep(opened & part.ok)
        return Signal(outcome, status, dense=dense, parts=name_parts(self.parts, signals), reasons=reasons)


class Apply(Expression):
    """`part | transform`."""

    def __init__(self, part: Reward, transform: Transform, name: str | None = None) -> None:
        if not isinstance(transform, Transform):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"reward | …: expected a Transform, got {type(transform).__name__}")
        self.transform = transform
        super().__init__((part,), name)

    def spelled(self) -> str:
        return f"{self.parts[0].name} | {self.transform.name}"

    @property
    def scope(self) -> Scope:  # pyright: ignore[reportIncompatibleVariableOverride]
        return widest((self.parts[0].scope, self.transform.scope))

    def options(self) -> dict[str, Any]:
        return {"transform": self.transform.fingerprint()}

    def own_state(self) -> dict[str, Any]:
        return self.transform.state_dict()

    def load_own_state(self, state: Mapping[str, Any]) -> None:
        self.transform.load_state_dict(state)

    def combine(self, signals: Sequence[Signal], groups: NDArray[np.int64], context: Context) -> Signal:
        result = self.transform.apply(signals[0], groups, context)
        if len(result) != len(signals[0]):
            raise ValueError(f"{self.name}: the transform returned {len(result)} rows for {len(signals[0])}")
        return result.replace(parts={**result.parts, **name_parts(self.parts, signals)})


# -- the operators -------------------------------------------------------------------------------------------------


def add(left: Reward, right: Reward | float) -> Reward:
    """`left + right`; sums of sums become one flat sum, so grouping doesn't matter."""
    if not isinstance(right, Reward):
        terms, bias = _terms(left)
        return Sum(terms, bias + _check_number(right, "summand"))
    (left_terms, left_bias), (right_terms, right_bias) = _terms(left), _terms(right)
    return Sum([*left_terms, *right_terms], left_bias + right_bias)


def multiply(left: Reward, right: Reward | float) -> Reward:
    """`left * right`; a number scales every term of a sum."""
    if not isinstance(right, Reward):
        factor = _check_number(right, "factor")
        terms, bias = _terms(left)
        return Sum([(weight * factor, part) for weight, part in terms], bias * factor)
    return Product([*_factors(left), *_factors(right)])


def minimum(*parts: Reward) -> Extremum:
    """The smallest outcome of the parts that don't abstain."""
    return Extremum(parts)


def maximum(*parts: Reward) -> Extremum:
    """The largest outcome of the parts that don't abstain."""
    return Extremum(parts, largest=True)


def gate(part: Reward, *, by: Reward, threshold: float = 0.0, otherwise: float = 0.0) -> Gate:
    """`part` where `by > threshold`, else `otherwise`."""
    return Gate(part, by, threshold, otherwise)


# -- shared pieces -------------------------------------------------------------------------------------------------


def merge_status(
    signals: Sequence[Signal], parts: Sequence[Reward]
) -> tuple[NDArray[np.uint8], dict[int, str]]:
    """Status of a combination, and why: TIMED_OUT over FAILED over OK over ABSTAINED."""
    stacked = np.stack([signal.status for signal in signals])
    worst = stacked.max(axis=0)
    some_ok = (stacked == Status.OK).any(axis=0)
    status = np.where(
        worst >= Status.FAILED, worst, np.where(some_ok, np.uint8(Status.OK), np.uint8(Status.ABSTAINED))
    )
    return status.astype(np.uint8), reasons_for(status, signals, parts)


def reasons_for(
    status: NDArray[np.uint8], signals: Sequence[Signal], parts: Sequence[Reward]
) -> dict[int, str]:
    """Why rows of a combination aren't OK: the reason of the first part with that status, behind its name."""
    reasons = dict[int, str]()
    for part, signal in zip(parts, signals, strict=True):
        for i, text in signal.reasons.items():
            if status[i] != Status.OK and signal.status[i] == status[i]:
                reasons.setdefault(i, f"{part.name}: {text}")
    return reasons


def finite(
    outcome: NDArray[np.float64], status: NDArray[np.uint8], reasons: dict[int, str], **columns: Any
) -> Signal:
    """A Signal in which a result that overflowed is FAILED rather than infinite."""
    overflow = (status == Status.OK) & ~np.isfinite(outcome)
    if overflow.any():
        status = np.where(overflow, np.uint8(Status.FAILED), status)
        reasons = {**reasons, **{int(i): f"combination is {outcome[i]}" for i in np.flatnonzero(overflow)}}
    return Signal(outcome, status, reasons=reasons, **columns)


def name_parts(parts: Sequence[Reward], signals: Sequence[Signal]) -> dict[str, Signal]:
    """The parts' Signals by name; a name that occurs again gets a number."""
    named = dict[str, Signal]()
    for part, signal in zip(parts, signals, strict=True):
        name, count = part.name, 1
        while name in named and named[name] is not signal:
            count += 1
            name = f"{part.name}#{count}"
        named[name] = signal
    return named


def _terms(node: Reward) -> tuple[list[tuple[float, Reward]], float]:
    if isinstance(node, Sum) and node.anonymous:
        return list(zip(node.weights, node.parts, strict=True)), node.bias
    return [(1.0, node)], 0.0


def _factors(node: Reward) -> list[Reward]:
    if isinstance(node, Product) and node.anonymous:
        return list(node.parts)
    return [node]


def _term(weight: float, part: Reward) -> str:
    return _factor(part) if weight == 1.0 else f"{weight:g}*{_factor(part)}"


def _factor(part: Reward) -> str:
    return f"({part.name})" if " + " in part.name else part.name


def _check_number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{what}: expected a number or a Reward, got {type(value).__name__}")
    return check_number(value, what)
