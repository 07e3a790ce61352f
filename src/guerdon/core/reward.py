"""Reward: a batch of samples in, one Signal out. And `@reward`, which makes one from a plain function."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, cast, overload

from guerdon.core.arrays import is_array
from guerdon.core.context import EMPTY, Context
from guerdon.core.samples import Sample, group_codes
from guerdon.core.signal import Abstain, Failure, Signal, Status, Value, as_value

if TYPE_CHECKING:
    from guerdon.core.algebra import Apply, When
    from guerdon.core.transform import Transform

Scope: TypeAlias = Literal["sample", "group", "batch"]
SCOPES: tuple[Scope, ...] = ("sample", "group", "batch")
Predicate: TypeAlias = Callable[[Sample], bool]


@dataclass(frozen=True, slots=True)
class Spec:
    """Under which registered name, and with which arguments, an object was made; what a recipe writes down."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Reward:
    """Base of every reward. Subclass it and implement the method of its scope:

    - `scope="sample"`: `score(sample, context)` returns a number, None (abstain) or a `Score`;
    - `scope="group"`: `score_group(samples, context)` returns one such value for each sample of one group;
    - `scope="batch"`: `score_batch(samples, context)` returns a `Signal` for all samples.

    A sample-scope reward may also implement `score_batch` where the whole batch at once is faster; both must agree.
    `score` may be `async`: the engine then runs many at a time. An exception fails that one sample (or group) with
    the exception as its reason.

    `isolate`: whether `score` may run in a worker process. Set it to False where the reward holds a model or other
    state that should exist once. `uses_context`: whether results depend on the context (cached results then do too).
    """

    name: str = "reward"
    version: str = "1"
    scope: Scope = "sample"
    isolate: bool = True
    uses_context: bool = False
    spec: Spec | None = None
    citation: ClassVar[str] = ""

    # -- what a subclass implements -----------------------------------------------------------------------------

    def score(self, sample: Any, context: Context) -> Any:
        """Value of one sample."""
        raise TypeError(
            f"{type(self).__name__}: a reward of scope 'sample' implements score(sample, context)"
        )

    def score_group(self, samples: Sequence[Any], context: Context) -> Sequence[Any]:
        """Values of the samples of one group."""
        raise TypeError(
            f"{type(self).__name__}: a reward of scope 'group' implements score_group(samples, context)"
        )

    def score_batch(self, samples: Sequence[Any], context: Context) -> Signal:
        """Values of all samples. The default calls `score` or `score_group` and turns an exception into a reason."""
        if self.scope == "group":
            values: list[Value] = [None] * len(samples)
            for rows in group_rows(samples):
                found = score_group_guarded(self, [samples[i] for i in rows], context)
                for i, value in zip(rows, found, strict=True):
                    values[i] = value
            return Signal.from_values(values)
        if self.scope == "batch":
            raise TypeError(f"{type(self).__name__}: a reward of scope 'batch' implements score_batch")
        return Signal.from_values([score_guarded(self, sample, context) for sample in samples])

    def prepare(self) -> None:
        """Load what scoring needs, before workers are forked and before any time limit starts to run.

        In the caller's own process it isn't called: there a reward loads things when it first needs them.
        """

    def is_temporary(self, error: BaseException) -> bool:
        """Whether an async `score` that raised `error` may be tried again. The default: not where the code is at fault."""
        faults = (
            TypeError,
            ValueError,
            LookupError,
            AttributeError,
            ArithmeticError,
            AssertionError,
            NameError,
        )
        return isinstance(error, Exception) and not isinstance(error, (Abstain, *faults))

    def children(self) -> tuple[Reward, ...]:
        """Rewards that this one is computed from; empty for a leaf."""
        return ()

    def state_dict(self) -> dict[str, Any]:
        """What has to be saved to go on later; empty for a stateless reward. Composed rewards collect their parts'."""
        return {f"{i}:{node.name}": state for i, node in enumerate(walk(self)) if (state := node.own_state())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave. Raises `KeyError` where the graph is another one."""
        nodes = {f"{i}:{node.name}": node for i, node in enumerate(walk(self))}
        if unknown := set(state) - set(nodes):
            raise KeyError(f"state_dict: no such part in {self.name!r}: {', '.join(sorted(unknown))}")
        for key, value in state.items():
            nodes[key].load_own_state(value)

    def own_state(self) -> dict[str, Any]:
        """State of this node alone."""
        return {}

    def load_own_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `own_state` gave."""
        del state

    # -- running ------------------------------------------------------------------------------------------------

    def __call__(self, samples: Sequence[Any], context: Context | None = None) -> Signal:
        """Score in this process. `guerdon.score` runs the same with workers, time limits and a cache."""
        from guerdon.core.evaluate import evaluate

        return evaluate(self, samples, context or EMPTY)

    @property
    def is_async(self) -> bool:
        """Whether `score` is a coroutine function."""
        return inspect.iscoroutinefunction(self.score)

    @property
    def vectorised(self) -> bool:
        """Whether this reward has a `score_batch` of its own."""
        return type(self).score_batch is not Reward.score_batch

    def config(self) -> dict[str, Any]:
        """The arguments that decide what this reward computes, for its fingerprint."""
        if self.spec is not None:
            return {"spec": self.spec.name, **self.spec.arguments}
        return {k: v for k, v in vars(self).items() if not k.startswith("_")}

    def fingerprint(self) -> str:
        """Identity of what is computed: class, name, version and configuration. Equal ones may share a cache."""
        return digest([type(self).__qualname__, self.name, self.version, self.config()])

    def named(self, name: str) -> Reward:
        """A copy with another name; the name is what it is called in `Signal.parts`."""
        twin = copy.copy(self)
        twin.name = name
        return twin

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} v{self.version}, scope={self.scope}>"

    # -- algebra ------------------------------------------------------------------------------------------------

    def __add__(self, other: Reward | float) -> Reward:
        from guerdon.core.algebra import add

        return add(self, other)

    __radd__ = __add__

    def __sub__(self, other: Reward | float) -> Reward:
        return self + (-1.0 * other)

    def __rsub__(self, other: float) -> Reward:
        return (-1.0 * self) + other

    def __mul__(self, other: Reward | float) -> Reward:
        from guerdon.core.algebra import multiply

        return multiply(self, other)

    __rmul__ = __mul__

    def __neg__(self) -> Reward:
        return -1.0 * self

    def __truediv__(self, other: float) -> Reward:
        return self * (1.0 / other)

    def __or__(self, transform: Transform) -> Apply:
        from guerdon.core.algebra import Apply

        return Apply(self, transform)

    def when(self, predicate: Predicate) -> When:
        """Apply only where `predicate(sample)` is true; other samples abstain and are not scored."""
        from guerdon.core.algebra import When

        return When(self, predicate)

    def with_reference(self, key: str) -> Reward:
        """The same reward with `extra[key]` as the reference."""
        from guerdon.core.reference import WithReference

        return WithReference(self, key)


def walk(reward: Reward) -> Iterator[Reward]:
    """Every node of the expression graph once, children before parents."""
    seen = set[int]()

    def visit(node: Reward) -> Iterator[Reward]:
        if id(node) in seen:
            return
        seen.add(id(node))
        for child in node.children():
            yield from visit(child)
        yield node

    return visit(reward)


def leaves(reward: Reward) -> list[Reward]:
    """The rewards that look at samples, each once."""
    return [node for node in walk(reward) if not node.children()]


def group_rows(samples: Sequence[Sample]) -> list[list[int]]:
    """Row numbers of each group, groups in order of first appearance."""
    codes = group_codes(samples)
    rows: list[list[int]] = [[] for _ in range(int(codes.max()) + 1 if codes.size else 0)]
    for i, code in enumerate(cast("list[int]", codes.tolist())):
        rows[code].append(i)
    return rows


def explain(error: BaseException) -> str:
    """One line for a reason: the exception's type and the first 500 characters of its text."""
    text = " ".join(str(error).split())[:500]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def score_guarded(reward: Reward, sample: Sample, context: Context) -> Value:
    """`reward.score` with whatever it raises turned into a value."""
    try:
        returned = reward.score(sample, context)
    except Abstain as abstention:
        return abstention
    except Exception as error:
        return Failure(explain(error))
    if type(returned) is float and returned - returned == 0.0:
        return returned
    if inspect.iscoroutine(returned):
        return finish_coroutine(returned)
    return as_value(returned)


def finish_coroutine(coroutine: Any) -> Value:
    """Run one async score to its end where no loop is running."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        try:
            return as_value(asyncio.run(coroutine))
        except Abstain as abstention:
            return abstention
        except Exception as error:
            return Failure(explain(error))
    coroutine.close()
    return Failure("an async reward can't be called inside a running event loop; use guerdon.score")


def score_group_guarded(reward: Reward, samples: Sequence[Sample], context: Context) -> list[Value]:
    """`reward.score_group` with whatever it raises turned into one value a sample."""
    try:
        returned = reward.score_group(samples, context)
    except Abstain as abstention:
        return [abstention] * len(samples)
    except Exception as error:
        return [Failure(explain(error))] * len(samples)
    if isinstance(returned, Signal):
        found: list[Value] = [returned.value(i) for i in range(len(returned))]
    elif isinstance(returned, (str, bytes)) or not hasattr(returned, "__len__"):
        return [
            Failure(f"score_group returned {type(returned).__name__}, expected one value a sample")
        ] * len(samples)
    else:
        found = [as_value(value) for value in returned]
    if len(found) != len(samples):
        return [Failure(f"score_group returned {len(found)} values for {len(samples)} samples")] * len(
            samples
        )
    return found


def score_batch_guarded(reward: Reward, samples: Sequence[Sample], context: Context) -> Signal:
    """`reward.score_batch`; an exception fails every row with its reason, and a wrong length is an error of the reward."""
    try:
        signal = reward.score_batch(samples, context)
    except Abstain as abstention:
        return Signal.from_values([abstention] * len(samples))
    except Exception as error:
        return Signal.failed(len(samples), explain(error))
    checked: Any = signal
    if not isinstance(checked, Signal):
        return Signal.failed(
            len(samples), f"score_batch returned {type(checked).__name__}, expected guerdon.Signal"
        )
    if len(signal) != len(samples):
        return Signal.failed(
            len(samples), f"score_batch returned {len(signal)} rows for {len(samples)} samples"
        )
    return signal


# -- fingerprints --------------------------------------------------------------------------------------------------


def canonical(value: Any) -> Any:
    """A JSON-able form in which equal configurations are equal."""
    if isinstance(value, Reward):
        return ["reward", value.fingerprint()]
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {str(k): canonical(v) for k, v in sorted(items, key=lambda item: str(item[0]))}
    if isinstance(value, (list, tuple)):
        return [canonical(v) for v in cast("Sequence[Any]", value)]
    if isinstance(value, (set, frozenset)):
        return ["set", sorted(map(repr, cast("set[Any]", value)))]
    if is_array(value):
        return ["array", str(value.dtype), list(value.shape), hashlib.blake2b(value.tobytes()).hexdigest()]
    if isinstance(value, Spec):
        return [value.name, canonical(value.arguments)]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if inspect.isfunction(value):
        return ["function", *function_identity(value)]
    return repr(value)


def digest(value: Any) -> str:
    """Short stable hash of a configuration."""
    text = json.dumps(canonical(value), sort_keys=True, ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def function_identity(function: Callable[..., Any]) -> list[Any]:
    """Name, code, defaults and captured values of a function: editing it changes its fingerprint."""
    code = getattr(function, "__code__", None)
    captured = [
        canonical(cell.cell_contents)
        for cell in (getattr(function, "__closure__", None) or ())
        if _full(cell)
    ]
    return [
        getattr(function, "__qualname__", repr(function)),
        _code_hash(code) if code is not None else "",
        canonical(getattr(function, "__defaults__", None)),
        captured,
    ]


def _full(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _code_hash(code: Any) -> str:
    hasher = hashlib.blake2b(code.co_code, digest_size=16)
    hasher.update(repr((code.co_names, code.co_varnames)).encode("utf-8", "backslashreplace"))
    for constant in code.co_consts:
        nested = hasattr(constant, "co_code")
        hasher.update(
            (_code_hash(constant) if nested else repr(constant)).encode("utf-8", "backslashreplace")
        )
    return hasher.hexdigest()


# -- functions as rewards ------------------------------------------------------------------------------------------


class FunctionReward(Reward):
    """A reward made from a function by `@reward`. It can still be called like the function: `r.function(sample)`."""

    def __init__(
        self, function: Callable[..., Any], name: str, version: str, scope: Scope, isolate: bool
    ) -> None:
        if scope not in SCOPES:
            raise ValueError(f"reward {name!r}: scope must be one of {', '.join(SCOPES)}, got {scope!r}")
        parameters = [
            p for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD
        ]
        if not parameters or len([p for p in parameters if p.default is p.empty]) > 2:
            raise TypeError(
                f"reward {name!r}: expected a function of (sample{'s' * (scope != 'sample')}) or of the same with "
                f"(…, context), got {inspect.signature(function)}"
            )
        if scope != "sample" and inspect.iscoroutinefunction(function):
            raise TypeError(f"reward {name!r}: only a reward of scope 'sample' can be async")
        self.function = function
        self.name, self.version, self.scope, self.isolate = name, version, scope, isolate
        self.uses_context = "context" in (p.name for p in parameters) or (
            len(parameters) > 1 and parameters[1].default is parameters[1].empty
        )
        self.__doc__ = function.__doc__

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.function)

    @property
    def vectorised(self) -> bool:
        return self.scope == "batch"

    def config(self) -> dict[str, Any]:
        return {"scope": self.scope, "function": function_identity(self.function)}

    def _call(self, samples: Any, context: Context) -> Any:
        return self.function(samples, context) if self.uses_context else self.function(samples)

    def score(self, sample: Any, context: Context) -> Any:
        return self.function(sample, context) if self.uses_context else self.function(sample)

    def score_group(self, samples: Sequence[Any], context: Context) -> Sequence[Any]:
        return self._call(samples, context)

    def score_batch(self, samples: Sequence[Any], context: Context) -> Signal:
        if self.scope != "batch":
            return super().score_batch(samples, context)
        returned = self._call(samples, context)
        return (
            returned if isinstance(returned, Signal) else Signal.from_values([as_value(v) for v in returned])
        )


@overload
def reward(function: Callable[..., Any], /) -> FunctionReward: ...
@overload
def reward(
    *, name: str | None = None, version: str = "1", scope: Scope = "sample", isolate: bool = True
) -> Callable[[Callable[..., Any]], FunctionReward]: ...
def reward(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    version: str = "1",
    scope: Scope = "sample",
    isolate: bool = True,
) -> FunctionReward | Callable[[Callable[..., Any]], FunctionReward]:
    """Make a `Reward` from a plain function.

    The function takes `(sample)` or `(sample, context)` and returns a number, None to abstain, or a `Score`. It may be
    `async`. With `scope="group"` it takes the samples of one group and returns one value each; with `scope="batch"`
    it takes all samples. Raising fails that sample with the exception as its reason; nothing turns into 0.

        @guerdon.reward
        def short(sample):
            return float(len(sample.text) < 200)
    """

    def make(f: Callable[..., Any]) -> FunctionReward:
        return FunctionReward(f, name or getattr(f, "__name__", "reward"), version, scope, isolate)

    return make if function is None else make(function)


__all__ = ["FunctionReward", "Predicate", "Reward", "Scope", "Spec", "Status", "leaves", "reward", "walk"]
