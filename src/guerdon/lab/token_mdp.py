"""A decision process over tokens that is small enough to know the value of every token exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_count

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]


class TokenRollouts(NamedTuple):
    """n sequences of T tokens.

    `states` (n, T+1): before each token, and at the end · `tokens` (n, T) · `outcomes` (n,): what the last state pays.
    """

    states: Integers
    tokens: Integers
    outcomes: Floats


@dataclass(frozen=True, eq=False)
class TokenMDP:
    """Sequences of T tokens through S states over a vocabulary of A, that pay once, at the end.

    `successor` (S, A) integers: the state after each token · `payoff` (S,): what the last state pays · `length`: T ·
    `start`: the first state.

    A policy is an array of probabilities: (S, A), or (T, S, A) where it depends on the position.

    Raises `ValueError` on shapes that don't fit, or a state that isn't one.
    """

    successor: Integers
    payoff: Floats
    length: int
    start: int = 0

    def __post_init__(self) -> None:
        check_count(self.length, "TokenMDP.length")
        states = len(self.payoff)
        if self.successor.ndim != 2 or self.successor.shape[0] != states:
            raise ValueError(f"TokenMDP.successor: expected shape ({states}, A), got {self.successor.shape}")
        if not (self.successor.min() >= 0 and max(self.successor.max(), self.start) < states):
            raise ValueError(f"TokenMDP: expected states from 0 to {states - 1}")

    @classmethod
    def planted(cls, sequence: Sequence[int], vocabulary: int, length: int) -> TokenMDP:
        """Pays 1 where the tokens of `sequence` occur in that order, with any others in between, and else 0.

        State k: the first k tokens of the sequence have been met. Raises `ValueError` for a sequence that is empty,
        longer than `length`, or has a token outside the vocabulary.

        The didactic task of Amrith Setlur et al., "Rewarding Progress: Scaling Automated Process Verifiers for LLM
        Reasoning", arXiv 2410.08146.
        """
        planted = np.asarray(sequence, dtype=np.int64)
        if not 0 < planted.size <= length or planted.min() < 0 or planted.max() >= vocabulary:
            raise ValueError(
                f"sequence: expected 1 to {length} tokens in [0, {vocabulary}), got {list(sequence)}"
            )
        states = planted.size + 1
        successor = np.repeat(np.arange(states)[:, None], vocabulary, axis=1)
        successor[np.arange(planted.size), planted] += 1
        payoff = np.zeros(states)
        payoff[-1] = 1.0
        return cls(successor, payoff, length)

    def values(self, policy: Floats) -> Floats:
        """V (T+1, S): expected payoff from each state on before each position, and at the end."""
        found = np.empty((self.length + 1, len(self.payoff)))
        found[-1] = self.payoff
        steps = self._steps(policy)
        for t in range(self.length - 1, -1, -1):
            found[t] = (steps[t] * found[t + 1][self.successor]).sum(axis=1)
        return found

    def action_values(self, policy: Floats) -> Floats:
        """Q (T, S, A): expected payoff after each token in each state at each position."""
        return self.values(policy)[1:, self.successor]

    def advantages(self, policy: Floats) -> Floats:
        """A (T, S, A) `= Q − V`."""
        values = self.values(policy)
        return values[1:, self.successor] - values[:-1, :, None]

    def visits(self, policy: Floats) -> Floats:
        """Probability (T+1, S) of being in each state before each position, and at the end."""
        found = np.zeros((self.length + 1, len(self.payoff)))
        found[0, self.start] = 1.0
        steps = self._steps(policy)
        for t in range(self.length):
            np.add.at(found[t + 1], self.successor, found[t][:, None] * steps[t])
        return found

    def sample(self, policy: Floats, n: int, rng: np.random.Generator) -> TokenRollouts:
        """n sequences that the policy writes."""
        states = np.empty((n, self.length + 1), dtype=np.int64)
        tokens = np.empty((n, self.length), dtype=np.int64)
        states[:, 0] = self.start
        cumulative = np.cumsum(self._steps(policy), axis=2)
        for t in range(self.length):
            reached = cumulative[t][states[:, t]]
            drawn = rng.random((n, 1)) * reached[:, -1:]
            tokens[:, t] = np.minimum((reached <= drawn).sum(axis=1), reached.shape[1] - 1)
            states[:, t + 1] = self.successor[states[:, t], tokens[:, t]]
        return TokenRollouts(states, tokens, self.payoff[states[:, -1]])

    def _steps(self, policy: Any) -> Floats:
        shape = self.successor.shape
        given = np.asarray(policy, dtype=np.float64)
        if given.shape not in (shape, (self.length, *shape)):
            raise ValueError(f"policy: expected shape {shape} or {(self.length, *shape)}, got {given.shape}")
        if (given < 0).any() or not np.allclose(given.sum(axis=-1), 1.0):
            raise ValueError("policy: expected probabilities that add up to 1 in every state")
        return np.broadcast_to(given, (self.length, *shape))
