"""The guide goes on from what it is given, and the policy learns from its lines as the mixed loss says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from guerdon.claims.scope_recycling import (
    CLAIM,
    GROUP_SIZE,
    GROUPS,
    NOISY_SPLICE,
    SPLICE,
    WHOLE,
    Repairs,
    experiment,
    lines_as_tokens,
    make,
    step_writer,
)
from guerdon.core.samples import Chat
from guerdon.lab.chain_practice import BEGINNER
from guerdon.lab.chain_rewards import right_answer
from guerdon.lab.chain_writer import CHOICES, ChainWriter, Choice, habits
from guerdon.lab.chains import Chain, Chains, Operation, check_steps
from guerdon.lab.tabular import Rollout, TabularPolicy
from guerdon.train import Draft, mixed_policy_loss

CHAIN = Chain(7, (Operation("+", 5), Operation("*", 3)), 10)
WRONG = "7+0=7\n7+5=2\n2*3=5\nanswer 5"


def sample(text: str) -> Chat:
    return Chains(2, 10).task(CHAIN).chat(text)


@pytest.mark.parametrize(
    ("prefix", "rest"),
    [
        ("7+0=7\n7+5=2\n", "2*3=6\nanswer 6"),
        ("", "7+5=2\n2*3=6\nanswer 6"),
        ("7+5=3\n", "3*3=9\nanswer 9"),
    ],
)
def test_the_guide_carries_out_what_is_left(prefix: str, rest: str) -> None:
    ids = lines_as_tokens(sample(WRONG)).ids[: prefix.count("\n")]
    (found,) = step_writer([Draft(sample(WRONG), prefix, ids, "", len(ids))])
    assert found is not None
    assert found.text == rest
    assert found.ids.tolist() == [Choice.WORK] * rest.count("=") + [Choice.ANSWER]


def played(policy: TabularPolicy) -> list[Rollout]:
    writer, rng, found = ChainWriter(0.9, 20), np.random.default_rng(0), list[Rollout]()
    for group, task in enumerate(Chains(3, 97).tasks(GROUPS, 0)):
        for _ in range(GROUP_SIZE):
            rollout = writer.play(task, policy, rng)
            found.append(rollout._replace(sample=replace(rollout.sample, group=group)))
    return found


@pytest.mark.parametrize("arm", [SPLICE, WHOLE, NOISY_SPLICE])
def test_a_repair_is_right_and_keeps_the_policys_own_lines(arm: str) -> None:
    policy = TabularPolicy(habits(BEGINNER))
    rollouts = played(policy)
    *_, options, noise = make(arm, 0.0)
    assert options is not None
    repairs = Repairs(policy, replace(options, max_successes=None), noise, seed=0)
    learned, signal = repairs(rollouts, right_answer([rollout.sample for rollout in rollouts]))
    changed = [i for i in range(len(rollouts)) if learned[i] is not rollouts[i]]
    assert changed
    for i in changed:
        assert signal.outcome[i] == 1.0
        assert check_steps(Chain.of(learned[i].sample), learned[i].sample.text).answered
        weights = learned[i].weights
        assert weights is not None
        own = sum(weight == 1.0 for weight in weights)
        assert own == 0 if arm == WHOLE else own > 0
        assert list(learned[i].decisions[:own]) == list(rollouts[i].decisions[:own])
        assert [d.part for d in learned[i].decisions] == list(range(len(learned[i].decisions)))


def test_the_weights_are_the_slope_of_the_mixed_loss() -> None:
    torch = pytest.importorskip("torch")
    policy = TabularPolicy(habits(BEGINNER))
    rollouts = played(policy)
    *_, options, noise = make(SPLICE, 0.0)
    assert options is not None
    repairs = Repairs(policy, replace(options, max_successes=None), noise, seed=0)
    learned, _ = repairs(rollouts, right_answer([rollout.sample for rollout in rollouts]))
    row = next(rollout for rollout in learned if rollout.weights is not None)
    assert row.weights is not None
    chosen = [policy.probabilities(d.state, CHOICES)[d.choice] for d in row.decisions]
    log_probs = torch.tensor(np.log([chosen]), requires_grad=True)
    guided = torch.tensor([[weight != 1.0 for weight in row.weights]])
    loss = mixed_policy_loss(log_probs, log_probs.detach(), torch.full_like(log_probs, 0.7), guided)
    loss.sum().backward()
    assert -log_probs.grad.numpy()[0] == pytest.approx(0.7 * np.array(row.weights))


@pytest.mark.parametrize("arm", CLAIM.arms)
def test_a_trial_repeats(arm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guerdon.claims.scope_recycling.STEPS", 3)
    monkeypatch.setattr("guerdon.claims.scope_recycling.PROBLEMS", 5)
    setting = {"learning_rate": 1.0, "weight": 0.1}
    assert experiment(arm, setting, 20001) == experiment(arm, setting, 20001)
