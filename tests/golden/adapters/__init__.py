"""Adapters from the `call` of a golden case to the public API: one module a slug, found by itself."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping

from .registry import ADAPTERS, Adapter


def load_adapters() -> Mapping[str, Adapter]:
    """Every adapter by the name of its call."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return ADAPTERS
