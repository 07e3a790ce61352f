"""Reasoning-SQL: partial rewards let a text-to-SQL policy leave zero earlier than the result of the query alone.

Mohammadreza Pourreza et al., "Reasoning-SQL: Reinforcement Learning with SQL Tailored Partial Rewards for
Reasoning-Enhanced Text-to-SQL", arXiv 2503.23157.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from guerdon.claims.harness.claim import FRESH_SEED, Claim, Expect, Run, Setting, Tuning
from guerdon.core.algebra import gate
from guerdon.core.context import Context
from guerdon.core.messages import message_text
from guerdon.core.recipe import load_reward
from guerdon.core.reward import Reward, Scope
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal
from guerdon.lab.tabular import Decision, Practice, Rollout, TabularPolicy, practise
from guerdon.lab.text_to_sql import SCHEMAS, SECONDS, TEMPLATES, TextToSql
from guerdon.lab.world import Task
from guerdon.verify.sql import QueryError, SqlExecution, SqlSchemaLinking, database_from_script, extract_sql

# What the policy can write in each place, and the text by whose presence in the right query the untrained policy leans
# to it; every query has a SELECT.
SELECT = {
    **{column: column for column in ("{name}", "{kind}", "{item}", "{number}")},
    **{f"{f}({{number}})": f"{f}(" for f in ("MAX", "MIN", "SUM")},
    "COUNT(*)": "COUNT(",
}
NEXT = {"": "SELECT", **SELECT}
FROM = {
    "{parent}": "FROM {parent}",
    "{child}": "FROM {child}",
    "{child} JOIN {parent} ON owner_id = {parent}.id": "JOIN",
    "{child}, {parent}": "no query has this",
}
WHERE = {
    "": "SELECT",
    " WHERE {number} > {amount}": "{number} >",
    " WHERE {number} < {amount}": "{number} <",
    " WHERE {kind} = '{value}'": "{kind} =",
    " WHERE {name} = '{person}'": "{name} =",
}
GROUP = {"": "SELECT", **{f" GROUP BY {c}": f"GROUP BY {c}" for c in ("{name}", "{kind}", "{item}")}}
_TAGGED = "<reasoning>\nI query the database.\n</reasoning>\n<answer>\n```sql\n{query}\n```\n</answer>"
FORM: Mapping[str, str] = dict.fromkeys(
    (_TAGGED + "\n", _TAGGED, "```sql\n{query}\n```", "The query is {query}"), "SELECT"
)
QUERIES = dict(chain.from_iterable(TEMPLATES.values()))
MAX_COLUMNS = 6
LEAN = 1.5
QUESTIONS, STEPS, EVERY = 150, 120, 5
ALL, ONLY_EXECUTION, RECALL, JACCARD = (
    "all rewards",
    "execution only",
    "schema recall only",
    "schema Jaccard only",
)


class Question(NamedTuple):
    """A task and what the policy reads in it: which question it is, and the words that its blanks stand for."""

    task: Task
    asked: str
    blanks: Mapping[str, str]


class RowOverlap(Reward):
    """Stands in for the model that grades a query: 2 · F1 of the rows that it and the right query return."""

    name = "row_overlap"
    uses_context = False

    def score(self, sample: Chat, context: Context) -> float:
        with database_from_script(sample.extra["schema"], "sqlite", SECONDS) as database:
            wanted = Counter(database.rows(sample.reference))
            try:
                found = Counter(database.rows(extract_sql(sample.final)))
            except QueryError:
                return 0.0
        rows = wanted.total() + found.total()
        return 4.0 * (wanted & found).total() / rows if rows else 2.0


class Remembered(Reward):
    """`part`, computed once for equal answers to one question: a policy repeats itself, and databases are slow."""

    name = "remembered"
    scope: Scope = "batch"

    def __init__(self, part: Reward) -> None:
        self._part = part
        self._known: dict[tuple[str, str, str], float] = {}

    def score_batch(self, samples: Sequence[Chat], context: Context) -> Signal:
        keys = [(sample.extra["schema"], sample.reference, sample.final) for sample in samples]
        new = {key: sample for key, sample in zip(keys, samples, strict=True) if key not in self._known}
        if new:
            self._known.update(zip(new, self._part(list(new.values()), context).outcome, strict=True))
        return Signal(np.array([self._known[key] for key in keys]))


@cache
def make_reward(arm: str) -> Reward:
    """The reward of an arm; trials share it and what it remembers, since they share the questions."""
    if arm == ONLY_EXECUTION:
        return Remembered(SqlExecution())
    if arm in (RECALL, JACCARD):
        return Remembered(SqlSchemaLinking(form="code" if arm == RECALL else "paper"))
    return Remembered(load_reward("reasoning-sql") + gate(RowOverlap(), by=1.0 - SqlExecution()))


def questions(count: int, seed: int) -> list[Question]:
    """As many of each level."""
    worlds = [TextToSql(level) for level in TEMPLATES]
    return [_read(task) for world in worlds for task in world.tasks(count // len(worlds), seed)]


def _read(task: Task) -> Question:
    *script, text = message_text(task.prompt[-1]).split("\n")
    schema = next(schema for schema in SCHEMAS.values() if schema.script == "\n".join(script))
    open_blanks = {name: f"(?P<{name}>.+)" for name in ("amount", "value", "person")}
    for asked in QUERIES:
        pattern = asked.replace("?", r"\?").format(**schema._asdict(), **open_blanks)
        if match := re.fullmatch(pattern, text):
            unknown = dict.fromkeys(open_blanks, "0")
            return Question(task, asked, {**unknown, **schema._asdict(), **match.groupdict()})
    raise ValueError(f"task: no template asks {text!r}")


def prior(state: Any, options: int) -> NDArray[np.float64]:
    """The untrained policy leans to what the right query has somewhere."""
    asked, marks, _ = state
    return LEAN * np.array([mark in QUERIES[asked] for mark in marks])


def play(question: Question, policy: TabularPolicy, rng: np.random.Generator) -> Rollout:
    """Write one query, a piece at a time."""
    decisions = list[Decision]()

    def write(place: Mapping[str, str], before: str = "") -> str:
        state = (question.asked, tuple(place.values()), before)
        decisions.append(Decision(state, policy.choose(state, len(place), rng)))
        return list(place)[decisions[-1].choice]

    columns = [write(SELECT)]
    while len(columns) < MAX_COLUMNS and (column := write(NEXT, columns[-1])):
        columns.append(column)
    query = f"SELECT {', '.join(columns)} FROM {write(FROM)}{write(WHERE)}{write(GROUP)}"
    answer = write(FORM).format(query=query.format(**question.blanks))
    return Rollout(question.task.chat(answer), decisions)


def experiment(arm: str, setting: Setting, seed: int) -> Run:
    """Train one policy on 150 questions and measure it on 150 others."""
    policy, execution = TabularPolicy(prior), make_reward(ONLY_EXECUTION)
    accuracy, columns = list[tuple[float, float]](), list[tuple[float, float]]()

    def note(step: int, rollouts: list[Rollout], signal: Signal) -> None:
        if step % EVERY == 0:
            accuracy.append((step, _accuracy(rollouts, execution)))
            columns.append((step, _columns(rollouts)))

    practice = Practice(steps=STEPS, groups=8, group_size=8, learning_rate=setting["learning_rate"])
    practise(policy, questions(QUESTIONS, 0), play, make_reward(arm), practice, seed=seed, on_step=note)
    rng = np.random.default_rng([seed, 1])
    rollouts = [play(question, policy, rng) for question in questions(QUESTIONS, 1) * 2]
    return Run(
        {
            "accuracy": _accuracy(rollouts, execution),
            "accuracy while training": float(np.mean([value for _, value in accuracy])),
            "columns": _columns(rollouts),
        },
        {"accuracy": accuracy, "columns": columns},
    )


def _accuracy(rollouts: Sequence[Rollout], execution: Reward) -> float:
    return float(execution([rollout.sample for rollout in rollouts]).outcome.mean())


def _columns(rollouts: Sequence[Rollout]) -> float:
    lists = [extract_sql(rollout.sample.final).split(" FROM ")[0] for rollout in rollouts]
    return float(np.mean([text.count(",") + 1 for text in lists]))


CLAIM = Claim(
    slug="reasoning-sql",
    says="Partial rewards for syntax, schema, n-grams, form and a judge's grade remove the sparsity of execution "
    "accuracy and train a better text-to-SQL policy.",
    hypothesis="With all rewards the policy is right more often while it trains than with execution alone, and no less "
    "often at the end. With schema recall alone SELECT lists grow longer than with Jaccard, which charges for columns.",
    setup="150 questions of twelve kinds on small SQLite databases of three schemas. For each kind a softmax chooses the "
    "columns one after the other (up to 6), tables, condition, grouping and form of the answer. At first it leans by 1.5 "
    "logits to whatever occurs somewhere in the right query. GRPO, 120 steps of 8 groups of 8. `all rewards` is the "
    "recipe `reasoning-sql` and, where the result is wrong, a stub judge: 2 · F1 of the returned rows.",
    arms=(ALL, ONLY_EXECUTION, RECALL, JACCARD),
    metrics={
        "accuracy": "share of answers to 150 fresh questions, two each, whose query returns the right rows",
        "accuracy while training": "the same share among the rollouts of every fifth step, averaged",
        "columns": "length of the SELECT list on the fresh questions; 1.25 on average in the right queries",
    },
    expect=(
        Expect("accuracy while training", ALL, "higher", ONLY_EXECUTION, margin=0.05),
        Expect("accuracy", ALL, "no_lower", ONLY_EXECUTION, margin=0.03),
        Expect("columns", RECALL, "higher", JACCARD, margin=0.5),
    ),
    experiment=experiment,
    seeds=6,
    first_seed=FRESH_SEED,
    tuning=Tuning([{"learning_rate": rate} for rate in (1.0, 2.0, 4.0, 8.0)], "accuracy while training"),
    axes={
        "accuracy": ("training step", "share of right results"),
        "columns": ("training step", "columns a query"),
    },
    remark="The gain while training is about as large as the margin asked for, so it stays open. Execution alone even "
    "leaves zero sooner, at its faster rate: 10 % of its answers are right after 5 to 10 steps, with all rewards after 10 to "
    "15. A first run, on other seeds, tuned the rate for accuracy at the end: that chose a slow rate for all "
    "rewards and a fast one for execution, and the first expectation failed by 0.09. So the rate is now tuned for what "
    "that expectation compares, with more seeds of tuning, and measured on seeds that no earlier run used. The baseline's "
    "best rate is the largest of the grid. Execution isn't as sparse here as in the paper: 2 % of the untrained policy's "
    "queries are right. The judge is no model but sees the right rows.",
)
