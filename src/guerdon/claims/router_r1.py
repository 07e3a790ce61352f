"""Router-R1: asking other models in several rounds beats the best of them, and a price buys cheaper answers.

Haozhen Zhang, Tao Feng, Jiaxuan You, "Router-R1: Teaching LLMs Multi-Round Routing and Aggregation via
Reinforcement Learning", arXiv 2506.09033, repository ulab-uiuc/Router-R1.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import cache, partial

import numpy as np

from guerdon.agents.tool import Tool, answer_calls, as_tools
from guerdon.claims.harness.claim import Claim, Expect, Run, Setting, Tuning
from guerdon.core.algebra import gate
from guerdon.core.function import reward
from guerdon.core.messages import Message, message_text
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal
from guerdon.core.tagged import first
from guerdon.lab.model_routing import ModelRouting
from guerdon.lab.tabular import Decision, Practice, Rollout, TabularPolicy, practise
from guerdon.lab.world import Task
from guerdon.shape.percentile import PercentileNormalize
from guerdon.verify.qa import QuestionAnswer
from guerdon.verify.routing import RoutedAnswer
from guerdon.verify.routing_format import RoutingFormat

ROUNDS = 4
STEPS, EVERY = 100, 10
TASKS, PROBES, FRESH = 400, 200, 1000
FREE, PRICED, DEAR = "α = 0", "α = 0.6", "α = 0.9"
ANYWAY, SINGLE, BEST = "α = 0.9, cost of wrong answers too", "one call, α = 0", "best expert"
ALPHA = {FREE: 0.0, PRICED: 0.6, DEAR: 0.9, ANYWAY: 0.9, SINGLE: 0.0}
THOUGHT = "<think>An expert knows.</think>\n"


@cache
def world() -> ModelRouting:
    """Four experts that cost 1 to 10."""
    return ModelRouting(experts=4, price_spread=10.0)


@cache
def tools() -> dict[str, Tool]:
    """The experts as tools."""
    return as_tools(world().tools)


@cache
def consult(expert: str, question: str) -> tuple[Message, Message]:
    """The turn that asks an expert, and what comes back: the same for equal questions, and asked many times."""
    call = {"type": "function", "function": {"name": expert, "arguments": {"question": question}}}
    turn = {"role": "assistant", "content": THOUGHT, "tool_calls": [call]}
    (told,) = answer_calls(turn, tools())
    return turn, told


@reward
def cheapness(sample: Chat) -> float:
    """Minus the root of the cost."""
    return -math.sqrt(sample.extra["cost"])


def make_reward(arm: str) -> Reward:
    """The reward of an arm that is trained."""
    alpha = ALPHA[arm]
    if arm != ANYWAY:
        return RoutedAnswer(alpha=alpha)
    answer = QuestionAnswer("em", extract="last")
    both = (1 - alpha) * answer + alpha * (cheapness | PercentileNormalize())
    return gate(both, by=RoutingFormat(), threshold=-1.0, otherwise=-1.0)


def play(task: Task, policy: TabularPolicy, rng: np.random.Generator, rounds: int = ROUNDS) -> Rollout:
    """Ask experts until the policy answers: what most of them said, of equals what was said first.

    Its last choice is to answer and then go on talking, which breaks the form.
    """
    experts = world().experts
    answer_now, go_on_talking = len(experts), len(experts) + 1
    said, turns, decisions, ending = dict[str, str](), list[Message](), list[Decision](), ""
    for _ in range(rounds):
        state = (task.extra["topic"], tuple(sorted(said)), len(set(said.values())) < len(said))
        choice = policy.choose(state, len(experts) + 2, rng)
        decisions.append(Decision(state, choice))
        if choice >= answer_now:
            ending = "\nI hope this helps." if choice == go_on_talking else ""
            break
        turn, told = consult(experts[choice], task.extra["question"])
        turns += [turn, told]
        said[experts[choice]] = _informed(message_text(told))
    year = Counter(said.values()).most_common(1)[0][0] if said else "unknown"
    turns.append({"role": "assistant", "content": f"{THOUGHT}<answer>{year}</answer>{ending}"})
    return Rollout(world().measured(task.chat(turns)), decisions)


def _informed(text: str) -> str:
    block = first(text, "information")
    assert block is not None
    return block.inner(text)


def measure(
    policy: TabularPolicy, tasks: Sequence[Task], rng: np.random.Generator, rounds: int
) -> dict[str, float]:
    """What the policy does on tasks."""
    samples = [play(task, policy, rng, rounds).sample for task in tasks]
    checks = [world().check(sample) for sample in samples]
    cheapest = {world().experts[0]}
    return {
        "accuracy": float(np.mean([check.solved for check in checks])),
        "cost": float(np.mean([sample.extra["cost"] for sample in samples])),
        "calls": float(np.mean([len(check.asked) for check in checks])),
        "cheapest only": float(np.mean([set(check.asked) <= cheapest for check in checks])),
        "malformed": float(np.mean(RoutingFormat()(samples).outcome < 0)),
    }


def best_expert(tasks: Sequence[Task]) -> TabularPolicy:
    """The policy that always asks the one expert that is right most often on `tasks`."""
    right = [
        sum(world().ask(expert, task.extra["question"]) == task.reference for task in tasks)
        for expert in world().experts
    ]
    return TabularPolicy(lambda state, options: 100.0 * (np.arange(options) == np.argmax(right)))


def experiment(arm: str, setting: Setting, seed: int) -> Run:
    """Train one policy and measure it on fresh questions; nothing is trained for `best expert`."""
    rounds = 1 if arm in (SINGLE, BEST) else ROUNDS
    train, fresh = world().tasks(TASKS, 2 * seed), world().tasks(FRESH, 2 * seed + 1)
    policy, rng = TabularPolicy(), np.random.default_rng([seed, 1])
    accuracy, cost = list[tuple[float, float]](), list[tuple[float, float]]()

    def note(step: int, rollouts: list[Rollout], signal: Signal) -> None:
        if step % EVERY == 0:
            found = measure(policy, fresh[:PROBES], rng, rounds)
            accuracy.append((step, found["accuracy"]))
            cost.append((step, found["cost"]))

    if arm == BEST:
        policy = best_expert(train)
    else:
        practice = Practice(steps=STEPS, groups=16, group_size=8, learning_rate=setting["learning_rate"])
        played = partial(play, rounds=rounds)
        practise(policy, train, played, make_reward(arm), practice, seed=seed, on_step=note)
    metrics = measure(policy, fresh, rng, rounds)
    accuracy.append((STEPS, metrics["accuracy"]))
    cost.append((STEPS, metrics["cost"]))
    return Run(metrics, {"accuracy": accuracy, "cost": cost})


CLAIM = Claim(
    slug="router-r1",
    says="A policy that routes a question to other models in several rounds is more accurate than routers that ask once, "
    "and a price on right answers lowers the cost for little accuracy.",
    hypothesis="Without a price, several rounds are more accurate than the one call of an otherwise equal policy. With "
    "α = 0.6 a question costs at least 1 less and accuracy falls by less than 0.05. Where the cost of wrong answers counts "
    "too, the policy goes for what is cheapest instead of what is right.",
    setup="Questions of four topics; four experts that cost 1 to 10, each right on its own topic with probability 0.9 and "
    "else with 0.2 (the cheapest) to 0.7 (the dearest). A softmax over six choices for each topic, set of experts asked so "
    "far and whether two of them agree: ask one of the four, answer, or answer and talk on, which breaks the form. The "
    "answer is what most said. `router_r1` with exact match, at most 4 calls, 100 steps of GRPO (in the place of PPO) with "
    "16 groups of 8. The arm where wrong answers pay too is (1 − α) · qa + α · C behind the same gate on form; `best "
    "expert` always asks the one that did best on the training questions.",
    arms=(FREE, PRICED, DEAR, ANYWAY, SINGLE, BEST),
    metrics={
        "accuracy": "share of right answers to 1,000 fresh questions",
        "cost": "mean price of the calls for a question; the cheapest expert costs 1, the dearest 10",
        "calls": "mean number of calls a question",
        "cheapest only": "share of questions on which nobody or only the cheapest expert was asked",
        "malformed": "share of trajectories with a mistake in form",
    },
    expect=(
        Expect("accuracy", FREE, "higher", SINGLE),
        Expect("cost", PRICED, "lower", FREE, margin=1.0),
        Expect("accuracy", PRICED, "no_lower", FREE, margin=0.05),
        Expect("accuracy", ANYWAY, "lower", DEAR, margin=0.1),
    ),
    experiment=experiment,
    tuning=Tuning([{"learning_rate": rate} for rate in (1.0, 3.0, 10.0)], "accuracy"),
    axes={
        "accuracy": ("training step", "share of right answers"),
        "cost": ("training step", "price of the calls for a question"),
    },
    remark="The price more than halves the cost, but it lost 0.09 of accuracy, more than was allowed, though not on every seed "
    "equally: where only the dearest expert knows a topic, the policy mostly settled for a cheaper one that knows less. α = 0.9 "
    "did no more than α = 0.6. A likely reason, not tested: GRPO divides by the spread within a question, so where a cheap and "
    "a dear expert are both right the difference in price counts in full whatever α is; the paper uses PPO. Several rounds gain "
    "0.01 over one call, for more than twice the cost, since experts are right on their own topic with 0.9 and the "
    "policy knows the topic. Nearly all of the gain over the best expert is choosing by topic. With wrong answers paid "
    "too, the cheapest is to ask nobody.",
)
