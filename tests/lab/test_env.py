from __future__ import annotations

import random
from typing import Any

import pytest

from guerdon.core.samples import Chat
from guerdon.lab import Arithmetic, ToolTasks, World, WorldEnv

WORLDS = [Arithmetic(2), ToolTasks(2), ToolTasks(3, style="tags")]


def call(expression: str, name: str = "calculator") -> dict[str, Any]:
    function = {"name": name, "arguments": {"expression": expression}}
    return {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": function}]}


@pytest.mark.parametrize("world", WORLDS)
def test_the_solution_of_a_task_earns_the_reward(world: World) -> None:
    env = WorldEnv(world)
    for _ in range(20):
        observation, info = env.reset()
        task = info["task"]
        assert observation == task.prompt
        seen, last = list[Any](), (0.0, False, False)
        for turn in [message for message in task.solution if message["role"] == "assistant"]:
            assert not last[1]
            results, *last, info = env.step(turn)
            seen += [turn, *results]
        assert last == [1.0, True, False]
        assert info["check"].solved
        assert seen == task.solution
        assert env.sample == task.chat(task.solution)


def test_the_sequence_of_tasks_is_that_of_the_world() -> None:
    env = WorldEnv(Arithmetic())
    for seed in random.Random(1).sample(range(100), 3):
        tasks = [env.reset(seed=seed)[1]["task"], env.reset()[1]["task"]]
        assert tasks == env.world.tasks(2, seed)
        assert tasks[0] != tasks[1]


def test_a_turn_with_a_call_earns_nothing_yet() -> None:
    env = WorldEnv(Arithmetic())
    task = env.reset(seed=3)[1]["task"]
    results, *rest, info = env.step(call(task.extra["expression"]))
    assert results == [{"role": "tool", "name": "calculator", "content": task.reference}]
    assert rest == [0.0, False, False]
    assert info["check"] == (True, False)


def test_a_wrong_answer_gets_nothing_and_the_end_is_the_end() -> None:
    env = WorldEnv(Arithmetic())
    with pytest.raises(RuntimeError, match="call reset first"):
        env.step("1")
    with pytest.raises(RuntimeError, match="no turn was taken"):
        _ = env.sample
    env.reset(seed=0)
    assert env.step("no idea")[1:4] == (0.0, True, False)
    assert isinstance(env.sample, Chat)
    with pytest.raises(RuntimeError, match="call reset first"):
        env.step("1")


def test_tool_errors_come_back_as_results_and_turns_are_bounded() -> None:
    env = WorldEnv(Arithmetic(), max_turns=3)
    env.reset(seed=0)
    assert "can't read" in env.step(call("1+"))[0][0]["content"]
    assert "no tool is called 'search'" in env.step(call("1", name="search"))[0][0]["content"]
    assert env.step(call("1/0"))[1:4] == (0.0, False, True)
    with pytest.raises(RuntimeError, match="call reset first"):
        env.step("1")


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="max_turns: expected at least 1, got 0"):
        WorldEnv(Arithmetic(), max_turns=0)
    env = WorldEnv(Arithmetic())
    env.reset()
    with pytest.raises(ValueError, match="expected an assistant message, got role 'user'"):
        env.step({"role": "user", "content": "1"})
