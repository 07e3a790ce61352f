"""Pickles of what ordinary pickle refuses: functions and classes of the main program, closures, lambdas."""

from __future__ import annotations

from typing import Any

import cloudpickle  # pyright: ignore[reportMissingTypeStubs]


def dumps(value: Any) -> bytes:
    """Pickle by value what a fresh process could not import. Read it back with `pickle.loads`."""
    return cloudpickle.dumps(value)  # pyright: ignore[reportUnknownMemberType]
