"""A world as an interaction, one task at a time."""

from __future__ import annotations

import random
from typing import Any

from guerdon.agents.tool import answer_calls, as_tools
from guerdon.core.messages import Message, as_messages
from guerdon.core.samples import Chat
from guerdon.lab.world import Task, World


class WorldEnv:
    """One task at a time as an interaction, with the `reset` and `step` of Gymnasium.

    An observation is the list of new messages: the prompt after `reset`, the tool results after a turn that
    calls tools. An action is an assistant message, or its text. A turn without tool calls ends the episode
    with reward 1 where `world.check` holds the task for solved and 0 otherwise; `max_turns` turns that all
    call tools truncate it with reward 0.

    `info` has the `task` after `reset`, and after a step `check`: what the world says of the episode so far.
    """

    def __init__(self, world: World, max_turns: int = 4) -> None:
        if max_turns < 1:
            raise ValueError(f"WorldEnv.max_turns: expected at least 1, got {max_turns}")
        self.world = world
        self.max_turns = max_turns
        self._tools = as_tools(world.tools)
        self._rng = random.Random(0)
        self._task: Task | None = None
        self._completion: list[Message] = []
        self._done = True

    def reset(self, *, seed: int | None = None) -> tuple[list[Message], dict[str, Any]]:
        """Start the next task. A seed restarts the sequence of tasks."""
        if seed is not None:
            self._rng = random.Random(seed)
        self._task = self.world.draw(self._rng)
        self._completion = []
        self._done = False
        return list(self._task.prompt), {"task": self._task}

    def step(self, action: str | Message) -> tuple[list[Message], float, bool, bool, dict[str, Any]]:
        """Take one assistant turn: observation, reward, terminated, truncated, info.

        Raises `RuntimeError` where no task is under way, and `ValueError` where the message isn't the
        assistant's.
        """
        if self._task is None or self._done:
            raise RuntimeError("WorldEnv.step: no task under way; call reset first")
        message = as_messages(action, "assistant")[0] if isinstance(action, str) else action
        if message.get("role") != "assistant":
            raise ValueError(
                f"WorldEnv.step: expected an assistant message, got role {message.get('role')!r}"
            )
        self._completion.append(message)
        results = answer_calls(message, self._tools)
        self._completion.extend(results)
        turns = sum(m["role"] == "assistant" for m in self._completion)
        terminated = not results
        truncated = not terminated and turns >= self.max_turns
        self._done = terminated or truncated
        verdict = self.world.check(self.sample)
        return results, float(terminated and verdict.solved), terminated, truncated, {"check": verdict}

    @property
    def sample(self) -> Chat:
        """The interaction so far. Raises `RuntimeError` before the first turn."""
        if self._task is None or not self._completion:
            raise RuntimeError("WorldEnv.sample: no turn was taken yet")
        return self._task.chat(list(self._completion))
