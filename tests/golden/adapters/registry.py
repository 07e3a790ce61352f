"""Where adapters are entered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Adapter = Callable[[Mapping[str, Any]], Any]
ADAPTERS: dict[str, Adapter] = {}


def adapter(call: str) -> Callable[[Adapter], Adapter]:
    """Enter a function of a case's inputs under the name of the call that it computes."""

    def enter(function: Adapter) -> Adapter:
        if call in ADAPTERS:
            raise ValueError(f"adapter: {call!r} has one already, in {ADAPTERS[call].__module__}")
        ADAPTERS[call] = function
        return function

    return enter
