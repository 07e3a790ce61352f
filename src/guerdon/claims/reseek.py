"""ReSeek: paying a search agent for judging what it found makes it judge better, and answer better for that.

Shiyu Li, Yang Tang, Yifan Wang, Peiming Li, Xi Chen, "ReSeek: A Self-Correcting Framework for Search Agents with
Instructive Rewards", arXiv 2510.00568, repository TencentBAC/ReSeek.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.claims.harness.claim import FRESH_SEED, Claim, Expect, Run, Setting, Tuning
from guerdon.core.messages import Message
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal
from guerdon.lab.tabular import Decision, Practice, Rollout, TabularPolicy, practise
from guerdon.lab.two_hop import RELATIONS, TwoHop
from guerdon.lab.world import Task
from guerdon.verify.judged_search import JudgedSearch, find_judgements
from guerdon.verify.qa import QuestionAnswer
from guerdon.verify.trajectory import trajectory

BUDGET = 6
LOSS = 0.5
WARM = 1.0  # logit by which the untrained policy prefers what is sensible
STEPS, CURVE = 60, 3
TASKS, FRESH = 64, 1000  # of each number of hops, in training and after it
ASK, OTHER_RELATION, OTHER_THING = range(3)
OUTCOME = "outcome only"
REWARDS: Mapping[str, Reward] = {
    "ReSeek": JudgedSearch(),
    "ReSeek mean": JudgedSearch(aggregate="mean"),
    "ReSeek similarity": JudgedSearch("similarity"),
    OUTCOME: QuestionAnswer(extract="last"),
}
_FACTS = [re.compile(re.escape(r.fact).replace(r"\{\}", "(.+)")) for r in RELATIONS]
_WORDS = [relation.query.format("").strip() for relation in RELATIONS]


@cache
def world(hops: int) -> TwoHop:
    """Questions over one corpus, in which four people share each family name; a search returns one fact."""
    return TwoHop(facts=80, distractors=3, hops=hops, results=1)


@cache
def search(query: str) -> str:
    """What the tool says; it is asked the same many times."""
    return world(1).search(query)


def read(information: str) -> tuple[str, str]:
    """Subject and object of the fact that a search returned."""
    line = information.splitlines()[1].split(" ", 1)[1]
    return next((found[1], found[2]) for fact in _FACTS if (found := fact.fullmatch(line)))


def prior(state: Any, options: int) -> NDArray[np.float64]:
    """The untrained policy leans to the query that is asked for, to the right judgement and to answering in time."""
    right = int(all(state[3:])) if state[0] == "judge" else ASK
    return WARM * (np.arange(options) == right)


def write_query(kind: int, subject: str, relation: str, rng: np.random.Generator) -> str:
    """As the question asks, for another relation of its subject, or for another thing."""
    if kind == OTHER_RELATION:
        relation = str(rng.choice([word for word in _WORDS if word != relation]))
    if kind == OTHER_THING:
        subject = str(rng.choice([name for names in world(1).names.values() for name in names]))
    return f"{subject} {relation}"


def play(task: Task, policy: TabularPolicy, rng: np.random.Generator) -> Rollout:
    """Search, judge, keep what was judged useful and go on from it, until there is an answer or no search is left."""
    relations = [query.rsplit(" ", 1)[1] for query in task.extra["queries"]]
    chain = [task.extra["queries"][0].rsplit(" ", 1)[0]]
    messages, decisions, judge = list[Message](), list[Decision](), ""
    for _ in range(BUDGET):
        hop, missing = min(len(chain), len(relations)) - 1, len(relations) + 1 - len(chain)
        state = ("query", missing, relations[hop])
        decisions.append(Decision(state, policy.choose(state, 3, rng)))
        query = write_query(decisions[-1].choice, chain[hop], relations[hop], rng)
        information = search(query.split(" ", 1)[1] if rng.random() < LOSS else query)
        subject, found = read(information)
        state = ("judge", missing, relations[hop], subject == chain[hop], relations[hop] in information)
        decisions.append(Decision(state, policy.choose(state, 2, rng)))
        messages += [
            {"role": "assistant", "content": f"{judge}<search>{query}</search>"},
            {"role": "tool", "content": information},
        ]
        judge = "<judge>No</judge>"
        if decisions[-1].choice:
            judge, chain = "<judge>Yes</judge>", [*chain[: hop + 1], found]
        if len(chain) > len(relations):
            decisions.append(Decision(("go on",), policy.choose(("go on",), 2, rng)))
            if not decisions[-1].choice:
                break
    messages.append({"role": "assistant", "content": f"{judge}<answer>{chain[-1]}</answer>"})
    return Rollout(with_similarities(task.chat(messages)), decisions)


def with_similarities(sample: Chat) -> Chat:
    """With what a reranker that is never wrong would say of each search."""
    results = [m["content"] for m in sample.completion_messages if m["role"] == "tool"]
    similarities = [float(sample.reference[0] in text) for text in results]
    return Chat(
        sample.prompt,
        sample.completion,
        sample.reference,
        extra={**sample.extra, "similarities": similarities},
    )


def pay_of_padding(reward: Reward, task: Task) -> float:
    """What one more search and Yes adds to a solution that needs none."""
    first, rest = list(task.solution[:-3]), list(task.solution[-3:])
    judged = {**rest[0], "content": "<judge>Yes</judge>"}
    padded = [*first, *rest[:2], *[judged, rest[1]] * 3, rest[2]]
    plain, longer = reward([with_similarities(task.chat(turns)) for turns in (task.solution, padded)]).outcome
    return float(longer - plain) / 3


def measure(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """What came of the questions, and how the searches were judged."""
    right, accurate = list[bool](), list[bool]()
    searches, needless = list[int](), list[int]()
    for sample in (rollout.sample for rollout in rollouts):
        right.append(world(1).check(sample).answer)
        judged = find_judgements(trajectory(sample))
        evidence = sample.extra["evidence"]
        accurate += [one.yes == any(fact in one.information for fact in evidence) for one in judged]
        came = [[fact in one.information for one in judged] for fact in evidence]
        searches.append(len(judged))
        needless.append(len(judged) - 1 - max(c.index(True) for c in came) if all(map(any, came)) else 0)
    return {
        "EM": float(np.mean(right)),
        "judge accuracy": float(np.mean(accurate)),
        "searches": float(np.mean(searches)),
        "needless searches": float(np.mean(needless)),
    }


def experiment(arm: str, setting: Setting, seed: int) -> Run:
    """Train one policy and measure it on fresh questions."""
    policy, reward, found = TabularPolicy(prior), REWARDS[arm], list[dict[str, float]]()

    def note(step: int, rollouts: list[Rollout], signal: Signal) -> None:
        found.append(measure(rollouts))

    practice = Practice(steps=STEPS, groups=8, group_size=8, learning_rate=setting["learning_rate"])
    tasks = [task for hops in (1, 2) for task in world(hops).tasks(TASKS, 2 * seed)]
    practise(policy, tasks, play, reward, practice, seed=seed, on_step=note)
    rng = np.random.default_rng([seed, 1])
    fresh = [task for hops in (1, 2) for task in world(hops).tasks(FRESH, 2 * seed + 1)]
    curves = {
        name: [
            (s, float(np.mean([one[name] for one in found[s : s + CURVE]]))) for s in range(0, STEPS, CURVE)
        ]
        for name in ("EM", "judge accuracy", "searches")
    }
    rollouts = [play(task, policy, rng) for task in fresh]
    metrics = measure(rollouts)
    metrics["EM two hops"] = measure(rollouts[FRESH:])["EM"]
    for name in ("EM", "judge accuracy"):
        metrics[f"{name} while training"] = float(np.mean([one[name] for one in found]))
    return Run({**metrics, "pay of padding": pay_of_padding(reward, fresh[-1])}, curves)


CLAIM = Claim(
    slug="reseek",
    says="Rewarding an agent for judging each search result rightly lets it drop what misleads, and answer better.",
    hypothesis="With the substring reward for judgements added to the outcome more judgements and answers are right "
    "while the agent learns, and after training no fewer answers.",
    setup="Questions of one and two hops over 80 facts in which four people share each family name. The agent asks (for "
    "what is needed, another relation, or another thing), the index returns one fact, and with probability 0.5 loses "
    "the first word of the query, so that the fact is mostly about somebody else. Then the agent judges: after Yes the "
    "fact is believed and read, after No dropped. Up to 6 searches; once it has an answer it gives it or goes on. "
    "Softmax over the choices for each number of missing facts and relation and, of a judgement, whether the fact's subject and "
    "relation are those asked for; at first 1 logit in favour of what is sensible. 60 steps of GRPO with 8 groups of 8. "
    "ReSeek is the substring rule with the paper's sum over judgements, `mean` bounds it, `similarity` is the rule for a "
    "reranker, here one that is never wrong.",
    arms=tuple(REWARDS),
    metrics={
        "EM": "share of right answers on 2,000 fresh questions, half of them of two hops",
        "EM two hops": "that share on the questions of two hops",
        "judge accuracy": "share of judgements that say Yes to a fact that the answer follows from and No to others",
        "searches": "mean number of searches a question",
        "EM while training": "share of right answers over all rollouts of training",
        "judge accuracy while training": "share of right judgements, as a mean over the steps of training",
        "needless searches": "mean number of searches after every needed fact was found",
        "pay of padding": "reward that one more search, judged Yes, adds to a solved question",
    },
    expect=(
        Expect("judge accuracy while training", "ReSeek", "higher", OUTCOME, margin=0.02),
        Expect("EM while training", "ReSeek", "higher", OUTCOME, margin=0.02),
        Expect("EM", "ReSeek", "no_lower", OUTCOME, margin=0.03),
    ),
    experiment=experiment,
    first_seed=FRESH_SEED,
    tuning=Tuning([{"learning_rate": rate} for rate in (1.0, 3.0, 10.0)], "EM while training"),
    axes={
        "EM": ("training step", "share of right answers"),
        "judge accuracy": ("training step", "share of right judgements"),
        "searches": ("training step", "searches a question"),
    },
    remark="The pay for judgements didn't help here, and its sum was exploited. A judgement has consequences: who "
    "believes a wrong fact answers wrongly, so the outcome alone teaches to judge. The sum pays 0.4 for each further "
    "search with a Yes before a right answer, and 0.3 for a No to a fact that doesn't hold the answer, though a question "
    "of two hops goes on from it. Agents trained by it made nearly all 6 searches, 3 of them needless; with the mean next "
    "to none was. Two things were changed on the way. One trial an arm of a first version, with 100 steps, states without "
    "the relation and the expectations on what is measured after training, showed all arms at an EM of 0.92 to 0.94, so "
    "the world was made harder and training itself became the measure. A whole run of this version with rates of 0.3, 1 "
    "and 3 didn't hold either, but all arms chose 3, so the rates were moved up and the seeds are fresh; most arms now "
    "choose 10, the end again, where results vary between seeds. A table reads perfectly what a fact is about; whether "
    "the reward helps a language model that doesn't, this can't show.",
)
