"""ToRA: training on sampled programs that the grader accepts solves more questions than imitation alone.

Zhibin Gou et al., "ToRA: A Tool-Integrated Reasoning Agent for Mathematical Problem Solving", arXiv 2309.17452,
repository microsoft/ToRA.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from guerdon.agents.calculator import calculator
from guerdon.claims.harness.claim import FRESH_SEED, Claim, Expect, Run, Setting, Tuning
from guerdon.core.samples import Chat
from guerdon.lab.arithmetic import NAMES, PHRASES, Arithmetic
from guerdon.lab.tabular import TabularPolicy
from guerdon.lab.world import Task
from guerdon.verify.tool_integrated import ToolIntegratedMath

OPERATORS = tuple(PHRASES)
# What each round of a trajectory prints: operators p and q, numbers a, b and c, and t, the output of the round before.
FORMS = (
    ("{a} {p} {b}", "{t} {q} {c}"),
    ("({a} {p} {b}) {q} {c}",),
    ("{c} {q} ({a} {p} {b})",),
    ("({b} {p} {a}) {q} {c}",),
    ("{a} {p} ({b} {q} {c})",),
    ("{a} {q} {c} {p} {b} {q} {c}",),
    ("{a} {q} {c} {p} {b}",),
)
TAUGHT = 0  # the place of the form that the teacher writes
TRAINING, FRESH = 200, 300
SHAPING_SAMPLES, KEPT = 64, 4  # as in the paper
TRIES, COVERAGE_TRIES = 16, 4
IMITATION, SHAPING, UNGRADED = "imitation only", "shaping", "shaping without grader"


def masked(sentence: str) -> str:
    """A sentence, or the pattern of one, without its numbers and names."""
    return re.sub(rf"\d+|\b(?:{'|'.join(NAMES)})\b|{{\w+}}", "_", sentence).rstrip(".")


MEANING = {masked(text): symbol for symbol, texts in PHRASES.items() for text in texts}
HARD = {masked(texts[-1]) for texts in PHRASES.values()}  # phrases that the teacher doesn't understand


class Question(NamedTuple):
    """A word problem: its text, the phrases of its two operations, its three numbers, and the answer."""

    text: str
    phrases: tuple[str, str]
    numbers: tuple[str, str, str]
    answer: str


class Program(NamedTuple):
    """What a policy decides: the two operators by their place in `OPERATORS`, and the place in `FORMS`."""

    first: int
    second: int
    form: int


class Solution(NamedTuple):
    """A program for a question."""

    question: Question
    program: Program


def read(task: Task) -> Question:
    """The question of a task of `Arithmetic(operations=2)`."""
    text = task.prompt[-1]["content"]
    sentences = text.split(". ")
    a, b, c = (re.findall(r"\d+", sentence)[-1] for sentence in sentences[:3])
    return Question(text, (masked(sentences[1]), masked(sentences[2])), (a, b, c), task.extra["answer"])


def trajectory(solution: Solution) -> str:
    """Each round's program and what it prints."""
    (a, b, c), (first, second, form) = solution.question.numbers, solution.program
    output, rounds = "", list[str]()
    for template in FORMS[form]:
        expression = template.format(a=a, b=b, c=c, p=OPERATORS[first], q=OPERATORS[second], t=output)
        try:
            output = calculator(expression)
        except ZeroDivisionError as error:
            output = f"ZeroDivisionError: {error}"
        rounds.append(f"```python\nprint({expression})\n```\n```output\n{output}\n```")
    return "\n".join(rounds)


def grades(solutions: Sequence[Solution]) -> NDArray[np.bool_]:
    """Which solutions the library's grader accepts."""
    samples = [Chat(s.question.text, trajectory(s), s.question.answer) for s in solutions]
    return ToolIntegratedMath()(samples).outcome == 1.0


def fit(solutions: Sequence[Solution], smoothing: float) -> TabularPolicy:
    """Imitate: how often each operator stands for a phrase, and each form for two operators, plus `smoothing`."""
    counts = dict[Hashable, NDArray[np.float64]]()
    for question, (first, second, form) in solutions:
        for phrase, operator in zip(question.phrases, (first, second), strict=True):
            counts.setdefault(phrase, np.zeros(len(OPERATORS)))[operator] += 1
        counts.setdefault((first, second), np.zeros(len(FORMS)))[form] += 1
    return TabularPolicy(lambda state, options: np.log(counts.get(state, np.zeros(options)) + smoothing))


def draw(policy: TabularPolicy, question: Question, tries: int, rng: np.random.Generator) -> list[Solution]:
    """Programs of the policy for a question."""
    found = list[Solution]()
    for _ in range(tries):
        first, second = (policy.choose(phrase, len(OPERATORS), rng) for phrase in question.phrases)
        form = policy.choose((first, second), len(FORMS), rng)
        found.append(Solution(question, Program(first, second, form)))
    return found


def taught(question: Question) -> list[Solution]:
    """The teacher's program in two rounds; none where it doesn't understand a phrase."""
    if not HARD.isdisjoint(question.phrases):
        return []
    first, second = (OPERATORS.index(MEANING[phrase]) for phrase in question.phrases)
    return [Solution(question, Program(first, second, TAUGHT))]


def shaped(
    policy: TabularPolicy, questions: Sequence[Question], rng: np.random.Generator, *, graded: bool = True
) -> list[Solution]:
    """What shaping adds: of each question the first 4 distinct samples that are right, or, not `graded`, the first 4."""
    added = list[Solution]()
    for question in questions:
        sampled = list(dict.fromkeys(draw(policy, question, SHAPING_SAMPLES, rng)))
        right = grades(sampled) if graded else np.ones(len(sampled), dtype=bool)
        added += [s for s, good in zip(sampled, right, strict=True) if good][:KEPT]
    return added


def experiment(arm: str, setting: Setting, seed: int) -> Run:
    """Imitate the teacher, shape once, and measure on fresh questions."""
    rng = np.random.default_rng([seed, 0])
    questions = [read(task) for task in Arithmetic(operations=2).tasks(TRAINING + FRESH, seed)]
    training, fresh = questions[:TRAINING], questions[TRAINING:]
    shown = [solution for question in training for solution in taught(question)]
    policy = fit(shown, setting["smoothing"])
    if arm != IMITATION:
        added = shaped(policy, training, rng, graded=arm == SHAPING)
        policy = fit(list(dict.fromkeys([*shown, *added])), setting["smoothing"])
    return measure(policy, fresh, np.random.default_rng([seed, 1]))


def measure(policy: TabularPolicy, questions: Sequence[Question], rng: np.random.Generator) -> Run:
    """On 16 programs of each question."""
    drawn = [draw(policy, question, TRIES, rng) for question in questions]
    right = grades([s for solutions in drawn for s in solutions]).reshape(len(questions), TRIES)
    accepted = [
        {trajectory(s) for s, good in zip(solutions, row, strict=True) if good}
        for solutions, row in zip(drawn, right, strict=True)
    ]
    solved = np.logical_or.accumulate(right, axis=1)
    hard = np.array([not HARD.isdisjoint(question.phrases) for question in questions])
    return Run(
        {
            "coverage": float(solved[:, COVERAGE_TRIES - 1].mean()),
            "hard coverage": float(solved[hard, COVERAGE_TRIES - 1].mean()),
            "accuracy": float(right.mean()),
            "programs": float(np.mean([len(found) for found in accepted])),
        },
        {"coverage": [(tries + 1, float(share)) for tries, share in enumerate(solved.mean(axis=0))]},
    )


CLAIM = Claim(
    slug="tora",
    says="Output space shaping, training on diverse sampled trajectories that are right besides the teacher's, makes a "
    "tool-integrated reasoner solve more questions than imitating the teacher.",
    hypothesis="Shaping solves more of the fresh questions within 4 samples, is no less accurate a sample, and finds more "
    "distinct right programs; without the grader the same samples don't widen what is solved.",
    setup="Word problems of two operations, each said with one of twelve phrases. A program is two operators, each "
    "chosen by its phrase, and one of seven forms, chosen by the operators; which forms are right depends on them. The "
    "policy counts what it is trained on and adds a smoothing. The teacher solves the questions out of 200 without one of "
    "four hard phrases, always in two rounds. Shaping draws 64 programs of each of the 200 questions, runs them, keeps up "
    "to 4 distinct ones that the grader accepts, and fits anew. Without the grader up to 4 are kept as they come.",
    arms=(SHAPING, UNGRADED, IMITATION),
    metrics={
        "coverage": "share of 300 fresh questions that at least one of 4 sampled programs solves",
        "hard coverage": "the same of those questions with a phrase that the teacher doesn't understand",
        "accuracy": "share of right programs among 16 samples of each fresh question",
        "programs": "distinct right programs among 16 samples of a fresh question, mean",
    },
    expect=(
        Expect("coverage", SHAPING, "higher", IMITATION, margin=0.03),
        Expect("coverage", SHAPING, "higher", UNGRADED, margin=0.03),
        Expect("accuracy", SHAPING, "no_lower", IMITATION, margin=0.03),
        Expect("programs", SHAPING, "higher", IMITATION, margin=0.5),
    ),
    experiment=experiment,
    first_seed=FRESH_SEED,
    tuning=Tuning([{"smoothing": smoothing} for smoothing in (0.01, 0.1, 1.0)], "coverage"),
    axes={"coverage": ("samples a question", "share of fresh questions solved")},
    remark="The gain in coverage is in the questions with a hard phrase, of which the teacher solves none: the smoothed "
    "policy hits on programs for them, and the training answers say which. Nothing is learned that those answers don't "
    "tell; without them the policy trains on its own errors. Of the programs that shaping keeps some 4 in 100 are right "
    "with other operators than the question says, by chance or as a − (b + c) is for a − b − c. In a first run the "
    "teacher also repaired wrong trajectories, as in the paper; that changed no number, since 64 samples had found all "
    "that repair gave. Its smoothings began at 0.1, too high for imitation; this one is on seeds that no run had used.",
)
