"""The policy over a tree: it is a distribution, and its losses have the optimum that they should."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.claims.gflownet_prm import CLAIM, FLOW, NEAR, TOKENS, TreePolicy, experiment, loss, measured
from guerdon.lab.solution_tree import SolutionTree

pytest.importorskip("torch")


@pytest.fixture
def proportional() -> TreePolicy:
    """The policy that samples in proportion to reward: a step is as likely as what lies beneath it is worth."""
    tree = SolutionTree.planted(np.random.default_rng(3))
    policy = TreePolicy(tree)
    beneath = np.exp(tree.log_reward)
    for node in range(len(beneath) - 1, 0, -1):
        beneath[(node - 1) // 6] += beneath[node]
    with policy.torch.no_grad():
        for node in range(tree.inner):
            worth = [*beneath[6 * node + 1 : 6 * node + 7], np.exp(tree.log_reward[node])]
            policy.logits[node] = policy.torch.tensor(np.log(worth))
    return policy


def test_probabilities_of_all_solutions_add_up_to_one() -> None:
    policy = TreePolicy(SolutionTree.planted(np.random.default_rng(0)))
    with policy.torch.no_grad():
        policy.logits.normal_()
    assert policy.log_probs()[2].exp().sum().item() == pytest.approx(1.0)


@pytest.mark.parametrize("arm", [FLOW, NEAR, TOKENS])
def test_in_proportion_to_reward_flows_balance(proportional: TreePolicy, arm: str) -> None:
    assert loss(arm, proportional, {}, np.random.default_rng(0)).item() == pytest.approx(0.0, abs=1e-12)
    found = measured(proportional.tree, proportional.log_probs()[2].detach().numpy())
    assert found["KL"] == pytest.approx(0.0, abs=1e-9)


def test_balance_of_tokens_never_moves_the_first_step() -> None:
    tree = SolutionTree.planted(np.random.default_rng(0))
    policy = TreePolicy(tree)
    loss(TOKENS, policy, {}, np.random.default_rng(1)).backward()
    assert policy.logits.grad[0].abs().max().item() == pytest.approx(0.0, abs=1e-12)
    assert policy.logits.grad[1:].abs().max().item() > 0.01


@pytest.mark.parametrize("arm", CLAIM.arms)
def test_a_trial_repeats(arm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guerdon.claims.gflownet_prm.UPDATES", 5)
    setting = {"learning_rate": 0.05, "entropy": 0.1}
    assert experiment(arm, setting, 20001) == experiment(arm, setting, 20001)
