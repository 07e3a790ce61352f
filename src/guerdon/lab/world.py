"""What a world is: endless tasks from a seed, tools, a checker, and demonstrations for a first policy."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from guerdon.core.messages import Message
from guerdon.core.samples import Chat


class Verdict(Protocol):
    """What is right about a completion; a world adds what else it looks at."""

    @property
    def solved(self) -> bool:
        """Whether the task is solved."""
        ...


@dataclass(frozen=True, slots=True)
class Task:
    """One task of a world.

    `prompt`: its messages · `solution`: a completion that solves it, the assistant's turns and the results of
    their tool calls · `reference`: what rewards compare a completion with · `extra`: further columns, among
    them what `World.check` needs · `tools`: schemas of the tools that may be called.
    """

    prompt: Sequence[Message]
    solution: Sequence[Message]
    reference: Any
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tools: Sequence[Mapping[str, Any]] = ()

    def row(self) -> dict[str, Any]:
        """One row of a training set: `prompt`, `reference` and the columns of `extra`."""
        return {"prompt": list(self.prompt), "reference": self.reference, **self.extra}

    def chat(self, completion: str | Sequence[Message]) -> Chat:
        """A sample of this task, with `extra` and the `tools` in its extra columns."""
        extra = {**self.extra, "tools": list(self.tools)}
        return Chat(list(self.prompt), completion, reference=self.reference, extra=extra)


class World(ABC):
    """Tasks of one kind that a small policy can learn, without an end and exactly checkable.

    A subclass says how to `draw` a task, `check` a completion and `demonstrate` the format, and in `warm_steps` how
    many steps of 32 demonstrations a policy needs until it copies from the prompt.
    """

    tools: Sequence[Callable[..., Any]] = ()
    warm_steps: int = 160

    @abstractmethod
    def draw(self, rng: random.Random) -> Task:
        """The next task of a sequence that `rng` alone decides."""

    @abstractmethod
    def check(self, sample: Chat) -> Verdict:
        """What is right about a sample of this world. Raises `KeyError` where a column of the task is missing."""

    @abstractmethod
    def demonstrate(self, task: Task, rng: random.Random, habit: float) -> list[Message]:
        """A dialogue of the warm start: right in its form, wrong in what matters with probability `habit`."""

    def tasks(self, n: int, seed: int = 0) -> list[Task]:
        """The first n tasks of that seed."""
        rng = random.Random(seed)
        return [self.draw(rng) for _ in range(n)]

    def rows(self, n: int, seed: int = 0) -> list[dict[str, Any]]:
        """The first n tasks of that seed as rows of a training set."""
        return [task.row() for task in self.tasks(n, seed)]

    def make_policy(self, path: str | Path, *, seed: int = 0) -> Path:
        """A checkpoint at `path` that knows the format of this world but is often wrong, see `lab.make_policy`."""
        from guerdon.lab.policy import make_policy

        return make_policy(path, self, seed=seed, steps=self.warm_steps)
