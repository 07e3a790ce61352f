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
from guerdon.lab.model_routing import EXPERTS, TOPICS, YEARS, ModelRouting, answer_to, topic_of
from guerdon.lab.play import play
from guerdon.lab.policy import make_policy


def solutions(world: ModelRouting, n: int = 60) -> list[Chat]:
    return [world.measured(task.chat(task.solution)) for task in world.tasks(n)]


@pytest.mark.parametrize("experts", [2, 4, 7])
def test_the_solution_gets_the_maximum(experts: int) -> None:
    samples = solutions(ModelRouting(experts))
    signal = load_reward("router-r1")(samples)
    np.testing.assert_allclose(signal.outcome, 1.0)
    np.testing.assert_allclose(signal.parts["routing_format"].parts["routes"].outcome, 1.0)


def test_cheap_calls_are_worth_more_and_at_most_one() -> None:
    samples = solutions(ModelRouting())
    costs = np.array([sample.extra["cost"] for sample in samples])
    rewards = create("router_r1", "reward", {"alpha": 0.6})(samples).outcome
    assert rewards[1:][costs[1:] == 1.0].min() == rewards.max() == 1.0
    assert rewards[costs == costs.max()].min() < 0.5


@given(experts=st.integers(2, 7), spread=st.floats(1, 1000), seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_every_task_is_solved_by_the_cheapest_expert_that_is_right(
    experts: int, spread: float, seed: int
) -> None:
    world = ModelRouting(experts, spread)
    assert world.tasks(2, seed) == ModelRouting(experts, spread).tasks(2, seed)
    for task in world.tasks(3, seed):
        sample = world.measured(task.chat(task.solution))
        found = world.check(sample)
        assert found.solved
        assert sample.extra["cost"] == world.price(found.asked[0])
        cheaper = world.experts[: world.experts.index(found.asked[0])]
        assert all(world.ask(name, task.extra["question"]) != task.reference for name in cheaper)
        assert topic_of(task.extra["question"]) == task.extra["topic"]


@pytest.mark.parametrize("expert", EXPERTS[:4])
@pytest.mark.parametrize("topic", TOPICS)
def test_experts_are_as_good_as_they_say(expert: str, topic: str) -> None:
    world = ModelRouting()
    questions = [TOPICS[topic].format(n=n) for n in range(1, 2001)]
    right = np.mean([world.ask(expert, question) == answer_to(question) for question in questions])
    assert right == pytest.approx(world.accuracy(expert, topic), abs=0.04)


def test_prices_and_accuracies_are_those_of_the_equations() -> None:
    world = ModelRouting(3, 100)
    assert [world.price(expert) for expert in world.experts] == [1.0, 10.0, 100.0]
    assert [tool(question="?").cost for tool in world.tools] == [1.0, 10.0, 100.0]
    assert [tool.__name__ for tool in world.tools] == list(world.experts)
    table = [[world.accuracy(expert, topic) for topic in TOPICS] for expert in world.experts]
    np.testing.assert_allclose(table, [[0.9, 0.2, 0.2, 0.2], [0.45, 0.9, 0.45, 0.45], [0.7, 0.7, 0.9, 0.7]])
    specialists = [[e for e in EXPERTS if ModelRouting(7).accuracy(e, topic) == 0.9] for topic in TOPICS]
    assert specialists == [
        [EXPERTS[0], EXPERTS[4]],
        [EXPERTS[1], EXPERTS[5]],
        [EXPERTS[2], EXPERTS[6]],
        [EXPERTS[3]],
    ]
    with pytest.raises(ValueError, match=r"expert: expected one of .*, got 'gemma'"):
        world.price("gemma")


def test_a_wrong_answer_is_a_year_too_and_the_same_each_time() -> None:
    world = ModelRouting()
    for n in range(1, 100):
        said = [world.ask("qwen", TOPICS["law"].format(n=n)) for _ in range(2)]
        assert said[0] == said[1]
        assert int(said[0]) in YEARS


@pytest.mark.parametrize(
    "question",
    [
        "",
        "\ud800",
        "In which year was decree no. 0 signed?",
        "In which year was decree no. ٣ signed?",
        "x" * 10**7,
    ],
)
def test_other_questions_are_not_understood(question: str) -> None:
    assert topic_of(question) is None
    assert ModelRouting().ask("qwen", question) == "I don't understand the question."


def test_believing_anyone_is_the_habit() -> None:
    world, rng = ModelRouting(), random.Random(0)
    tasks = world.tasks(80)
    assert all(world.demonstrate(t, rng, 0.0) == [*t.prompt, *t.solution] for t in tasks)
    wrong = [t.chat(world.demonstrate(t, rng, 1.0)[2:]) for t in tasks]
    assert {world.check(sample).asked[0] for sample in wrong} == set(world.experts)
    assert 0.2 < np.mean([world.check(sample).solved for sample in wrong]) < 0.8
    assert load_reward("router-r1")(wrong).outcome.min() == 0.0


@pytest.mark.parametrize(
    "completion",
    [
        "",
        "\ud800<answer>\ud800</answer>",
        "<answer>" * 100_000,
        "x" * 10_000_000,
        [{"role": "assistant", "content": None, "tool_calls": "qwen"}],
        [{"role": "assistant", "tool_calls": [{"function": {"name": 3, "arguments": "{" * 5000}}]}],
    ],
)
def test_any_completion_can_be_checked(completion: object) -> None:
    world = ModelRouting()
    sample = world.tasks(1)[0].chat(completion)  # type: ignore[arg-type]
    assert world.check(sample) == (False, ())
    assert world.measured(sample).extra["cost"] == 0.0


def test_a_missing_column_is_an_error() -> None:
    with pytest.raises(KeyError, match="answer"):
        ModelRouting().check(Chat("?", "<answer>1500</answer>"))


@pytest.mark.parametrize(
    "arguments", [{"experts": 1}, {"experts": 8}, {"price_spread": 0.5}, {"price_spread": float("nan")}]
)
def test_settings_are_checked(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=rf"ModelRouting\.{next(iter(arguments))}: expected"):
        ModelRouting(**arguments)  # type: ignore[arg-type]


def test_as_an_environment() -> None:
    world = ModelRouting()
    env = WorldEnv(world)
    task = env.reset(seed=1)[1]["task"]
    results, reward, terminated, _, info = env.step(task.solution[0])
    assert (results, reward, terminated) == (list(task.solution[1:2]), 0.0, False)
    assert env.step(task.solution[2])[1:3] == (1.0, True)
    assert world.measured(env.sample).extra["cost"] == world.price(info["check"].asked[0])


def test_a_policy_can_be_made_and_plays(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    world = ModelRouting()
    made = make_policy(tmp_path / "policy", world, steps=1, batch_size=2)
    played = play(made, world.tasks(2), world.tools, max_turns=2, max_new_tokens=8)
    assert not any(world.check(sample).solved for sample in played)
