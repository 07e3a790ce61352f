"""Goal-conditioned reward model: a contrastive term on its states makes them values of unfinished answers.

"Learning Goal-Conditioned Representations for Language Reward Models", arXiv 2407.13887, repository
vaskarnathscale/goal-conditioned-rm.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from guerdon.claims.harness.claim import Claim, Expect, Run, Setting, Tuning
from guerdon.core.extras import need
from guerdon.core.preferences import Preference
from guerdon.core.samples import Chat
from guerdon.lab.chain_rewards import right_answer
from guerdon.lab.chains import Chain, Chains, solution
from guerdon.lab.characters import character_tokenizer
from guerdon.models.goal_conditioned import filter_generation, partial_position, survivors
from guerdon.models.goal_conditioned_fitting import fit_goal_conditioned
from guerdon.models.goal_conditioned_reward import GoalConditionedReward
from guerdon.models.step_tokens import StepTokens
from guerdon.steer.select import majority_vote

if TYPE_CHECKING:
    from guerdon.models.goal_conditioned_model import GoalConditionedModel

OPERATIONS = 2
WORLD = Chains(OPERATIONS, 5)
PAIRS, TEST, CALIBRATION = 3000, 150, 100
VOTERS, SLIPS = 8, 0.35
BETA = {"preference only": 0.0, "contrastive": 0.5}
SHARES = (0.25, 0.5, 0.75)
Values = list[NDArray[np.float64]]


def problems(rng: random.Random) -> list[Chain]:
    """Different ones, in random order."""
    tasks = WORLD.tasks(4000, rng.getrandbits(32))
    return list(dict.fromkeys(Chain.of(task.chat("")) for task in tasks))


def pair(chain: Chain, rng: random.Random) -> Preference[Chat]:
    """The right solution, and one with a slip in a random line that goes on from there."""
    at = rng.randrange(OPERATIONS)
    wrong = solution(chain, [k == at for k in range(OPERATIONS)], rng)
    task = WORLD.task(chain)
    return Preference(task.chat(solution(chain)), task.chat(wrong))


def sampled(chains: Sequence[Chain], rng: random.Random) -> list[Chat]:
    """`VOTERS` solutions of each, those of one problem together, with slips in any line."""
    return [
        WORLD.task(chain).chat(solution(chain, [rng.random() < SLIPS for _ in chain.operations], rng))
        for chain in chains
        for _ in range(VOTERS)
    ]


def fitted(arm: str, setting: Setting, chains: Sequence[Chain], seed: int) -> GoalConditionedModel:
    """A model fitted to pairs of an arm, its goal from right solutions of the same problems."""
    from guerdon.lab.window_model import WindowModel
    from guerdon.models.goal_conditioned_model import GoalConditionedModel
    from guerdon.models.step_head import StepHead

    rng = random.Random(seed + 1)
    pairs = [pair(rng.choice(chains), rng) for _ in range(PAIRS)]
    tokenizer = character_tokenizer(["0123456789+-*= \nanswer"])
    backbone = WindowModel.new(tokenizer, seed)
    model = GoalConditionedModel(StepHead(backbone, tokenizer, output="rating", seed=seed))
    fit_goal_conditioned(
        model,
        pairs,
        beta=BETA[arm],
        goals=[one.chosen for one in pairs[:CALIBRATION]],
        epochs=3,
        batch_size=32,
        learning_rate=setting["learning_rate"],
        seed=seed,
        options={"use_cpu": True},
    )
    return model


def cosines(model: GoalConditionedModel, samples: Sequence[Chat]) -> Values:
    """Of each token of each sample: how like its state is to the goal."""
    dense = GoalConditionedReward(model, outcome=False, dense="token")(samples).dense
    assert dense is not None
    return np.split(dense.values, dense.offsets[1:-1])


def head_values(model: GoalConditionedModel, samples: Sequence[Chat]) -> Values:
    """Of each token of each sample: what the head of the reward says there, as if it were the last."""
    rows = [
        StepTokens(ids, np.arange(first, len(ids)), tokens.spans)
        for ids, first, tokens in map(model.encode, samples)
    ]
    return model.network.predict(rows)


def auroc(right: Sequence[float], wrong: Sequence[float]) -> float:
    """Probability that a right one has the higher value."""
    labels = [1] * len(right) + [0] * len(wrong)
    return float(need("sklearn.metrics", "claims").roc_auc_score(labels, [*right, *wrong]))


class Sides(NamedTuple):
    """Values of the tokens of right solutions and of wrong ones, in pairs of equal lengths that part at a token."""

    right: Values
    wrong: Values
    parted: Sequence[int]

    def at(self, share: float) -> float:
        """AUROC of the value after a share of the tokens."""
        right, wrong = ([v[partial_position(len(v), share)] for v in side] for side in self[:2])
        return auroc(right, wrong)

    def after(self) -> float:
        """AUROC of the value of single tokens from the wrong result on."""
        right, wrong = (
            np.concatenate([v[at:] for v, at in zip(side, self.parted, strict=True)]) for side in self[:2]
        )
        return auroc(right.tolist(), wrong.tolist())


def sides(values: Values, pairs: Sequence[Preference[Chat]]) -> Sides:
    """Of the values of all chosen samples and then of all rejected ones."""
    parted = [
        next(i for i, (a, b) in enumerate(zip(one.chosen.text, one.rejected.text, strict=True)) if a != b)
        for one in pairs
    ]
    return Sides(values[: len(pairs)], values[len(pairs) :], parted)


def vote(samples: Sequence[Chat], values: Values, threshold: float) -> tuple[float, float]:
    """Share of problems whose vote among unfiltered solutions is right, and share of tokens that the filter saves."""
    right, won, saved = right_answer(samples).outcome, list[float](), list[float]()
    for at in range(0, len(samples), VOTERS):
        left = survivors([filter_generation(v, threshold) for v in values[at : at + VOTERS]])
        winner = majority_vote([samples[at + i].text.rpartition(" ")[2] for i in left.indices])
        assert winner is not None
        won.append(right[at + left.indices[winner.index]])
        saved.append(left.saved)
    return float(np.mean(won)), float(np.mean(saved))


def calibrated(samples: Sequence[Chat], values: Values) -> float:
    """The threshold that saves most, of the deciles of the values, without a lower accuracy of the vote."""
    every = np.concatenate(values)
    base = vote(samples, values, float(every.min()))[0]
    thresholds = np.quantile(every, np.linspace(0.0, 0.9, 10)).tolist()
    found = [(*vote(samples, values, threshold), threshold) for threshold in thresholds]
    return max((saved, threshold) for accuracy, saved, threshold in found if accuracy >= base)[1]


def experiment(arm: str, setting: Setting, seed: int) -> Run:
    """Fit one model to pairs, and ask it about solutions of other problems."""
    rng = random.Random(seed)
    chains = problems(rng)
    tested, known = chains[:TEST], chains[TEST:]
    model = fitted(arm, setting, known, seed)
    pairs = [pair(chain, rng) for chain in tested]
    samples = [one.chosen for one in pairs] + [one.rejected for one in pairs]
    rewards = GoalConditionedReward(model)(samples).outcome
    read, other = (cosines, head_values) if BETA[arm] else (head_values, cosines)
    found, second = (sides(how(model, samples), pairs) for how in (read, other))
    learnt, fresh = sampled(known[:CALIBRATION], rng), sampled(tested, rng)
    values = read(model, fresh)
    accuracy, saved = vote(fresh, values, calibrated(learnt, read(model, learnt)))
    everyone = vote(fresh, values, float(np.concatenate(values).min()))[0]
    return Run(
        {
            "pair accuracy": float(np.mean(rewards[:TEST] > rewards[TEST:])),
            **{f"AUROC {share:.0%}": found.at(share) for share in SHARES},
            "AUROC after the error": found.after(),
            "AUROC 75%, other reading": second.at(0.75),
            "AUROC of the reward": auroc(rewards[:TEST].tolist(), rewards[TEST:].tolist()),
            "tokens saved": saved,
            "vote": accuracy,
            "vote of all": everyone,
        },
        {"AUROC": [(share, found.at(share)) for share in np.linspace(0.1, 1.0, 10).tolist()]},
    )


CLAIM = Claim(
    slug="goal-conditioned-rm",
    says="A contrastive, goal-conditioned term in the loss of a reward model makes its states token-level values that tell "
    "right from wrong unfinished answers, at no cost to the reward.",
    hypothesis="With the term the reward ranks pairs as well as without; the cosine to the goal after half and three "
    "quarters of the tokens tells right solutions from wrong ones better than the head of a plain reward model does; and it "
    "falls after the wrong step.",
    setup="Chains of two operations modulo 5, a line a step; chosen is the right solution, rejected the same with a slip in a "
    "random line, from which it goes on. Reward models over characters are fitted to 3,000 pairs, three times each, with a "
    "weight of the contrastive term of 0 or 0.5; 16 positive and 16 negative samples; judged on 150 problems that aren't "
    "among those of the pairs. The backbone isn't a transformer: a window of six characters and the maximum of each feature so far. "
    "The value of a token is what the head says there for the plain reward model, which it was taught at the last token "
    "alone, and the cosine to the mean last state of 100 right solutions with the term. Filter: 8 solutions a problem that slip in a "
    "line with probability 0.35; the threshold is that which saves most at no lower vote on 100 problems of the training.",
    arms=tuple(BETA),
    metrics={
        "pair accuracy": "share of pairs in which the right solution has the higher reward",
        "AUROC 25%": "probability that a right solution has the higher value than a wrong one, at the token that ends the first "
        "quarter; about 0.75 is possible, since only slips in the first line can be seen",
        "AUROC 50%": "the same at half of the tokens; about 0.75 is possible",
        "AUROC 75%": "the same at three quarters, where every slip can be seen",
        "AUROC after the error": "probability that a single token of a right solution has a higher value than one of a wrong "
        "solution, from the wrong result on",
        "AUROC 75%, other reading": "AUROC 75% by the cosine for the plain reward model, and by the head with the term",
        "AUROC of the reward": "probability that a right solution has a higher reward than a wrong one of any problem",
        "tokens saved": "share of tokens behind the fifth that the filter saves",
        "vote": "share of problems where the vote of the solutions that the filter leaves is right",
        "vote of all": "share of problems where the vote of all 8 solutions is right",
    },
    expect=(
        Expect("pair accuracy", "contrastive", "no_lower", "preference only", margin=0.03),
        Expect("AUROC 50%", "contrastive", "higher", "preference only", margin=0.02),
        Expect("AUROC 75%", "contrastive", "higher", "preference only", margin=0.02),
        Expect("AUROC after the error", "contrastive", "higher", 0.5, margin=0.2),
    ),
    experiment=experiment,
    tuning=Tuning([{"learning_rate": rate} for rate in (5e-3, 1e-2)], "pair accuracy", seeds=2),
    axes={"AUROC": ("share of the tokens", "AUROC of the value there")},
    remark="The reward loses nothing, but how good the values are differs much from seed to seed: the cosine at three quarters "
    "has an AUROC of 0.90 and 0.99 on two seeds and 0.59 to 0.71 on the others, where the plain reward model has 0.63 to 0.75; on "
    "two seeds the term is worse. Both arms were given the rate of 0.01, which tuning chose by the pairs, and by the pairs neither is "
    "learnt wholly in 282 steps. Not decided beforehand: with the term the head at three quarters is better than that of the plain "
    "reward model on every seed, and so is the reward across problems, perhaps because a loss of pairs leaves an offset for each problem free "
    "and the term doesn't. A Llama of two layers, tried first on one seed at one rate, got 0.52 of the pairs right "
    "without the term and 0.66 with it after 188 steps; so this says nothing about transformers.",
)
