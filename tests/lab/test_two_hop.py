from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.core.recipe import load_reward
from guerdon.core.registry import create
from guerdon.core.samples import Chat
from guerdon.lab.env import WorldEnv
from guerdon.lab.play import play
from guerdon.lab.policy import make_policy
from guerdon.lab.two_hop import TwoHop

WORLDS = [TwoHop(hops=1), TwoHop(), TwoHop(facts=40, distractors=9), TwoHop(facts=400, results=1)]


def solutions(world: TwoHop, n: int = 60) -> list[Chat]:
    return [world.measured(task.chat(task.solution)) for task in world.tasks(n)]


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(
    ("name", "arguments", "maximum"),
    [
        ("qa", {"extract": "last"}, 1.0),
        ("igpo", {}, 1.0),
        ("reseek", {"aggregate": "mean"}, 1.4),
        ("search_quality", {"threshold": 2}, 0.0),
    ],
)
def test_the_solution_gets_the_maximum(
    world: TwoHop, name: str, arguments: dict[str, object], maximum: float
) -> None:
    np.testing.assert_allclose(create(name, "reward", arguments)(solutions(world)).outcome, maximum)


def test_the_smartsearch_recipe_reads_a_sample() -> None:
    np.testing.assert_allclose(load_reward("smartsearch")(solutions(TwoHop())).outcome, 1.0)


@pytest.mark.parametrize("world", WORLDS)
def test_the_solution_finds_its_evidence_with_one_search_a_hop(world: TwoHop) -> None:
    for task in world.tasks(60):
        sample = task.chat(task.solution)
        assert world.check(sample) == (True, True)
        assert len(sample.tool_calls) == world.hops
        assert task.extra["answer"] not in task.prompt[-1]["content"]


def test_the_bridge_is_named_by_the_first_search_alone() -> None:
    for task in TwoHop().tasks(60):
        assert task.extra["bridge"] not in task.prompt[-1]["content"]
        assert task.extra["bridge"] in task.solution[1]["content"]
        assert task.extra["bridge"] in task.extra["queries"][1]
    assert TwoHop(hops=1).tasks(1)[0].extra["bridge"] is None


@given(
    seed=st.integers(0, 1000),
    hops=st.sampled_from([1, 2]),
    distractors=st.integers(0, 9),
    corpus=st.integers(0, 9),
)
@settings(max_examples=15, deadline=None)
def test_equal_arguments_and_seeds_give_equal_tasks(
    seed: int, hops: int, distractors: int, corpus: int
) -> None:
    made = [TwoHop(80, distractors, hops, corpus_seed=corpus) for _ in range(2)]
    assert made[0].tasks(5, seed) == made[1].tasks(5, seed)
    assert made[0].tasks(5, seed) != made[0].tasks(5, seed + 1)


def test_knobs_make_the_corpus() -> None:
    assert len(TwoHop(facts=400).index.documents) == 400
    families = [name.split()[1] for name in TwoHop(facts=160, distractors=3).names["person"]]
    assert {families.count(family) for family in families} == {4}
    everything = [name for names in TwoHop(facts=800).names.values() for name in names]
    assert len(set(everything)) == len(everything)
    assert TwoHop(corpus_seed=1).names != TwoHop().names


def test_a_search_lists_facts_by_relevance() -> None:
    world = TwoHop(results=2)
    subject = world.names["company"][0]
    lines = world.search(f"{subject} founder").splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("<information>", "</information>", 4)
    assert f"The founder of {subject} is " in lines[1]
    assert world.search("\ud800 ???") == "<information>\nnothing found\n</information>"


def test_guessing_is_the_habit() -> None:
    world = TwoHop()
    rng = random.Random(0)
    tasks = world.tasks(60)
    right = [world.demonstrate(task, rng, 0.0) for task in tasks]
    assert all(d == [*t.prompt, *t.solution] for d, t in zip(right, tasks, strict=True))
    wrong = [t.chat(world.demonstrate(t, rng, 1.0)[2:]) for t in tasks]
    assert {len(sample.tool_calls) for sample in wrong} == {1}
    assert not any(world.check(sample).evidence for sample in wrong)
    assert np.mean([world.check(sample).solved for sample in wrong]) < 0.3


def test_an_alias_is_right_and_another_name_is_not() -> None:
    world = TwoHop()
    task = world.tasks(1)[0]
    alias = task.extra["aliases"][1].lower()
    assert world.check(
        task.chat(f"<answer>{task.extra['bridge']}</answer> <answer>the {alias}.</answer>")
    ).answer
    assert not world.check(
        task.chat(f"<answer>{alias}</answer> <answer>{task.extra['bridge']}</answer>")
    ).answer
    assert not world.check(task.chat(alias)).answer


@pytest.mark.parametrize(
    "completion",
    [
        "",
        "\ud800<answer>\ud800</answer>",
        "<answer>" * 100_000,
        "x" * 10_000_000,
        [{"role": "assistant", "content": None, "tool_calls": "search"}],
        [{"role": "assistant", "tool_calls": [{"function": {"name": "search", "arguments": "{" * 5000}}]}],
    ],
)
def test_any_completion_can_be_checked(completion: object) -> None:
    world = TwoHop()
    sample = world.tasks(1)[0].chat(completion)  # type: ignore[arg-type]
    assert world.check(sample) == (False, False)
    assert world.measured(sample).extra["retrieved"] == []


def test_a_missing_column_is_an_error() -> None:
    with pytest.raises(KeyError, match="aliases"):
        TwoHop().check(Chat("?", "<answer>Tarn</answer>"))


@pytest.mark.parametrize(
    "arguments", [{"hops": 3}, {"facts": 41}, {"facts": 8}, {"distractors": 10}, {"results": 0}]
)
def test_settings_are_checked(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=rf"TwoHop\.{next(iter(arguments))}: expected"):
        TwoHop(**arguments)


def test_as_an_environment() -> None:
    world = TwoHop()
    env = WorldEnv(world)
    _, info = env.reset(seed=1)
    for message in [m for m in info["task"].solution if m["role"] == "assistant"]:
        _, reward, terminated, _, info = env.step(message)
    assert (reward, terminated, info["check"]) == (1.0, True, (True, True))
    retrieved = world.measured(env.sample).extra["retrieved"]
    assert [len(ids) for ids in retrieved] == [3, 3]
    env.reset()
    assert env.step("<answer>nobody</answer>")[1:3] == (0.0, True)


def test_a_policy_can_be_made_and_plays(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    world = TwoHop()
    made = make_policy(tmp_path / "policy", world, steps=1, batch_size=2)
    played = play(made, world.tasks(2), world.tools, max_turns=2, max_new_tokens=8)
    assert not any(world.check(sample).solved for sample in played)
