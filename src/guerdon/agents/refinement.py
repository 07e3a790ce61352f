"""Refinement of a rollout: its first bad round is written anew, and the rollout goes on from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TypeAlias

from guerdon.core.messages import Message
from guerdon.core.samples import Chat

Rewrite: TypeAlias = Callable[[Sequence[Message], Message, int], Message]
"""`rewrite(dialogue, turn, t)`: a better assistant turn in the place of `turn`, round t, which followed `dialogue`."""
Resume: TypeAlias = Callable[[Sequence[Message]], Sequence[Message]]
"""`resume(dialogue)`: everything that follows a dialogue which ends with an assistant turn, tool results first."""


def refine_first_bad_round(
    sample: Chat, good: Sequence[bool | None], rewrite: Rewrite, resume: Resume
) -> Chat | None:
    """A rollout with its first bad round rewritten and everything behind it made anew; None where no round is bad.

        t = the first round that isn't good
        completion' = prefix before round t + q' + resume(prompt + prefix + q')
        q' = rewrite(prompt + prefix, q_t, t)

    A round is an assistant turn that a tool message follows. `good`: for each, whether it was worth it; None, where
    nobody could tell, counts as good. `extra["refined"]` of the result is the position of q' among its completion
    messages: that turn is another model's, so leave it out of the loss or correct for its probability. Other
    columns are kept, measurements of the old completion among them: measure again. Which of the two rollouts is
    better is for the caller to say.

    Raises `ValueError` where `good` hasn't one entry a round.

    Tongyu Wen, Guanting Dong, Zhicheng Dou, "SmartSearch: Process Reward-Guided Query Refinement for Search Agents",
    arXiv 2601.04888, repository MYVAE/SmartSearch.
    """
    messages = sample.completion_messages
    rounds = [
        i for i, (a, b) in enumerate(pairwise(messages)) if a["role"] == "assistant" and b["role"] == "tool"
    ]
    if len(good) != len(rounds):
        raise ValueError(f"good: expected {len(rounds)} entries, one a round, got {len(good)}")
    bad = next((t for t, fine in enumerate(good) if fine is not None and not fine), None)
    if bad is None:
        return None
    start = rounds[bad]
    dialogue = [*sample.prompt_messages, *messages[:start]]
    turn = rewrite(dialogue, messages[start], bad)
    completion = [*messages[:start], turn, *resume([*dialogue, turn])]
    return replace(sample, completion=completion, extra={**sample.extra, "refined": start})
