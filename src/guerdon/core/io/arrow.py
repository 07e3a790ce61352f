"""pyarrow, loaded on first use. It has no type stubs, so to the type checker its objects are `Any`."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from typing import Any, TypeAlias

Table: TypeAlias = Any


def load(module: str = "pyarrow") -> Any:
    """`pyarrow` or a module of it."""
    return importlib.import_module(module)


def described(table: Table, description: Mapping[str, Any]) -> Table:
    """The table with a description of its columns in the schema metadata, under `guerdon`."""
    return table.replace_schema_metadata({"guerdon": json.dumps(description)})


def description_of(schema: Any) -> dict[str, Any] | None:
    """The description that `described` put there; None for a table from elsewhere."""
    if not schema.metadata or b"guerdon" not in schema.metadata:
        return None
    return json.loads(schema.metadata[b"guerdon"])
