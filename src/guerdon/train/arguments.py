"""Options of a trainer that a method depends on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def check_arguments(args: Any, needed: Mapping[str, Any]) -> None:
    """Raise `ValueError`, which names the first option of `args` that isn't what the method needs."""
    for name, value in needed.items():
        if getattr(args, name) != value:
            raise ValueError(f"args.{name}: expected {value!r}, got {getattr(args, name)!r}")
