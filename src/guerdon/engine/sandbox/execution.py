"""What a sandbox is asked and what it answers: limits, the outcome of a program, the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from guerdon.core.checks import check_number

Ending: TypeAlias = Literal["ok", "error", "timeout", "output_limit", "memory"]


class SandboxError(RuntimeError):
    """The sandbox itself couldn't run the program; it says nothing of the program."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a program may take.

    `seconds` > 0: wall-clock time, with the start of the interpreter · `memory`: bytes of address space of each process ·
    `output`: bytes kept of each of stdout and stderr · `file_size`: bytes of each file it writes · `processes`: how
    many processes and threads it may have at once. Raises `ValueError` where one isn't such a number.
    """

    seconds: float = 10.0
    memory: int = 2 << 30
    output: int = 1 << 20
    file_size: int = 64 << 20
    processes: int = 64

    def __post_init__(self) -> None:
        check_number(self.seconds, "Limits.seconds", above=0.0)
        for name in ("memory", "output", "file_size", "processes"):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value < 1 << 63:
                raise ValueError(f"Limits.{name}: expected a positive integer, got {value!r}")


DEFAULT = Limits()


@dataclass(frozen=True, slots=True)
class Execution:
    """How a program ended.

    `status`: `ok` (exit code 0), `error` (another one, or killed by a signal), `timeout`, `output_limit` (stopped since it
    printed too much), or `memory` (it ended in a `MemoryError`) · `exit_code`: as the program left it, minus the signal's
    number where one killed it, None where the sandbox stopped it · `stdout`, `stderr`: decoded as UTF-8, bytes that
    aren't are replaced · `seconds`: wall-clock time · `truncated`: whether output was cut at the limit · `isolated`:
    whether it ran without network and in a PID namespace of its own.
    """

    status: Ending
    exit_code: int | None
    stdout: str
    stderr: str
    seconds: float
    truncated: bool
    isolated: bool


class Sandbox(Protocol):
    """Where untrusted programs run."""

    def run(
        self,
        program: str,
        *,
        stdin: str = "",
        files: Mapping[str, str | bytes] | None = None,
        limits: Limits = DEFAULT,
    ) -> Execution:
        """Run a Python program to its end or to a limit.

        `files`: what lies in its working folder, by relative path. Whatever the program does is in the `Execution`;
        `SandboxError` is raised where the sandbox can't run anything, `ValueError` or `TypeError` for a bad argument.
        """
        ...
