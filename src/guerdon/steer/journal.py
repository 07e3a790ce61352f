"""What a policy and a value function said during a search, on disk, so that a search that was killed goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from guerdon.core.identity import digest
from guerdon.core.io.files import drop_cut_line, whole_lines
from guerdon.steer.inputs import as_vector
from guerdon.steer.proposals import Evaluate, Proposal, Propose, Steps

_Row: TypeAlias = dict[str, Any]


class JournalMismatch(ValueError):
    """The journal is that of another run."""


class SearchJournal:
    """Writes down every answer of a policy and of a value function, and gives those again in a second run.

    `path`: a file of JSON lines, one a call, written when its answer is there; a line that a kill cut short is
    dropped. Searches are functions of their seed and of these answers, so a run that is repeated with the same
    arguments takes the answers so far from the file, makes no call twice, and goes on with the same result as a run
    that wasn't killed:

        with SearchJournal("search.jsonl") as journal:
            tree = TreeSearch()(journal.propose(policy), journal.evaluate(value), seed=0)

    It may hold several searches one after the other, but not at the same time. A call that raises leaves nothing.
    Steps are texts, numbers, booleans or None. The state of the generator stands behind each proposal.

    `propose` and `evaluate` give functions that raise `JournalMismatch` where a call isn't the one in the file: other
    prefixes, width or seed; and `TypeError` for another kind of step. Raises `JournalMismatch` for a file that isn't a
    journal.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self._known = list[_Row]()
        self._read()
        self._place = 0
        self._file = self.path.open("a", encoding="utf-8")

    def __enter__(self) -> SearchJournal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; it stays where it is."""
        self._file.close()

    def propose(self, policy: Propose) -> Propose:
        """`policy`, asked only where the journal has no answer."""

        def propose(prefixes: Sequence[Steps], width: int, rng: np.random.Generator) -> list[list[Proposal]]:
            def ask() -> _Row:
                found = [[tuple(one) for one in steps] for steps in policy(prefixes, width, rng)]
                for step in (one[0] for steps in found for one in steps):
                    _check_step(step)
                return {"proposals": found, "generator": rng.bit_generator.state}

            row = self._answer(_key("propose", prefixes, width, rng.bit_generator.state), ask)
            rng.bit_generator.state = row["generator"]
            return [[Proposal(*one) for one in steps] for steps in row["proposals"]]

        return propose

    def evaluate(self, value: Evaluate) -> Evaluate:
        """`value`, asked only where the journal has no answer."""

        def evaluate(prefixes: Sequence[Steps]) -> ArrayLike:
            def ask() -> _Row:
                return {"values": as_vector(value(prefixes), "evaluate").tolist()}

            return np.array(self._answer(_key("evaluate", prefixes), ask)["values"], dtype=np.float64)

        return evaluate

    def _answer(self, key: str, ask: Callable[[], _Row]) -> _Row:
        if self._place < len(self._known):
            row = self._known[self._place]
            if row["call"] != key:
                raise JournalMismatch(
                    f"{self.path}, line {self._place + 1}: that call had another seed, other steps so far or another "
                    "width; to start afresh, remove the file"
                )
        else:
            row = {"call": key, **ask()}
            self._file.write(json.dumps(row, default=_plain) + "\n")
            self._file.flush()
            self._known.append(row)
        self._place += 1
        return row

    def _read(self) -> None:
        for number, line in enumerate(whole_lines(self.path), start=1):
            try:
                row = json.loads(line)
                row["call"]
            except (ValueError, LookupError, TypeError) as error:
                raise JournalMismatch(f"{self.path}, line {number}: not of a journal: {error}") from error
            self._known.append(row)
        drop_cut_line(self.path)


def _key(*request: Any) -> str:
    return digest(request)


def _check_step(step: Any) -> None:
    if step is not None and not isinstance(step, (str, int, float, bool)):
        raise TypeError(f"step: expected text, a number, a boolean or None, got {step!r:.80}")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"propose: expected plain values, got {type(value).__name__}")
