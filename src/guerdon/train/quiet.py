"""Silence of the libraries underneath: their progress bars and printed dictionaries, not their errors."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from guerdon.core.extras import need


@contextmanager
def quiet() -> Generator[None]:
    """No progress bars of transformers and datasets inside the block."""
    transformers, datasets = need("transformers.utils.logging", "train"), need("datasets", "train")
    shown = transformers.is_progress_bar_enabled(), datasets.are_progress_bars_disabled()
    transformers.disable_progress_bar()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown[0]:
            transformers.enable_progress_bar()
        if not shown[1]:
            datasets.enable_progress_bars()


def stop_printing(trainer: Any) -> None:
    """Take the callback away that prints every log of a trainer."""
    trainer.remove_callback(need("transformers", "train").PrinterCallback)
