"""The mask of the claim keeps what the interpreter said out of training."""

from __future__ import annotations

import numpy as np

from guerdon.claims.retool import WrittenOnly
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal
from guerdon.credit import grpo
from guerdon.lab.tabular import Decision, Rollout


def rollout(*segments: tuple[int, bool]) -> Rollout:
    decisions = [Decision("state", 0)] * sum(length for length, _ in segments)
    return Rollout(Chat("question", "answer", extra={"segments": list(segments)}), decisions)


def test_only_tokens_of_the_policy_get_an_advantage() -> None:
    credit, signal = WrittenOnly(grpo()), Signal(np.array([1.0, -1.0]))
    mask = np.array([[True] * 5, [True] * 2 + [False] * 3])
    credit.see([rollout((1, True), (3, False), (1, True)), rollout((2, True))])
    advantages = credit(signal, np.zeros(2, dtype=np.int64), mask)
    assert (advantages != 0).tolist() == [
        [True, False, False, False, True],
        [True, True, False, False, False],
    ]
