from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.core.recipe import load_reward
from guerdon.core.samples import Chat
from guerdon.lab.bandits import BanditEnv, Bandits, epsilon_greedy, greedy, run_bandits, thompson, ucb1
from guerdon.lab.env import WorldEnv
from guerdon.lab.play import play
from guerdon.lab.policy import make_policy
from guerdon.verify.bandit import BanditChoice, ucb_action
from guerdon.verify.bandit_runs import cumulative_regret, greedy_fraction

RNG = np.random.default_rng(0)
HISTORIES = st.integers(1, 5).flatmap(
    lambda k: st.lists(
        st.lists(st.tuples(st.integers(0, 9), st.integers(-9, 9)), min_size=k, max_size=k),
        min_size=1,
        max_size=4,
    )
)


# -- the environment -----------------------------------------------------------------------------------------------


@given(
    batch=st.integers(1, 6),
    arms=st.integers(2, 6),
    family=st.sampled_from(["gaussian", "bernoulli"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=30, deadline=None)
def test_the_observation_sums_up_what_was_pulled(batch: int, arms: int, family: str, seed: int) -> None:
    env = BanditEnv(batch, arms, family, horizon=7)  # type: ignore[arg-type]
    observation, _ = env.reset(seed=seed)
    assert not observation["counts"].any()
    rng = np.random.default_rng(seed)
    counts, sums = np.zeros((batch, arms)), np.zeros((batch, arms))
    for t in range(7):
        actions = rng.integers(arms, size=batch)
        observation, rewards, terminated, truncated, _ = env.step(actions)
        counts[range(batch), actions] += 1
        sums[range(batch), actions] += rewards
        np.testing.assert_array_equal(observation["counts"], counts)
        np.testing.assert_array_equal(observation["sums"], sums)
        assert not terminated.any()
        assert truncated.all() == truncated.any() == (t == 6)
        assert family == "gaussian" or set(rewards) <= {0.0, 1.0}
    with pytest.raises(RuntimeError, match="call reset first"):
        env.step(actions)


@pytest.mark.parametrize("family", ["gaussian", "bernoulli"])
def test_rewards_have_the_stated_means_and_spread(family: str) -> None:
    env = BanditEnv(40_000, 2, family, gap=0.4, sigma=2.0)  # type: ignore[arg-type]
    _, info = env.reset(seed=1)
    means = info["means"]
    assert set(means.ravel().round(9)) == {0.3, 0.7}
    assert (means.argmax(axis=1) == 0).mean() == pytest.approx(0.5, abs=0.02)
    _, rewards, *_ = env.step(means.argmax(axis=1))
    assert rewards.mean() == pytest.approx(0.7, abs=0.05)
    assert rewards.std() == pytest.approx(2.0 if family == "gaussian" else np.sqrt(0.21), abs=0.05)


@pytest.mark.parametrize("family", ["gaussian", "bernoulli"])
def test_a_history_in_one_draw_is_distributed_like_single_pulls(family: str) -> None:
    env = BanditEnv(20_000, 2, family, gap=0.4)  # type: ignore[arg-type]
    _, info = env.reset(seed=1)
    counts, sums = env.play_evenly(np.full(20_000, 10))
    best = info["means"].argmax(axis=1)[:, None]
    n, total = (np.take_along_axis(x, best, 1)[:, 0] for x in (counts, sums))
    assert (counts.sum(axis=1) == 10).all()
    assert n.mean() == pytest.approx(5, abs=0.1)
    assert total.sum() / n.sum() == pytest.approx(0.7, abs=0.02)
    spread = 1.0 if family == "gaussian" else 0.21
    assert (total - 0.7 * n).var() == pytest.approx(5 * spread, rel=0.1)
    assert not (sums[counts == 0]).any()


def test_seeds_decide_bandits_and_rewards() -> None:
    env = BanditEnv(8)
    first, again, other = (run_bandits(env, ucb1(), seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.rewards, again.rewards)
    assert (first.rewards != other.rewards).any()
    env.reset(seed=1)
    assert (env.reset()[1]["means"] != first.means).any()


def test_what_it_hands_out_is_not_its_state() -> None:
    env = BanditEnv()
    observation, info = env.reset(seed=0)
    observation["counts"][:] = 99
    info["means"][:] = 99
    observation, _, _, _, info = env.step([0])
    assert observation["counts"].sum() == 1
    assert info["means"].max() < 1


@pytest.mark.parametrize("actions", [[0], [0, 5], [-1, 0], [0.0, 1.0], [[0, 1]], ["a", "b"], None])
def test_actions_are_checked(actions: object) -> None:
    env = BanditEnv(2)
    env.reset()
    with pytest.raises(ValueError, match="actions: expected"):
        env.step(actions)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "arguments",
    [
        {"batch": 0},
        {"arms": 1},
        {"horizon": 0},
        {"family": "cauchy"},
        {"gap": 0.0},
        {"gap": 1.1},
        {"sigma": np.inf},
    ],
)
def test_settings_are_checked(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=rf"BanditEnv\.{next(iter(arguments))}: expected"):
        BanditEnv(**arguments)  # type: ignore[arg-type]


# -- the agents ----------------------------------------------------------------------------------------------------


@given(HISTORIES, st.floats(0, 3))
@settings(max_examples=60, deadline=None)
def test_ucb1_chooses_what_the_reward_expects(history: list[list[tuple[int, int]]], c: float) -> None:
    counts, sums = np.moveaxis(np.array(history, dtype=float), 2, 0)
    wanted = [ucb_action(n, total, c) for n, total in zip(counts, sums, strict=True)]
    assert ucb1(c)(counts, sums, RNG).tolist() == wanted


def test_greedy_tries_every_arm_and_then_keeps_to_the_best() -> None:
    counts = np.array([[1, 0, 0], [2, 1, 4], [1, 1, 1]], dtype=float)
    sums = np.array([[9, 0, 0], [4, 1, 12], [2, 2, 0]], dtype=float)
    assert greedy(counts, sums, RNG).tolist() == [1, 2, 0]
    run = run_bandits(BanditEnv(1, horizon=30), greedy, 3)
    assert run.arms[0, :5].tolist() == [0, 1, 2, 3, 4]
    assert greedy_fraction(run.arms[0], run.rewards[0]) >= 25 / 29


def test_epsilon_is_how_often_it_explores() -> None:
    counts, sums = np.ones((20_000, 4)), np.tile([0.0, 1.0, 0.0, 0.0], (20_000, 1))
    for epsilon in (0.0, 0.4, 1.0):
        chosen = epsilon_greedy(epsilon)(counts, sums, RNG)
        assert (chosen == 1).mean() == pytest.approx(1 - epsilon * 3 / 4, abs=0.02)


@pytest.mark.parametrize("family", ["gaussian", "bernoulli"])
def test_thompson_chooses_an_arm_as_often_as_it_is_likely_best(family: str) -> None:
    agent = thompson(family)  # type: ignore[arg-type]
    nothing = np.zeros((20_000, 2))
    assert agent(nothing, nothing, RNG).mean() == pytest.approx(0.5, abs=0.02)
    counts = np.tile([4.0, 0.0], (20_000, 1))
    # P(uniform > Beta(5, 1)) = E[1 - Beta(5, 1)] = 1/6; N(1/2, 1) > N(0.9, 0.2): Phi(-0.4 / sqrt(1.2)).
    wanted = {"bernoulli": 1 / 6, "gaussian": 0.3575}[family]
    assert agent(counts, counts, RNG).mean() == pytest.approx(wanted, abs=0.015)


@pytest.mark.parametrize("family", ["gaussian", "bernoulli"])
def test_agents_that_explore_regret_less_than_chance(family: str) -> None:
    env = BanditEnv(300, 5, family, gap=0.6, horizon=200, sigma=0.5)  # type: ignore[arg-type]
    chance = 0.6 * 200 * 4 / 5
    for agent in (epsilon_greedy(0.1), ucb1(0.5), thompson(family, 0.5)):  # type: ignore[arg-type]
        run = run_bandits(env, agent, 0)
        assert np.mean(list(map(cumulative_regret, run.arms, run.means))) < chance / 3


@pytest.mark.parametrize(
    "make",
    [lambda: epsilon_greedy(1.5), lambda: ucb1(-1), lambda: thompson("cauchy"), lambda: thompson(sigma=0)],
)
def test_agents_check_their_settings(make: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        make()  # type: ignore[operator]


# -- the world -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["gaussian", "bernoulli"])
@pytest.mark.parametrize("against", ["means", "ucb"])
def test_the_solution_gets_the_maximum(family: str, against: str) -> None:
    world = Bandits(family=family, against=against)  # type: ignore[arg-type]
    samples = [task.chat(task.solution) for task in world.tasks(80)]
    np.testing.assert_array_equal(BanditChoice(against)(samples).outcome, 1.0)  # type: ignore[arg-type]
    if against == "means":
        np.testing.assert_array_equal(load_reward("meta-bandit-greedy")(samples).outcome, 1.0)
    assert all(world.check(sample).solved for sample in samples)


@given(seed=st.integers(0, 10_000), arms=st.integers(2, 10), horizon=st.integers(1, 60))
@settings(max_examples=30, deadline=None)
def test_equal_arguments_and_seeds_give_equal_tasks(seed: int, arms: int, horizon: int) -> None:
    world = Bandits(arms, horizon=horizon)
    assert world.tasks(4, seed) == Bandits(arms, horizon=horizon).tasks(4, seed)
    for task in world.tasks(4, seed):
        assert len(task.reference["means"]) == len(task.prompt[1]["content"].splitlines()) == arms
        assert sum(task.reference["counts"]) < horizon


def test_the_prompt_shows_pulls_and_means() -> None:
    for task in Bandits(3, horizon=9).tasks(30):
        lines = task.prompt[1]["content"].splitlines()
        for line, name, n, total in zip(
            lines, *(task.reference[k] for k in ("arms", "counts", "sums")), strict=True
        ):
            assert line == (f"{name}: {n} pulls, mean {total / n:.2f}" if n else f"{name}: 0 pulls")


def test_any_arm_is_the_habit() -> None:
    world, rng = Bandits(4), random.Random(0)
    tasks = world.tasks(400)
    assert all(world.demonstrate(t, rng, 0.0) == [*t.prompt, *t.solution] for t in tasks)
    chosen = [world.check(t.chat(world.demonstrate(t, rng, 1.0)[2:])) for t in tasks]
    assert {found.value for found in chosen} == {0.0, 1.0}
    assert np.mean([found.solved for found in chosen]) == pytest.approx(0.25, abs=0.08)


@pytest.mark.parametrize(
    "completion",
    [
        "",
        "red",
        "\ud800<answer>\ud800</answer>",
        "<answer>" * 100_000,
        "x" * 10_000_000,
        "<answer>RED</answer>",
    ],
)
def test_no_arm_is_worth_less_than_the_worst(completion: str) -> None:
    world = Bandits()
    found = world.check(world.tasks(1)[0].chat(completion))
    assert (found.value, found.solved) == (-1.0, False)


def test_a_missing_column_and_too_many_arms_are_errors() -> None:
    with pytest.raises(KeyError, match="bandit"):
        Bandits().check(Chat("?", "<answer>red</answer>"))
    with pytest.raises(ValueError, match=r"Bandits\.arms: expected at most 10, got 11"):
        Bandits(11)


def test_as_an_environment_of_text() -> None:
    env = WorldEnv(Bandits())
    task = env.reset(seed=2)[1]["task"]
    assert env.step(task.solution[0])[1:3] == (1.0, True)
    assert Bandits(3, "bernoulli").env(4).reset()[0]["counts"].shape == (4, 3)


def test_a_policy_can_be_made_and_plays(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    world = Bandits()
    made = make_policy(tmp_path / "policy", world, steps=1, batch_size=2)
    played = play(made, world.tasks(2), world.tools, max_turns=2, max_new_tokens=8)
    assert not any(world.check(sample).solved for sample in played)
