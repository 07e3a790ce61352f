"""Let a policy play tasks of a world: whole rollouts with real tool calls, outside a trainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from guerdon.agents.loop import run_agents
from guerdon.core.samples import Chat
from guerdon.judges.local import LocalChat
from guerdon.lab.world import Task
from guerdon.train.quiet import quiet


def play(
    model: str | Path,
    tasks: Sequence[Task],
    tools: Sequence[Callable[..., Any]],
    *,
    sample: bool = True,
    seed: int = 0,
    batch_size: int = 64,
    max_turns: int = 3,
    max_new_tokens: int = 48,
) -> list[Chat]:
    """One rollout a task by a checkpoint, such as `make_policy` makes.

    The dialogues are those of `agents.run_agents`, with its columns in `extra`: an assistant turn that calls tools
    is followed by their results and another turn, at most `max_turns` of them. Each turn has at most `max_new_tokens`
    tokens, drawn at temperature 1 or, with `sample=False`, greedily. Equal arguments give equal rollouts on one
    machine. Needs `guerdon[train,agents]`.

    Raises `ValueError` where an option is out of its range, and `ModelError` where the model can't take a dialogue.
    """
    with quiet():
        policy = LocalChat(model, batch_size=batch_size)
    return run_agents(
        policy,
        [task.chat("") for task in tasks],
        tools,
        concurrency=batch_size,
        temperature=1.0 if sample else 0.0,
        seed=seed,
        max_tokens=max_new_tokens,
        max_turns=max_turns,
        on_error="raise",
    )
