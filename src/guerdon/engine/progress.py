"""A progress bar with rate and remaining time, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

Advance = Callable[[int], None]


def ignore(count: int) -> None:
    """An `Advance` that nobody watches."""
    del count


@contextmanager
def progress_bar(shown: bool, total: int | None, what: str = "scoring") -> Generator[Advance]:
    """Yields `advance(n)`. With `shown=False` it does nothing, and rich isn't imported."""
    if not shown:
        yield ignore
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    class Rate(ProgressColumn):
        def render(self, task: Task) -> str:
            speed = task.finished_speed or task.speed
            return "" if speed is None else f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.2g}/s"

    columns = [TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), MofNCompleteColumn()]
    with Progress(*columns, Rate(), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)
