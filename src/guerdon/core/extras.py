"""Heavy libraries load on first use; a missing one is one line that names the pip command."""

from __future__ import annotations

import importlib
from typing import Any


class MissingExtra(ImportError):
    """An optional library isn't installed."""


def need(module: str, extra: str) -> Any:
    """Import `module`, or raise `MissingExtra` with the command that installs it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module + ".").startswith(error.name + "."):
            raise
        raise MissingExtra(f"{module} is not installed: pip install 'guerdon[{extra}]'") from None
