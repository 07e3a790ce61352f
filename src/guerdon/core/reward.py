"""Reward: a batch of samples in, one Signal out."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from guerdon.core.context import EMPTY, Context
from guerdon.core.guarded import score_group_guarded, score_guarded
from guerdon.core.identity import Spec, digest
from guerdon.core.samples import Sample, group_rows
from guerdon.core.signal import Abstain, Signal, Value

if TYPE_CHECKING:
    from guerdon.core.algebra import Apply, When
    from guerdon.core.transform import Transform

Scope: TypeAlias = Literal["sample", "group", "batch"]
SCOPES: tuple[Scope, ...] = ("sample", "group", "batch")
Predicate: TypeAlias = Callable[[Sample], bool]


class Reward:
    """Base of every reward. Subclass it and implement the method of its scope:

    - `scope="sample"`: `score(sample, context)` returns a number, None (abstain) or a `Score`;
    - `scope="group"`: `score_group(samples, context)` returns one such value for each sample of one group;
    - `scope="batch"`: `score_batch(samples, context)` returns a `Signal` for all samples.

    A sample-scope reward may also implement `score_batch` where the whole batch at once is faster; both must agree.
    `score` may be `async`: the engine then runs many at a time. An exception fails that one sample (or group) with
    the exception as its reason.

    `isolate`: whether `score` may run in a worker process. Set it to False where the reward holds a model or other
    state that should exist once. `uses_context`: whether results depend on the context; where
    they don't, False lets a cached result serve every training step.
    """

    name: str = "reward"
    version: str = "1"
    scope: Scope = "sample"
    isolate: bool = True
    uses_context: bool = True
    spec: Spec | None = None

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
        kind = f"{type(self).__module__}.{type(self).__qualname__}"
        return digest([kind, self.name, self.version, self.config()])

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
