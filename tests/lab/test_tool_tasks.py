from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import guerdon
from guerdon.agents import as_tools
from guerdon.core.registry import create
from guerdon.core.samples import Chat
from guerdon.lab import Task, ToolTasks, make_policy, play
from guerdon.lab.tool_tasks import MAX_CALLS
from guerdon.lab.toy_tools import REQUESTS, TOOLS

NAMES = [tool.__name__ for tool in TOOLS]


@st.composite
def worlds(draw: st.DrawFn) -> ToolTasks:
    tools = draw(st.sampled_from([2, 4, 6, 8]))
    distractors = draw(st.integers(0, tools // 2))
    calls = draw(st.integers(1, min(MAX_CALLS, tools - distractors)))
    low = draw(st.integers(1, 100))
    style = draw(st.sampled_from(["messages", "tags"]))
    return ToolTasks(calls, tools, distractors, low, low + draw(st.integers(1, 100)), style)


def message(*calls: dict[str, Any]) -> dict[str, Any]:
    asked = [
        {"type": "function", "function": {"name": call["name"], "arguments": call["parameters"]}}
        for call in calls
    ]
    return {"role": "assistant", "content": "", "tool_calls": asked}


def turn(block: str, before: str = "<think>so</think>\n", after: str = "") -> str:
    return f"{before}<tool_call>\n{block}\n</tool_call>{after}"


def example(calls: int = 2, style: str = "messages") -> tuple[ToolTasks, Task]:
    """A task whose calls include a number."""
    world = ToolTasks(calls, style=style)  # type: ignore[arg-type]
    return world, next(
        t for t in world.tasks(50) if any("amount" in c["parameters"] for c in t.extra["calls"])
    )


# -- the generator -------------------------------------------------------------------------------------------------


@given(worlds(), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_every_task_asks_for_its_calls_and_is_solved_by_its_solution(world: ToolTasks, seed: int) -> None:
    shown = as_tools(TOOLS)
    for task in world.tasks(4, seed):
        assert world.check(task.chat(task.solution)) == (True, True)
        assert len({call["name"] for call in task.extra["calls"]}) == world.calls
        for call in task.extra["calls"]:
            assert shown[call["name"]].read(call["parameters"]) == call["parameters"]
            values = list(call["parameters"].values())
            assert len(set(values)) == len(values)
            assert all(str(value) in task.prompt[1]["content"] for value in values)
            assert world.low <= call["parameters"].get("amount", world.low) <= world.high
        assert json.loads(json.dumps(task.row())) == task.row()


@given(worlds(), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_seeds_decide_the_tasks(world: ToolTasks, seed: int) -> None:
    assert world.tasks(8, seed) == world.tasks(8, seed)
    assert world.tasks(3, seed) == world.tasks(8, seed)[:3]
    assert world.tasks(8, seed) != world.tasks(8, seed + 1)


@given(worlds())
@settings(max_examples=30, deadline=None)
def test_all_tools_but_the_distractors_are_needed(world: ToolTasks) -> None:
    tasks = world.tasks(150)
    shown = [tool["function"]["name"] for tool in tasks[0].tools]
    needed = {call["name"] for task in tasks for call in task.extra["calls"]}
    assert shown == NAMES[: len(shown)]
    assert len(needed) == len(shown) - world.distractors
    assert needed >= set(shown[::2])
    if world.style == "tags":
        assert [line.split("(")[0] for line in tasks[0].prompt[0]["content"].split("\n")[1:]] == shown
        assert world.tools == ()
    else:
        assert [tool.__name__ for tool in world.tools] == shown


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match=r"tools: expected 2, 4, 6 or 8, got 3"):
        ToolTasks(tools=3)
    with pytest.raises(ValueError, match="distractors: expected 0 to 2, got 3"):
        ToolTasks(tools=4, distractors=3)
    with pytest.raises(ValueError, match="calls: expected 1 to 1 with 2 tools and 1 distractors, got 2"):
        ToolTasks(2, tools=2, distractors=1)
    with pytest.raises(ValueError, match="low=5, high=5"):
        ToolTasks(low=5, high=5)
    with pytest.raises(ValueError, match="style: expected one of messages, tags, got 'text'"):
        ToolTasks(style="text")  # type: ignore[arg-type]
    assert create("tool_tasks", "world", {"calls": 3, "style": "tags"}).calls == 3


# -- the tools -----------------------------------------------------------------------------------------------------


def test_tools_come_in_pairs_with_equal_parameters() -> None:
    tools = list(as_tools(TOOLS).values())
    for first, second in zip(tools[::2], tools[1::2], strict=True):
        assert first.parameters["properties"].keys() == second.parameters["properties"].keys()
    assert set(REQUESTS) == set(NAMES)
    assert sorted({len(tool.parameters["required"]) for tool in tools}) == [1, 2, 3]


def test_answers_of_tools() -> None:
    by_name = as_tools(TOOLS)
    assert by_name["convert_currency"](amount=200, source="EUR", target="USD") == "220.00 USD"
    assert by_name["exchange_fee"](amount=200, source="EUR", target="USD") == "2.20 USD"
    assert by_name["add_event"](title="chess", day="Monday", hour=9) == "added chess, Monday 9:00"
    assert by_name["weather"](city="Oslo", day="Friday") == "rain, 14 C"  # the same in every process
    for wrong in ({"city": "Atlantis", "day": "Friday"}, {"city": "Oslo"}, {"city": 1, "day": "Friday"}):
        with pytest.raises(ValueError, match=r"weather\.(city|day)"):
            by_name["weather"](**wrong)
    with pytest.raises(ValueError, match="hour: expected 0 to 23, got 24"):
        by_name["add_event"](title="chess", day="Monday", hour=24)


# -- the reference -------------------------------------------------------------------------------------------------


@given(worlds(), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_toolrl_gives_the_solution_its_maximum(world: ToolTasks, seed: int) -> None:
    reward = create("toolrl", arguments={"mode": "strict"})
    samples = [task.chat(task.solution) for task in world.tasks(5, seed)]
    assert guerdon.score(reward, samples).outcome.tolist() == [4.0] * 5


@pytest.mark.parametrize("style", ["messages", "tags"])
def test_toolrl_gives_every_bad_habit_less(style: Any) -> None:
    world = ToolTasks(2, style=style)
    tasks = world.tasks(30)
    dialogues = [world.demonstrate(task, random.Random(i), 1.0) for i, task in enumerate(tasks)]
    samples = [task.chat(made[len(task.prompt) :]) for task, made in zip(tasks, dialogues, strict=True)]
    assert (guerdon.score(create("toolrl"), samples).outcome < 4).all()
    assert {tuple(world.check(sample)) for sample in samples} == {(True, False)}


def test_otc_pays_a_solution_in_full() -> None:
    samples = [task.chat(task.solution) for task in ToolTasks(3).tasks(5)]
    exact = create("qa").with_reference("answer")
    assert (
        guerdon.score(create("otc", arguments={"correct": exact, "c": 3}), samples).outcome.tolist()
        == [1.0] * 5
    )


# -- the checker ---------------------------------------------------------------------------------------------------


def test_order_and_turns_do_not_matter_but_every_call_counts() -> None:
    world, task = example(2)
    first, second = task.extra["calls"]
    assert world.check(task.chat([message(second, first)])) == (True, True)
    assert world.check(task.chat([message(first), message(second)])) == (True, True)
    assert world.check(task.chat([message(first)])) == (True, False)
    assert world.check(task.chat([message(first, second, second)])) == (True, False)
    assert world.check(task.chat([message(first, first)])) == (True, False)
    assert world.check(task.chat("no call")) == (False, False)


@pytest.mark.parametrize("change", [str, lambda n: n + 1, lambda n: True, lambda n: [n], lambda n: None])
def test_values_are_compared_with_their_types(change: Any) -> None:
    for style in ("messages", "tags"):
        world, task = example(1, style)
        (call,) = task.extra["calls"]
        parameters = call["parameters"] | {"amount": change(call["parameters"]["amount"])}
        wrong = {"name": call["name"], "parameters": parameters}
        whole = {**wrong, "parameters": call["parameters"] | {"amount": float(call["parameters"]["amount"])}}
        made = [[message(wrong)], [message(whole)]]
        if style == "tags":
            made = [turn(json.dumps(each)) for each in (wrong, whole)]  # type: ignore[misc]
        assert [tuple(world.check(task.chat(each))) for each in made] == [(True, False), (True, True)]


@pytest.mark.parametrize(
    "calls",
    [
        "weather",
        [None],
        [{"function": 3}],
        [{"function": {"name": 3, "arguments": {}}}],
        [{"function": {"name": "weather", "arguments": "{"}}],
        [{"function": {"name": "weather", "arguments": "[" * 100_000}}],
        [{"function": {"name": "weather", "arguments": [1]}}],
    ],
)
def test_a_call_that_cannot_be_read_spoils_the_completion(calls: Any) -> None:
    world, task = example(1)
    broken = {"role": "assistant", "content": "", "tool_calls": calls}
    assert world.check(task.chat([broken])) == (False, False)
    assert world.check(task.chat([message(*task.extra["calls"]), broken])) == (False, False)


def test_tagged_turns_must_have_the_layout() -> None:
    world, task = example(2, "tags")
    block = "\n".join(json.dumps(call) for call in task.extra["calls"])
    backwards = "\n".join(json.dumps(call) for call in reversed(task.extra["calls"]))
    assert world.check(task.chat(turn(block))) == (True, True)
    assert world.check(task.chat(turn(backwards))) == (True, True)
    for text in (
        "",
        block,
        turn(block, before=""),
        turn(block, after="\n<response>done</response>"),
        turn(block, after=" done"),
        turn(block.replace("\n", " ")),
        turn(block + "\nNaN"),
        turn("[" * 100_000),
        turn(block.replace('"', "\ud800")),
        "<tool_call>" * 1_000_000,
    ):
        assert world.check(task.chat(text)) == (False, False)
    assert world.check(task.chat([message(*task.extra["calls"])])) == (False, False)


def test_a_sample_without_its_columns_is_no_sample_of_this_world() -> None:
    with pytest.raises(KeyError, match="calls"):
        ToolTasks().check(Chat("p", "c"))


# -- demonstrations and policies -----------------------------------------------------------------------------------


def test_habit_is_the_share_of_calls_of_the_other_tool_of_the_pair() -> None:
    world, rng = ToolTasks(2), random.Random(0)
    wrong = Counter[bool]()
    for task in world.tasks(400):
        made = world.demonstrate(task, rng, 0.6)
        assert list(made[:2]) == task.prompt
        for call, gold in zip(made[2]["tool_calls"], task.extra["calls"], strict=True):
            assert call["function"]["arguments"] == gold["parameters"]
            assert NAMES.index(call["function"]["name"]) // 2 == NAMES.index(gold["name"]) // 2
            wrong[call["function"]["name"] != gold["name"]] += 1
        assert [m["role"] for m in made[2:]] == ["assistant", "tool", "tool", "assistant"]
        assert made[-1]["content"] == "; ".join(m["content"] for m in made[3:-1])
        assert world.demonstrate(task, rng, 0.0) == [*task.prompt, *task.solution]
    assert 0.55 < wrong[True] / 800 < 0.65


@pytest.mark.parametrize("style", ["messages", "tags"])
def test_a_short_warm_start_makes_a_policy_that_plays(tmp_path: Path, style: Any) -> None:
    pytest.importorskip("trl")
    world = ToolTasks(style=style)
    make_policy(tmp_path / "policy", world, steps=3, batch_size=8)
    tasks = world.tasks(4, seed=5)
    played = play(tmp_path / "policy", tasks, world.tools, max_new_tokens=8, max_turns=2)
    assert [sample.prompt for sample in played] == [task.prompt for task in tasks]
    assert all(
        sample.extra["calls"] == task.extra["calls"] for sample, task in zip(played, tasks, strict=True)
    )
    again = play(tmp_path / "policy", tasks, world.tools, max_new_tokens=8, max_turns=2, batch_size=4)
    assert [sample.completion for sample in again] == [sample.completion for sample in played]
