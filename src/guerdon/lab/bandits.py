"""Multi-armed bandits: a vectorised environment, the classical agents, and a world of single decisions as text."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from guerdon.core.checks import check_choice, check_number
from guerdon.core.context import EMPTY
from guerdon.core.messages import Message
from guerdon.core.registry import register
from guerdon.core.samples import Chat
from guerdon.lab.world import Task, World
from guerdon.verify.bandit import Against, BanditChoice, ucb_action

Floats: TypeAlias = NDArray[np.float64]
Arms: TypeAlias = NDArray[np.int64]
Family: TypeAlias = Literal["gaussian", "bernoulli"]
Agent: TypeAlias = Callable[[Floats, Floats, np.random.Generator], Arms]
"""Chooses an arm (B,) for each of B bandits from the pulls (B, K) of each arm and the sums (B, K) of its rewards."""

CENTRE = 0.5
"""Half-way between the mean of the best arm and that of the others."""
NAMES = ("red", "blue", "green", "black", "white", "pink", "grey", "brown", "gold", "lime")
SYSTEM = "Choose the button that you press next: <answer>colour</answer>."


class BanditEnv:
    """`batch` bandits at once, with the `reset` and `step` of a Gymnasium `VectorEnv`.

        μ_a = 1/2 + gap/2 for one arm, drawn uniformly, and 1/2 − gap/2 for the others
        reward ~ N(μ_a, sigma²)   family="gaussian"         reward ~ Bernoulli(μ_a)   family="bernoulli"

    An observation has what each bandit has shown so far: `counts` (B, K), the pulls of each arm, and `sums`
    (B, K), the sum of its rewards, float64. An action is an arm (B,), counted from 0. All bandits are truncated
    after `horizon` pulls; then `reset` draws new ones. The means (B, K) are in `info["means"]`: they are for
    rewards and measures, not for the agent.

    Raises `ValueError` where `batch`, `arms` (at least 2) or `horizon` is too small, the family is unknown,
    `gap` isn't in (0, 1] or `sigma` isn't a finite number above 0.
    """

    def __init__(
        self,
        batch: int = 1,
        arms: int = 5,
        family: Family = "gaussian",
        gap: float = 0.2,
        horizon: int = 50,
        sigma: float = 1.0,
    ) -> None:
        for name, value, least in (("batch", batch, 1), ("arms", arms, 2), ("horizon", horizon, 1)):
            if value < least:
                raise ValueError(f"BanditEnv.{name}: expected at least {least}, got {value}")
        check_choice(family, "BanditEnv.family", get_args(Family))
        self.num_envs, self.arms, self.horizon = batch, arms, horizon
        self.family: Family = family
        self.gap = check_number(gap, "BanditEnv.gap", high=1.0, above=0.0)
        self.sigma = check_number(sigma, "BanditEnv.sigma", above=0.0)
        self._rng = np.random.default_rng(0)
        self._round = horizon
        self._means = self._counts = self._sums = np.zeros((batch, arms))

    def reset(self, *, seed: int | None = None) -> tuple[dict[str, Floats], dict[str, Floats]]:
        """Draw new bandits: observation, info. A seed restarts the sequence of bandits and rewards."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self._round = 0
        best = self._rng.integers(self.arms, size=self.num_envs)
        self._means = np.full((self.num_envs, self.arms), CENTRE - self.gap / 2)
        self._means[np.arange(self.num_envs), best] += self.gap
        self._counts, self._sums = np.zeros_like(self._means), np.zeros_like(self._means)
        return self._observation(), {"means": self._means.copy()}

    def step(
        self, actions: ArrayLike
    ) -> tuple[dict[str, Floats], Floats, NDArray[np.bool_], NDArray[np.bool_], dict[str, Floats]]:
        """Pull one arm of each bandit: observation, rewards (B,), terminated (B,), truncated (B,), info.

        Raises `RuntimeError` where no run is under way, and `ValueError` where an action isn't an arm.
        """
        if self._round >= self.horizon:
            raise RuntimeError("BanditEnv.step: no run under way; call reset first")
        arms = np.asarray(actions)
        if arms.shape != (self.num_envs,) or not np.issubdtype(arms.dtype, np.integer):
            raise ValueError(f"actions: expected integers ({self.num_envs},), got {arms.dtype} {arms.shape}")
        if (arms < 0).any() or (arms >= self.arms).any():
            raise ValueError(f"actions: expected arms in [0, {self.arms}), got {arms.tolist()!r:.100}")
        rows = np.arange(self.num_envs)
        rewards = self._rewards(self._means[rows, arms])
        self._counts[rows, arms] += 1
        self._sums[rows, arms] += rewards
        self._round += 1
        never = np.zeros(self.num_envs, dtype=bool)
        ended = np.full(self.num_envs, self._round == self.horizon)
        return self._observation(), rewards, never, ended, {"means": self._means.copy()}

    def play_evenly(self, pulls: Arms) -> tuple[Floats, Floats]:
        """Counts and sums (B, K) after `pulls` (B,) uniformly random pulls of each bandit, in one draw.

        The run itself stays where it is.
        """
        counts = self._rng.multinomial(pulls, np.full(self.arms, 1 / self.arms))
        if self.family == "bernoulli":
            return counts.astype(np.float64), self._rng.binomial(counts, self._means).astype(np.float64)
        return counts.astype(np.float64), self._rng.normal(counts * self._means, self.sigma * np.sqrt(counts))

    def _rewards(self, means: Floats) -> Floats:
        if self.family == "bernoulli":
            return (self._rng.random(means.shape) < means).astype(np.float64)
        return self._rng.normal(means, self.sigma)

    def _observation(self) -> dict[str, Floats]:
        return {"counts": self._counts.copy(), "sums": self._sums.copy()}


# -- agents --------------------------------------------------------------------------------------------------------


def greedy(counts: Floats, sums: Floats, rng: np.random.Generator) -> Arms:
    """The first arm that was never pulled, else the one with the best mean so far; ties go to the lowest index."""
    del rng
    return _best(counts, sums, 0.0)


def epsilon_greedy(epsilon: float = 0.1) -> Agent:
    """Any arm with probability `epsilon`, else the choice of `greedy`. Raises `ValueError` outside [0, 1]."""
    check_number(epsilon, "epsilon", 0.0, 1.0)

    def act(counts: Floats, sums: Floats, rng: np.random.Generator) -> Arms:
        anything = rng.integers(counts.shape[1], size=counts.shape[0])
        return np.where(rng.random(counts.shape[0]) < epsilon, anything, greedy(counts, sums, rng))

    return act


def ucb1(c: float = 1.0) -> Agent:
    """The choice of `verify.ucb_action` for every bandit: `argmax_a sums_a / counts_a + c · sqrt(ln t / counts_a)`.

    Raises `ValueError` unless `c` is a finite number of at least 0.

    P. Auer, N. Cesa-Bianchi, P. Fischer, "Finite-time analysis of the multiarmed bandit problem", Machine
    Learning 2002; their UCB1 has c = sqrt(2) for rewards in [0, 1].
    """
    check_number(c, "c", low=0.0)

    def act(counts: Floats, sums: Floats, rng: np.random.Generator) -> Arms:
        del rng
        rounds = np.maximum(counts.sum(axis=1, keepdims=True), 1)
        return _best(counts, sums, c * np.sqrt(np.log(rounds) / np.maximum(counts, 1)))

    return act


def thompson(family: Family = "gaussian", sigma: float = 1.0) -> Agent:
    """The best arm of one draw from the posterior of the means.

        bernoulli    μ_a ~ Beta(1 + sums_a, 1 + counts_a − sums_a)
        gaussian     μ_a ~ N((1/2 + sums_a / sigma²) / w, 1 / w),  w = 1 + counts_a / sigma²

    The priors are Beta(1, 1) and N(1/2, 1); `sigma` is the known standard deviation of a reward. Raises
    `ValueError` for an unknown family or a `sigma` that isn't a finite number above 0.

    W. R. Thompson, "On the likelihood that one unknown probability exceeds another in view of the evidence of
    two samples", Biometrika 1933.
    """
    check_choice(family, "family", get_args(Family))
    check_number(sigma, "sigma", above=0.0)

    def act(counts: Floats, sums: Floats, rng: np.random.Generator) -> Arms:
        if family == "bernoulli":
            return rng.beta(1 + sums, 1 + counts - sums).argmax(axis=1)
        weight = 1 + counts / sigma**2
        return rng.normal((CENTRE + sums / sigma**2) / weight, 1 / np.sqrt(weight)).argmax(axis=1)

    return act


class Run(NamedTuple):
    """What an agent did in B runs of T rounds: `arms` (B, T), `rewards` (B, T) and the true `means` (B, K).

    A row of it is what the measures of `verify.bandit_runs` look at.
    """

    arms: Arms
    rewards: Floats
    means: Floats


def run_bandits(env: BanditEnv, agent: Agent, seed: int = 0) -> Run:
    """Let an agent play new bandits of `env` to the end. Equal arguments give equal runs."""
    rng = np.random.default_rng([seed, 1])  # the agent's dice must not be those that drew the bandits
    observation, info = env.reset(seed=seed)
    arms = np.empty((env.num_envs, env.horizon), dtype=np.int64)
    rewards = np.empty((env.num_envs, env.horizon))
    for t in range(env.horizon):
        arms[:, t] = agent(observation["counts"], observation["sums"], rng)
        observation, rewards[:, t], *_ = env.step(arms[:, t])
    return Run(arms, rewards, info["means"])


# -- the world -----------------------------------------------------------------------------------------------------


class BanditsCheck(NamedTuple):
    """`value`: what the chosen arm is worth, see `BanditChoice`; -1 where no arm was named."""

    value: float

    @property
    def solved(self) -> bool:
        """Whether no other arm is better."""
        return self.value == 1.0


@register("bandits", kind="world", example="{world: bandits, arms: 3, family: bernoulli, gap: 0.4}")
class Bandits(World):
    """Single decisions in bandits: pulls and mean reward of each arm as text, answered by the name of an arm.

    `arms` (2 to 10), `family`, `gap`, `horizon`, `sigma`: of the bandits, see `BanditEnv`; a small gap, many
    arms and a short horizon are hard. A task is a bandit after 0 to `horizon − 1` uniformly random pulls.
    `against`: what solves it, a best arm by the true `means`, which the prompt can't show for certain, or the
    choice of UCB1 (`ucb`), which it can. `env(batch)` gives the same bandits as an environment.

    The reference is the mapping that `bandit_choice` reads: `means`, `counts`, `sums` and `arms`. Equal arguments
    and seeds give equal tasks. Raises `ValueError` for a setting out of its range.

    "When Greedy Wins: Emergent Exploitation Bias in Meta-Bandit LLM Training", arXiv 2509.24923, repository
    sanxing-chen/meta-bandit-llm: text bandits of this kind; the wording is our own.
    """

    def __init__(
        self,
        arms: int = 5,
        family: Family = "gaussian",
        gap: float = 0.2,
        horizon: int = 50,
        sigma: float = 1.0,
        against: Against = "means",
    ) -> None:
        if arms > len(NAMES):
            raise ValueError(f"Bandits.arms: expected at most {len(NAMES)}, got {arms}")
        self._make_env = partial(BanditEnv, arms=arms, family=family, gap=gap, horizon=horizon, sigma=sigma)
        self._bandit = self.env(1)
        self._choice = BanditChoice(against, invalid=-1.0)

    def env(self, batch: int) -> BanditEnv:
        """`batch` bandits of this world as an environment."""
        return self._make_env(batch)

    def draw(self, rng: random.Random) -> Task:
        bandit = self._bandit
        _, info = bandit.reset(seed=rng.getrandbits(32))
        pulls = np.array([rng.randrange(bandit.horizon)])
        (counts,), (sums,) = bandit.play_evenly(pulls)
        names = NAMES[: bandit.arms]
        means = info["means"][0]
        best = int(means.argmax()) if self._choice.against == "means" else ucb_action(counts, sums)
        reference = {
            "means": means.tolist(),
            "counts": counts.astype(int).tolist(),
            "sums": sums.tolist(),
            "arms": list(names),
        }
        question = "\n".join(map(_shown, names, counts, sums))
        return Task(
            prompt=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}],
            solution=[_answer(names[best])],
            reference=reference,
            extra={"bandit": reference},
        )

    def check(self, sample: Chat) -> BanditsCheck:
        """What the arm in the last `<answer>` of the last turn is worth.

        The bandit is `extra["bandit"]`. Raises `KeyError` where it is missing.
        """
        judged = replace(sample, reference=sample.extra["bandit"])
        return BanditsCheck(float(self._choice.score(judged, EMPTY)))

    def demonstrate(self, task: Task, rng: random.Random, habit: float) -> list[Message]:
        """The solution, or with probability `habit` any arm."""
        lapse = rng.random() < habit
        return [*task.prompt, *([_answer(rng.choice(task.reference["arms"]))] if lapse else task.solution)]


def _best(counts: Floats, sums: Floats, bonus: Floats | float) -> Arms:
    """The first arm that was never pulled, else the first with the largest mean plus bonus."""
    return np.where(counts == 0, np.inf, sums / np.maximum(counts, 1) + bonus).argmax(axis=1)


def _shown(name: str, count: float, total: float) -> str:
    return f"{name}: {count:.0f} pulls, mean {total / count:.2f}" if count else f"{name}: 0 pulls"


def _answer(arm: str) -> Message:
    return {"role": "assistant", "content": f"<answer>{arm}</answer>"}
