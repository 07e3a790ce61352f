"""When Greedy Wins: agents trained on bandits rival UCB in regret, and give up exploring more often.

"When Greedy Wins: Emergent Exploitation Bias in Meta-Bandit LLM Training", arXiv 2509.24923, repository
sanxing-chen/meta-bandit-llm.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.claims.harness.claim import Claim, Expect, Run, Setting, Tuning
from guerdon.core.extras import need
from guerdon.core.function import reward
from guerdon.core.recipe import load_reward
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.credit import grpo
from guerdon.lab.bandits import (
    CENTRE,
    Agent,
    Arms,
    BanditEnv,
    Family,
    Floats,
    greedy,
    run_bandits,
    thompson,
    ucb1,
)
from guerdon.lab.bandits import Run as Runs
from guerdon.verify.bandit_runs import cumulative_regret, greedy_fraction, suffix_failure

ARMS, HORIZON, LONG = 5, 50, 300
STEPS, EVERY, HISTORIES, GROUP = 100, 10, 64, 8
PROBES, FRESH, FRESH_LONG = 300, 2000, 500
HIDDEN = 16
FIRST_FRESH = 2**31  # training draws its bandits with the seeds below
TRAINED = PAID, STRATEGIC, ALGORITHMIC = "sampled reward", "strategic", "algorithmic"
TEACHER, TUNED, THOMPSON, GREEDY = "UCB, c = 1", "UCB, tuned c", "Thompson", "greedy"


@reward
def paid(sample: Chat) -> float:
    """What the bandit paid for the pull."""
    return sample.extra["paid"]


def make_reward(arm: str) -> Reward:
    """The reward of an arm that is trained."""
    if arm == PAID:
        return paid
    return load_reward("meta-bandit-greedy" if arm == STRATEGIC else "meta-bandit-greedy-ucb")


def features(counts: Floats, sums: Floats) -> Floats:
    """What the policy sees of every arm (B, K, 4): mean, 1/√pulls, whether it was pulled, ln of the round."""
    pulled, shown = np.minimum(counts, 1), np.maximum(counts, 1)
    means = np.where(counts > 0, sums / shown, CENTRE)
    rounds = np.log1p(counts.sum(axis=1, keepdims=True)) + np.zeros_like(counts)
    return np.stack([means, pulled / np.sqrt(shown), pulled, rounds], axis=2)


class Policy:
    """A softmax over arms: one small network gives each arm its logit from what has been seen of it."""

    def __init__(self, seed: int, learning_rate: float) -> None:
        self._torch = torch = need("torch", "train")
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        layers = [torch.nn.Linear(4, HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, 1)]
        self._network = torch.nn.Sequential(*layers).double()
        self._optimizer = torch.optim.Adam(self._network.parameters(), lr=learning_rate)

    def __call__(self, counts: Floats, sums: Floats, rng: np.random.Generator) -> Arms:
        """One arm for each bandit, drawn."""
        with self._torch.no_grad():
            logits = self._logits(counts, sums).numpy()
        return (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)

    def improve(self, counts: Floats, sums: Floats, arms: Arms, advantages: NDArray[Any]) -> None:
        """One step up the policy gradient, mean over the choices (n,)."""
        chosen = self._logits(counts, sums).log_softmax(dim=1)[range(len(arms)), arms]
        self._optimizer.zero_grad()
        (-(self._torch.as_tensor(advantages) * chosen).mean()).backward()
        self._optimizer.step()

    def _logits(self, counts: Floats, sums: Floats) -> Any:
        return self._network(self._torch.as_tensor(features(counts, sums))).squeeze(2)


def moments(runs: Runs, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Pulls and sums (B, K) before a random round of each run."""
    before = np.arange(HORIZON) < rng.integers(HORIZON, size=(len(runs.arms), 1))
    pulls = (runs.arms[:, :, None] == np.arange(ARMS)) & before[:, :, None]
    return pulls.sum(axis=1, dtype=np.float64), (pulls * runs.rewards[:, :, None]).sum(axis=1)


def decide(
    counts: Floats, sums: Floats, means: Floats, policy: Agent, rng: np.random.Generator
) -> tuple[Arms, list[Chat]]:
    """The arm that the policy names for each history (n,), and the sample that is scored."""
    arms = policy(counts, sums, rng)
    payments = rng.normal(means[np.arange(len(arms)), arms], 1.0)
    samples = [
        Chat("", f"<answer>{arm}</answer>", {"means": m, "counts": n, "sums": s}, extra={"paid": payment})
        for arm, m, n, s, payment in zip(arms, means, counts, sums, payments, strict=True)
    ]
    return arms, samples


def train(policy: Policy, scored: Reward, seed: int) -> list[tuple[float, float]]:
    """GRPO over single decisions; mean regret of the policy before every tenth step, and after the last."""
    rng, env, credit = np.random.default_rng(seed), BanditEnv(HISTORIES, ARMS, horizon=HORIZON), grpo()
    groups, curve = np.repeat(np.arange(HISTORIES), GROUP), list[tuple[float, float]]()
    for step in range(STEPS):
        if step % EVERY == 0:
            curve.append((step, regret(fresh_runs(policy, seed, PROBES))))
        runs = run_bandits(env, policy, int(rng.integers(FIRST_FRESH)))
        counts, sums = (column[groups] for column in moments(runs, rng))
        arms, samples = decide(counts, sums, runs.means[groups], policy, rng)
        advantages = credit(scored(samples), groups, np.ones((len(samples), 1), dtype=bool))
        policy.improve(counts, sums, arms, advantages[:, 0])
    return [*curve, (STEPS, regret(fresh_runs(policy, seed, PROBES)))]


def fresh_runs(
    agent: Agent, seed: int, batch: int, horizon: int = HORIZON, family: Family = "gaussian"
) -> Runs:
    """Runs on bandits that no training has seen, the same ones for every agent."""
    return run_bandits(BanditEnv(batch, ARMS, family, horizon=horizon), agent, FIRST_FRESH + seed)


def regret(runs: Runs) -> float:
    """Mean regret of a run."""
    return float(np.mean([cumulative_regret(arms, means) for arms, _, means in zip(*runs, strict=True)]))


def failures(runs: Runs) -> float:
    """Share of runs whose second half never pulls the best arm."""
    half = runs.arms.shape[1] // 2
    best = runs.means.argmax(axis=1).tolist()
    return float(np.mean([suffix_failure(arms, b, half) for arms, b in zip(runs.arms, best, strict=True)]))


def make_agent(arm: str, setting: Setting) -> Agent:
    """The agent of an arm that isn't trained."""
    if arm == THOMPSON:
        return thompson()
    return greedy if arm == GREEDY else ucb1(1.0 if arm == TEACHER else setting["c"])


def experiment(arm: str, setting: Setting, seed: int) -> Run:
    """Train one agent, where the arm has one to train, and measure it on fresh bandits."""
    if arm in TRAINED:
        agent: Agent = Policy(seed, setting["learning_rate"])
        curve = train(agent, make_reward(arm), seed)
    else:
        agent = make_agent(arm, setting)
        untrained = regret(fresh_runs(agent, seed, PROBES))
        curve = [(0.0, untrained), (float(STEPS), untrained)]
    runs = fresh_runs(agent, seed, FRESH)
    few, long = fresh_runs(agent, seed, PROBES), fresh_runs(agent, seed, FRESH_LONG, LONG)
    regrets = [cumulative_regret(arms, means) for arms, _, means in zip(*runs, strict=True)]
    return Run(
        {
            "regret": float(np.mean(regrets)),
            "regret while training": float(np.mean([value for _, value in curve])),
            "worst tenth": float(np.quantile(regrets, 0.9)),
            "suffix failure": failures(runs),
            "greedy": float(np.mean([greedy_fraction(a, r) for a, r, _ in zip(*few, strict=True)])),
            "regret at 300": regret(long),
            "suffix failure at 300": failures(long),
            "regret, Bernoulli": regret(fresh_runs(agent, seed, FRESH, family="bernoulli")),
        },
        {"regret": curve},
    )


CLAIM = Claim(
    slug="meta-bandit-greedy",
    says="Agents trained with the strategic or the algorithmic reward rival UCB in regret by being greedier, and give up "
    "the best arm for good more often.",
    hypothesis="The agent of the strategic reward regrets no more than UCB and more often never comes back to the best arm; "
    "it learns faster than with the sampled reward; and the agent of the algorithmic reward regrets less than the UCB that "
    "it imitates.",
    setup="Gaussian bandits with 5 arms: one mean of 0.6, four of 0.4, σ = 1; 50 pulls, 300 in one test. A network with 16 "
    "hidden units gives each arm a logit from its mean, its pulls and the round; choices are drawn, in the tests too. 100 "
    "steps of GRPO and Adam over single decisions: 64 histories, one a run of the policy itself, with 8 choices each. "
    "`sampled reward` pays what the pull gave, `strategic` what the arm is worth (recipe `meta-bandit-greedy`), `algorithmic` "
    "1 for the choice of UCB with c = 1 (recipe `meta-bandit-greedy-ucb`). Nothing is paid for later rounds.",
    arms=(PAID, STRATEGIC, ALGORITHMIC, TEACHER, TUNED, THOMPSON, GREEDY),
    metrics={
        "regret": "mean regret of 2,000 fresh runs of 50 pulls; 8 for random pulls",
        "regret while training": "mean regret of 300 fresh runs, averaged over training",
        "worst tenth": "regret that a tenth of the runs exceed",
        "suffix failure": "share of runs that never pull the best arm in their second half",
        "greedy": "share of pulls, after the first, of an arm that looks best",
        "regret at 300": "mean regret of 500 fresh runs of 300 pulls; 48 for random pulls",
        "suffix failure at 300": "suffix failure of those",
        "regret, Bernoulli": "mean regret of 2,000 runs of 50 pulls that pay 0 or 1",
    },
    expect=(
        Expect("regret", STRATEGIC, "no_higher", TEACHER, margin=0.3),
        Expect("suffix failure", STRATEGIC, "higher", TEACHER, margin=0.05),
        Expect("regret while training", STRATEGIC, "lower", PAID),
        Expect("regret", ALGORITHMIC, "lower", TEACHER),
    ),
    experiment=experiment,
    tuning=Tuning(
        [{"learning_rate": rate} for rate in (0.01, 0.03, 0.1, 0.3)],
        "regret",
        better="lower",
        own={TUNED: [{"c": c} for c in (0.25, 0.5, 0.75, 1.0)]},
    ),
    axes={"regret": ("training step", "regret of a run of 50 pulls")},
    remark="Whether the agent of the algorithmic reward beats its teacher is open: it copies UCB closely and isn't greedier, so "
    "a gain can only be small. The strategic agent beats UCB with c = 1, but only draws with UCB whose c was tuned for regret "
    "to 0.25, which gives up as often: greed is what short horizons and a gap of 0.2 at σ = 1 reward, whoever learns it. "
    "Even plain greedy regrets less than UCB with c = 1 after 50 pulls, though not after 300. That trained agents fail less often over 300 "
    "pulls is partly because their choices are drawn. With the sampled reward the results scatter between seeds.",
)
