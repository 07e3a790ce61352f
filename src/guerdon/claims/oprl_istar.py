"""iStar: an advantage of each turn from an implicit reward model, added to that of the episode, teaches an agent faster.

Xiaoqian Liu et al., "Agentic Reinforcement Learning with Implicit Step Rewards", arXiv 2509.19199.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from guerdon.claims.harness.claim import FRESH_SEED, Claim, Expect, Run, Setting, Tuning
from guerdon.core.context import Context
from guerdon.core.dense import Dense
from guerdon.core.extras import need
from guerdon.core.function import reward
from guerdon.core.reward import Reward, Scope
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal
from guerdon.credit import EpisodeStep, Estimator, rloo, unit_returns
from guerdon.lab.grid_walk import Floats, GridWalk, WalkLogProbs, table_of
from guerdon.lab.tabular import Practice, Rollout, TabularPolicy, practise
from guerdon.models import ImplicitReward, group_pair_loss, token_log_ratios, trajectory_scores

WALK = GridWalk()
STARTS = ((0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (2, 1))
STEPS, GROUPS, SIZE = 100, 4, 8
TARGET, BETA = 0.8, 0.05
OUTCOME, STEP, TOKEN, MERGED = "outcome only", "iStar", "token rewards", "merged rewards"
ARMS = (STEP, TOKEN, MERGED, OUTCOME)


@reward
def reached(sample: Chat) -> float:
    """1 where the walk ends at the goal."""
    return float(WALK.cells(sample)[-1] == tuple(sample.reference))


class TrajectoryPreference(Reward):
    """Outcome, and implicit rewards of a table that prefers the walks that reach the goal to those that don't.

    The table (rows, 2) of logits starts equal to an untrained policy. Each batch is scored relative to `policy`, which
    wrote it, and then gives one step of Adam on all pairs of a success and a failure of a group. The dense channel is
    scaled as in the repository, so that no sum over the rest of a walk leaves [−1, 1].
    """

    name = "trajectory_preference"
    scope: Scope = "batch"
    isolate = False

    def __init__(self, policy: TabularPolicy, learning_rate: float, unit: Any) -> None:
        torch = need("torch", "train")
        self._policy = policy
        self._logits = torch.zeros((WALK.rows, 2), dtype=torch.float64, requires_grad=True)
        self._optimizer = torch.optim.Adam([self._logits], lr=learning_rate)
        self._process = ImplicitReward(
            WalkLogProbs(WALK, lambda: self._logits.detach().log_softmax(-1).numpy()),
            WalkLogProbs(WALK, self._written_by),
            beta=BETA,
            unit=unit,
        )

    def score_batch(self, samples: Sequence[Chat], context: Context) -> Signal:
        outcome, dense = reached(samples, context).outcome, self._process(samples, context).dense
        assert dense is not None
        self._learn(samples, outcome > 0)
        values = unit_returns(dense.values, offsets=dense.offsets)
        return Signal(outcome, dense=Dense(values, dense.offsets, dense.spans, dense.unit))

    def _learn(self, samples: Sequence[Chat], success: Any) -> None:
        torch = need("torch", "train")
        walks = [WALK.choices(sample) for sample in samples]
        rows, options = (np.concatenate(column) for column in zip(*walks, strict=True))
        turns = [walk.rows.size // 2 for walk in walks]
        log_probs = self._logits.log_softmax(-1)[rows, options]
        reference = torch.as_tensor(self._written_by()[rows, options])
        rewards = token_log_ratios(log_probs, reference, BETA).reshape(-1, 2).sum(1)
        scores = trajectory_scores(rewards, np.cumsum([0, *turns]))
        groups = np.array([sample.group for sample in samples])
        self._optimizer.zero_grad()
        group_pair_loss(scores, success, groups).backward()
        self._optimizer.step()

    def _written_by(self) -> Floats:
        return table_of(WALK, self._policy)


def make(arm: str, policy: TabularPolicy, reward_rate: float) -> tuple[Reward, Estimator]:
    """Reward and credit of an arm."""
    if arm == OUTCOME:
        return reached, rloo()
    paid = TrajectoryPreference(policy, reward_rate, "token" if arm == TOKEN else "turn")
    return paid, rloo() if arm == MERGED else EpisodeStep(relative="leave_one_out")


def turn_rewards(rollouts: Sequence[Rollout], signal: Signal) -> Floats:
    """What each turn was paid, all walks end to end: its process reward, or the outcome where there is none."""
    turns = [len(rollout.decisions) // 2 for rollout in rollouts]
    if signal.dense is None:
        return np.repeat(signal.outcome, turns)
    return signal.dense.values.reshape(sum(turns), -1).sum(axis=1)


def experiment(arm: str, setting: Setting, seed: int) -> Run:
    """Train one policy; its exact success along the way, and whether turns are paid for what they are worth."""
    policy = TabularPolicy()
    paid, credit = make(arm, policy, setting.get("reward_rate", 0.0))
    curve, agreement = list[tuple[float, float]](), list[tuple[float, float]]()

    def play(start: tuple[int, int], policy: TabularPolicy, rng: np.random.Generator) -> Rollout:
        rollout = WALK.play(start, policy, rng)
        if arm != TOKEN:
            return rollout
        return rollout._replace(decisions=[d._replace(part=k) for k, d in enumerate(rollout.decisions)])

    def note(step: int, rollouts: list[Rollout], signal: Signal) -> None:
        values = WALK.values(table_of(WALK, policy))
        curve.append((step * GROUPS * SIZE, _success(values)))
        worth = np.concatenate([WALK.advantages(rollout.sample, values) for rollout in rollouts])
        rewards = turn_rewards(rollouts, signal)
        if min(np.ptp(worth), np.ptp(rewards)) > 0:
            agreement.append((step, float(np.corrcoef(rewards, worth)[0, 1])))

    practice = Practice(steps=STEPS, groups=GROUPS, group_size=SIZE, learning_rate=setting["learning_rate"])
    practise(policy, STARTS, play, paid, practice, credit=credit, seed=seed, on_step=note)
    return Run(
        {
            "episodes": next((x for x, y in curve if y >= TARGET), float(STEPS * GROUPS * SIZE)),
            "success": _success(WALK.values(table_of(WALK, policy))),
            "success while training": float(np.mean([y for _, y in curve])),
            "agreement": float(np.mean([y for _, y in agreement])) if agreement else 0.0,
        },
        {"success": curve, "agreement": agreement},
    )


def _success(values: Floats) -> float:
    return float(np.mean([values[-1, x * WALK.size + y] for x, y in STARTS]))


CLAIM = Claim(
    slug="oprl-istar",
    says="An advantage of each turn from an online implicit reward model, added to that of the episode, matches the outcome "
    "alone in about half of the steps, and is better than rewards of single tokens or rewards that are merged.",
    hypothesis="iStar needs fewer episodes to a success of 0.8 than the outcome alone, succeeds more often while it trains "
    "than with token rewards and than with merged ones, and its turn rewards agree with the true advantage of the turns "
    "more than the outcome does.",
    setup="A grid of 5 by 5 with three pits and a goal in the corner, at most 12 turns, eight starts of 6 to 8 turns away; a "
    "turn is two decisions, an axis and a way, and only the goal pays. The policy is a table over cells that sees "
    "nothing else, untrained at first. 100 steps of 4 groups of 8 walks. The reward model is a table over the same cells, "
    "with β = 0.05 and the sum over turns of the paper. All advantages are leave-one-out: of the episode alone; of episode and "
    "turn (iStar); of episode and decision (token rewards); of outcome and turn rewards together (merged). Every arm "
    "tries six settings: three rates with two of the reward model, or six rates for the outcome alone.",
    arms=ARMS,
    metrics={
        "episodes": f"episodes until the exact success is {TARGET}; {STEPS * GROUPS * SIZE:,} where it never is",
        "success": "exact probability of reaching the goal after training, averaged over the starts",
        "success while training": "the same, averaged over all steps",
        "agreement": "correlation over the turns of a step of what they were paid, the process reward or else the "
        "outcome, with their true advantage; averaged over steps",
    },
    expect=(
        Expect("episodes", STEP, "lower", OUTCOME),
        Expect("success while training", STEP, "higher", TOKEN),
        Expect("success while training", STEP, "higher", MERGED),
        Expect("agreement", STEP, "higher", OUTCOME),
    ),
    experiment=experiment,
    seeds=8,
    first_seed=FRESH_SEED,
    tuning=Tuning(
        [{"learning_rate": rate, "reward_rate": own} for rate in (1.0, 3.0, 10.0) for own in (0.3, 1.0)],
        "success while training",
        seeds=2,
        own={OUTCOME: [{"learning_rate": rate} for rate in (1.0, 2.0, 3.0, 5.0, 10.0, 20.0)]},
    ),
    axes={
        "success": ("episodes", "success"),
        "agreement": ("training step", "correlation with the true advantage"),
    },
    remark="A first run on seeds 0 to 7 let the arms with a reward model try rates up to 3 and the outcome up to 10; each chose "
    "the highest, so the ranges were made more alike and the result is on fresh seeds. There iStar showed no lead: 768 "
    "episodes against 568 of the outcome, success while training 0.814 against 0.813 of merged rewards. So the lead over merged rewards here "
    "isn't robust; it comes from three of eight trainings, two of which never learn to reach the goal. The turn rewards "
    "hardly agree with the true advantage: they are relative to a policy that moves fast, and the reward model, which learns "
    "from the same few pairs, lags behind. Rescaled to the size of the outcome they are noise then. The outcome alone is a good "
    "teacher of a policy with two decisions a turn and a table for each cell.",
)
