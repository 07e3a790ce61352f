"""`@reward`: a reward from a plain function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, overload

from guerdon.core.context import Context
from guerdon.core.identity import function_identity
from guerdon.core.reward import SCOPES, Reward, Scope
from guerdon.core.signal import Signal, as_value


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
        named = next((p for p in parameters if p.name == "context"), None)
        second = len(parameters) > 1 and parameters[1].default is parameters[1].empty
        self.uses_context = named is not None or second
        self._by_name = named is not None
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
        if not self.uses_context:
            return self.function(samples)
        return self.function(samples, context=context) if self._by_name else self.function(samples, context)

    def score(self, sample: Any, context: Context) -> Any:
        return self._call(sample, context)

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
