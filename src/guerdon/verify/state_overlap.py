"""What calls or a program did, judged by the state that they left behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from guerdon.core.checks import check_choice
from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat, Episode
from guerdon.core.signal import Abstain, Score
from guerdon.verify.call_matching import Same, same_json

State: TypeAlias = Mapping[Any, Any]
Metric: TypeAlias = Literal["f1", "exact", "intact"]
_ABSENT = object()


class StateOverlap(NamedTuple):
    """How far two states agree; see `state_overlap`."""

    precision: float
    recall: float
    f1: float
    collateral: int

    @property
    def exact(self) -> bool:
        """Whether they have the same facts."""
        return self.f1 == 1.0


def state_overlap(
    final: State, expected: State, initial: State | None = None, *, same: Same = same_json
) -> StateOverlap:
    """Agreement of the facts (key and value) of two states.

        overlap = #{k : k in both, same(final[k], expected[k])}
        precision = overlap/|final|     recall = overlap/|expected|     f1 = 2·overlap/(|final| + |expected|)

    All three are 1 where both states are empty and 0 where one is. With `initial` the facts are the *changes* from it,
    a key that went among them, so that what was there from the start, or is filled in by default, earns nothing; and
    `collateral` counts the keys that `expected` leaves as they were and `final` doesn't. Without it `collateral` is 0.

    `same`: equality of two values; by default that of JSON, in which True isn't 1. The released code compares as Python
    does, `operator.eq`.

    Qiantong Xu et al., "On the Tool Manipulation Capability of Open-source Large Language Models", arXiv 2305.16504
    (sambanova/toolbench). The check that nothing else changed is that of C. Rawles et al., "AndroidWorld: A Dynamic
    Benchmarking Environment for Autonomous Agents", arXiv 2405.14573 (google-research/android_world), for any state.
    """
    collateral = 0
    if initial is not None:
        final, expected = _changes(initial, final, same), _changes(initial, expected, same)
        collateral = len(final.keys() - expected.keys())
    if not final or not expected:
        both = float(not final and not expected)
        return StateOverlap(both, both, both, collateral)
    overlap = sum(k in final and _same(final[k], value, same) for k, value in expected.items())
    f1 = 2 * overlap / (len(final) + len(expected))
    return StateOverlap(overlap / len(final), overlap / len(expected), f1, collateral)


def _changes(initial: State, state: State, same: Same) -> State:
    everything = {**dict.fromkeys(initial, _ABSENT), **state}
    return {k: v for k, v in everything.items() if not _same(initial.get(k, _ABSENT), v, same)}


def _same(a: Any, b: Any, same: Same) -> bool:
    return a is b if a is _ABSENT or b is _ABSENT else same(a, b)


@register("state_overlap", example="{reward: state_overlap, metric: exact, initial: before}")
class StateMatch(Reward):
    """How far the state that a trajectory left behind is the expected one, in [0, 1].

    `extra[state]` is the final state, a mapping from the name of a fact to its value, as the environment reports it;
    the reference is the expected state, or a list of states, of which the one with the highest F1 counts (the first of
    equal ones). With `initial` the column of that name holds the state before, and only changes count; see
    `state_overlap` for the equations.

    `metric`: `f1` · `exact`, 1 where the facts are the same, else 0 · `intact`, 1 where nothing changed that the
    expected state leaves as it was, else 0; it needs `initial`, says nothing of what was to be done, and is meant as a
    factor or gate.

    A trajectory whose run crashed, `extra[crashed]` true, scores 0 and needs no state. `Signal.parts`: `crashed` (0 or
    1), and where it didn't `precision`, `recall`, `f1`, `exact` and `collateral`.

    Abstains where a state or the reference is missing, or the reference isn't a state or, without `initial`, has no
    fact. A sample fails where another column isn't of its type. Raises `ValueError` for an unknown `metric`, and for
    `intact` without `initial`.

    Qiantong Xu et al., "On the Tool Manipulation Capability of Open-source Large Language Models", arXiv 2305.16504
    (sambanova/toolbench).
    """

    name = "state_overlap"
    uses_context = False

    def __init__(
        self,
        metric: Metric = "f1",
        *,
        state: str = "state",
        initial: str | None = None,
        crashed: str = "crashed",
    ) -> None:
        check_choice(metric, "metric", get_args(Metric))
        if metric == "intact" and initial is None:
            raise ValueError(
                "initial: expected the column of the state before, which 'intact' needs, got None"
            )
        self.metric: Metric = metric
        self.state, self.initial, self.crashed = state, initial, crashed

    def score(self, sample: Chat | Episode, context: Context) -> Score:
        expected = self._expected(sample.reference)
        crashed = sample.extra.get(self.crashed, False)
        if type(crashed) is not bool:
            raise TypeError(f"extra[{self.crashed!r}]: expected true or false, got {crashed!r:.100}")
        if crashed:
            return Score(0.0, parts={"crashed": 1.0})
        final = _column(sample, self.state)
        initial = None if self.initial is None else _column(sample, self.initial)
        best = max((state_overlap(final, each, initial) for each in expected), key=lambda found: found.f1)
        numbers = {name: float(value) for name, value in best._asdict().items()}
        parts = {"crashed": 0.0, **numbers, "exact": float(best.exact)}
        return Score(
            float(not best.collateral) if self.metric == "intact" else parts[self.metric], parts=parts
        )

    def _expected(self, reference: Any) -> Sequence[State]:
        states: Sequence[Any] = (
            reference if isinstance(reference, (list, tuple)) and reference else [reference]
        )
        for each in states:
            if not isinstance(each, Mapping):
                raise Abstain(f"reference: expected a state or a list of states, got {type(each).__name__}")
            if not each and self.initial is None:
                raise Abstain("reference: expected at least one fact, got an empty state")
        return states


def _column(sample: Chat | Episode, key: str) -> State:
    found = sample.extra.get(key)
    if found is None:
        raise Abstain(f"extra[{key!r}]: missing")
    if not isinstance(found, Mapping):
        raise TypeError(f"extra[{key!r}]: expected a mapping of facts, got {type(found).__name__}")
    return found
