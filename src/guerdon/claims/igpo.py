"""IGPO: paying each turn for what it adds to the belief in the answer teaches an agent to ask faster than the outcome.

Guoqing Wang et al., "Information Gain-based Policy Optimization: A Simple and Effective Approach for Multi-Turn LLM
Agents", arXiv 2510.14967, repository GuoqingWang1/IGPO.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.claims.harness.claim import FRESH_SEED, Claim, Expect, Run, Setting, Tuning
from guerdon.core.context import Context
from guerdon.core.dense import Dense
from guerdon.core.messages import message_text
from guerdon.core.reward import Reward, Scope
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal
from guerdon.credit import Estimator, TurnGroupRelative, answer_belief, grpo, information_gain
from guerdon.lab.tabular import Decision, Practice, Rollout, TabularPolicy, practise
from guerdon.verify.tagged_answer import TaggedAnswerF1

NAMES = (
    *("ant", "bat", "cow", "dog", "eel", "fox", "gnu", "hen"),
    *("ibis", "jay", "koi", "lynx", "mole", "newt", "owl", "pig"),
)
BITS = 4
QUESTIONS = 12  # the first four ask for a bit of the answer's number, the others for nothing that helps
TURNS = 5
FITTING = 2.0  # logit of an answer that fits what is known, before training
STEPS, EARLY = 150, 20
UNKNOWN = "?" * BITS
OUTCOME, RELEASED = "outcome only", "IGPO released"
ESTIMATORS: Mapping[str, Estimator] = {
    "IGPO": TurnGroupRelative(discount=1.0),
    "IGPO γ=0.5": TurnGroupRelative(discount=0.5),
    "IGPO γ=0": TurnGroupRelative(discount=0.0),
    RELEASED: TurnGroupRelative(pool="positions"),
    OUTCOME: grpo(),
}


def reply(answer: int, question: int) -> str:
    """What the tool says."""
    return f"bit {question} is {answer >> question & 1}" if question < BITS else "no idea"


def read(known: str, text: str) -> str:
    """What is known of the bits after a tool said `text`."""
    found = re.fullmatch(r"bit (\d) is ([01])", text)
    if found is None:
        return known
    place = int(found[1])
    return known[:place] + found[2] + known[place + 1 :]


def prior(state: Any, options: int) -> NDArray[np.float64]:
    """The untrained policy asks anything, and reads what it was told a little."""
    kind, known = state
    if kind == "ask":
        return np.zeros(options)
    fits = [
        all(bit in ("?", str(answer >> place & 1)) for place, bit in enumerate(known))
        for answer in range(options)
    ]
    return FITTING * np.array(fits)


def play(answer: int, policy: TabularPolicy, rng: np.random.Generator) -> Rollout:
    """Ask five questions, then name the answer."""
    known, messages, decisions = UNKNOWN, list[dict[str, Any]](), list[Decision]()
    for turn in range(TURNS):
        state = ("ask", re.sub(r"\d", "x", known))
        question = policy.choose(state, QUESTIONS, rng)
        said = reply(answer, question)
        known = read(known, said)
        decisions.append(Decision(state, question, turn))
        messages += [
            {"role": "assistant", "content": f"<tool_call>question {question}</tool_call>"},
            {"role": "tool", "content": said},
        ]
    named = policy.choose(("answer", known), len(NAMES), rng)
    decisions.append(Decision(("answer", known), named, TURNS))
    messages.append({"role": "assistant", "content": f"<answer>{NAMES[named]}</answer>"})
    return Rollout(Chat("Which animal is it?", messages, reference=NAMES[answer]), decisions)


class BeliefGain(Reward):
    """Turn rewards: by how much each tool result raised the policy's probability of the true answer."""

    name = "belief_gain"
    scope: Scope = "batch"

    def __init__(self, policy: TabularPolicy) -> None:
        self._policy = policy

    def score_batch(self, samples: Sequence[Chat], context: Context) -> Signal:
        logprobs, offsets = list[float](), [0]
        for sample in samples:
            known = UNKNOWN
            logprobs.append(self._log_probability(sample, known))
            for message in sample.completion_messages:
                if message["role"] == "tool":
                    known = read(known, message_text(message))
                    logprobs.append(self._log_probability(sample, known))
            offsets.append(len(logprobs))
        beliefs = answer_belief(np.array(logprobs), np.arange(len(logprobs) + 1))
        gains, bounds = information_gain(beliefs, np.array(offsets))
        return Signal(np.zeros(len(samples)), dense=Dense(gains, bounds, None, "turn"))

    def _log_probability(self, sample: Chat, known: str) -> float:
        probabilities = self._policy.probabilities(("answer", known), len(NAMES))
        return float(np.log(probabilities[NAMES.index(sample.reference)]))


class BetweenTools(Estimator):
    """`inner` over rows in which tool output, outside the mask, follows every decision, as it does in a real rollout.

    `silent` holds, for each call, the share of groups whose advantages are all 0.
    """

    def __init__(self, inner: Estimator) -> None:
        self.inner, self.silent = inner, list[float]()

    def __call__(
        self,
        signal: Signal,
        groups: NDArray[np.integer[Any]],
        mask: NDArray[Any],
        spans: NDArray[np.integer[Any]] | None = None,
    ) -> NDArray[np.floating[Any]]:
        wide = np.zeros((mask.shape[0], 2 * mask.shape[1]), dtype=bool)
        wide[:, ::2] = mask
        moved = None if spans is None else 2 * spans - np.array([0, 1])
        advantages = self.inner(signal, groups, wide, moved)[:, ::2]
        moving = np.unique(groups[np.any(advantages != 0, axis=1)])
        self.silent.append(1.0 - moving.size / np.unique(groups).size)
        return advantages


def experiment(arm: str, setting: Setting, seed: int) -> Run:
    """Train one policy and measure it on fresh questions."""
    policy, credit = TabularPolicy(prior), BetweenTools(ESTIMATORS[arm])
    named = TaggedAnswerF1()
    paid = named if arm == OUTCOME else named + BeliefGain(policy)
    successes = list[float]()

    def note(step: int, rollouts: list[Rollout], signal: Signal) -> None:
        successes.append(float(np.mean([_success(r) for r in rollouts])))

    practice = Practice(steps=STEPS, groups=8, group_size=8, learning_rate=setting["learning_rate"])
    practise(policy, range(len(NAMES)), play, paid, practice, credit=credit, seed=seed, on_step=note)
    rng = np.random.default_rng([seed, 1])
    rollouts = [play(int(answer), policy, rng) for answer in rng.integers(len(NAMES), size=1000)]
    learned = [len({d.choice for d in r.decisions[:TURNS] if d.choice < BITS}) for r in rollouts]
    return Run(
        {
            "success": float(np.mean([_success(r) for r in rollouts])),
            "success while training": float(np.mean(successes)),
            "silent groups": float(np.mean(credit.silent[:EARLY])),
            "bits": float(np.mean(learned)),
        },
        {"success": [(s, float(np.mean(successes[s : s + 5]))) for s in range(0, STEPS, 5)]},
    )


def _success(rollout: Rollout) -> bool:
    return NAMES[rollout.decisions[-1].choice] == rollout.sample.reference


CLAIM = Claim(
    slug="igpo",
    says="Turn rewards for the gain in belief in the true answer train a multi-turn agent better and with fewer samples "
    "than the outcome alone.",
    hypothesis="IGPO succeeds more often while it trains than GRPO on the outcome, isn't worse at the end, and early "
    "on fewer of its groups are without any advantage.",
    setup="One of 16 animals is hidden. Five questions, each one of twelve: four tell a bit of the animal's number, eight "
    "tell nothing; then the answer. A softmax over the questions for each set of known bits, and one over the "
    "animals for what is known, which at first prefers the animals that fit by 2 logits. 150 steps of 8 groups of "
    "8. A turn is paid by the rise of the policy's own probability of the true animal, the last by the F1 of the answer. "
    "IGPO pools all turns of a group and sums z-scores to the end with γ = 1; `IGPO released` is the estimator of the "
    "repository, whose sums stop at tool output.",
    arms=tuple(ESTIMATORS),
    metrics={
        "success": "share of right answers on 1,000 fresh questions after training",
        "success while training": "share of right answers over all rollouts of training",
        "silent groups": "share of groups in the first 20 steps whose advantages are all 0",
        "bits": "how many of the 4 bits are asked for, on the fresh questions",
    },
    expect=(
        Expect("success while training", "IGPO", "higher", OUTCOME, margin=0.02),
        Expect("success", "IGPO", "no_lower", OUTCOME, margin=0.03),
        Expect("silent groups", "IGPO", "lower", OUTCOME, margin=0.05),
    ),
    experiment=experiment,
    seeds=6,
    first_seed=FRESH_SEED,
    # Where nothing is divided by a std advantages are small, so that arm tries larger rates. For the others they saturate
    # the softmax: many runs of IGPO and of the baseline then never ask the fourth question, and few seeds can't rank them.
    tuning=Tuning(
        [{"learning_rate": rate} for rate in (0.25, 0.5, 1.0, 2.0)],
        "success while training",
        own={RELEASED: [{"learning_rate": rate} for rate in (1.0, 2.0, 4.0, 8.0)]},
    ),
    axes={"success": ("training step", "share of right answers")},
    remark="The range of learning rates was changed after two runs on other seeds: with a grid up to 8 and 100 steps both "
    "were inconclusive, because where a large rate was chosen the softmax saturated and many policies stopped at three of "
    "the four questions (of the baseline's 3 in 5 and 6 in 10, of IGPO's none in 5 and 8 in 10). So the result is about "
    "rates at which nothing saturates, and is measured on seeds that no earlier run used. The untrained policy can already "
    "read what it is told; without that the belief, and so the turn reward, says nothing at first.",
)
