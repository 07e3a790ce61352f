"""SMART: labels of what each step needs teach an agent to search less than the outcome does, nearly as accurately.

Cheng Qian et al., "SMART: Self-Aware Agent for Tool Overuse Mitigation", arXiv 2502.11435, repository
qiancheng0/Open-SMARTAgent.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from guerdon.claims.harness.claim import Claim, Expect, Run, Setting, Tuning
from guerdon.core.extras import need
from guerdon.core.recipe import load_reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal
from guerdon.lab.tabular import Decision, Practice, Rollout, TabularPolicy, practise
from guerdon.verify.reasoning_steps import parse_steps
from guerdon.verify.tool_use import tool_overuse, tool_step_counts

MAX_FACTS = 4
FAMILIARITY_NOISE = 0.5
QUESTIONS, FRESH = 1200, 1000
GROUPS = 8
MEASURED = (40, 80, 160, 320, 640, QUESTIONS)  # questions seen
REASON, SEARCH = 0, 1
LABELS, OUTCOME, PRICED = "need labels", "outcome only", "outcome less overuse"


class Fact(NamedTuple):
    """A number that a question asks for: `known` says whether the model recalls it; `features` are what it can tell
    of that before it answers, familiarity and whether such facts change fast.
    """

    number: int
    known: bool
    features: tuple[float, float]


class Question(NamedTuple):
    """The sum of some facts, and whether the model is right on it without tools."""

    facts: tuple[Fact, ...]
    solved_without: bool = False


class LogisticPolicy(TabularPolicy):
    """Searches with probability `sigmoid(bias + weights · features)`; a state is the features of a step's fact."""

    def __init__(self, bias: float = 0.0, weights: Sequence[float] = (0.0, 0.0)) -> None:
        super().__init__()
        self.parameters = np.array([bias, *weights])

    def probabilities(self, state: Hashable, options: int) -> NDArray[np.float64]:
        search = 1.0 / (1.0 + np.exp(-self.parameters @ _inputs(state)))
        return np.array([1.0 - search, search])

    def improve(
        self, decisions: Sequence[Sequence[Decision]], advantages: NDArray[np.float64], learning_rate: float
    ) -> None:
        """One step up the policy gradient, averaged over all decisions."""
        slopes = [
            advantage
            * (decision.choice - self.probabilities(decision.state, 2)[SEARCH])
            * _inputs(decision.state)
            for row, values in zip(decisions, advantages, strict=True)
            for decision, advantage in zip(row, values, strict=False)
        ]
        self.parameters = self.parameters + learning_rate * np.mean(slopes, axis=0)


def _inputs(state: Hashable) -> NDArray[np.float64]:
    return np.array([1.0, *cast("tuple[float, float]", state)])


def draw_questions(count: int, rng: np.random.Generator) -> list[Question]:
    """Of one to four facts each. Half of all facts are known; of the others half change fast."""
    questions = [
        Question(tuple(draw_fact(rng) for _ in range(rng.integers(1, MAX_FACTS + 1)))) for _ in range(count)
    ]
    alone = [write(question, [REASON] * len(question.facts), rng) for question in questions]
    right = load_reward("math")(alone).outcome == 1.0
    return [q._replace(solved_without=bool(solved)) for q, solved in zip(questions, right, strict=True)]


def draw_fact(rng: np.random.Generator) -> Fact:
    """A number of two digits."""
    known = bool(rng.random() < 0.5)
    fast = not known and rng.random() < 0.5
    familiarity = (1.0 if known else -1.0) + FAMILIARITY_NOISE * rng.standard_normal()
    return Fact(int(rng.integers(10, 100)), known, (float(familiarity), float(fast)))


def write(question: Question, kinds: Sequence[int], rng: np.random.Generator) -> Chat:
    """The trajectory of these kinds of steps. A search finds the number; recall of what isn't known is too high."""
    lines, total = list[str](), 0
    for place, (fact, kind) in enumerate(zip(question.facts, kinds, strict=True), start=1):
        if kind == SEARCH:
            number = fact.number
            lines += [f"- Step {place}: Fact {place} (tool: Search)", f"fact {place}", f"- Output: {number}"]
        else:
            number = fact.number if fact.known else fact.number + int(rng.integers(1, 10))
            lines += [f"- Step {place}: Fact {place} (general reasoning)", f"I recall {number}."]
        total += number
    lines += ["### Final Response", f"\\boxed{{{total}}}"]
    asked = " and ".join(f"fact {place + 1}" for place in range(len(question.facts)))
    return Chat(
        f"What is the sum of {asked}?",
        "\n".join(lines),
        reference=str(sum(fact.number for fact in question.facts)),
        extra={"solved_without": question.solved_without},
    )


def play(question: Question, policy: TabularPolicy, rng: np.random.Generator) -> Rollout:
    """Recall or search each fact, then answer."""
    decisions = [Decision(f.features, policy.choose(f.features, 2, rng)) for f in question.facts]
    return Rollout(write(question, [decision.choice for decision in decisions], rng), decisions)


def fit_labels(questions: Sequence[Question], strength: float) -> LogisticPolicy:
    """Logistic regression of the need of a search on the features of each step."""
    facts = [fact for question in questions for fact in question.facts]
    model = need("sklearn.linear_model", "claims").LogisticRegression(C=strength)
    model.fit([fact.features for fact in facts], [not fact.known for fact in facts])
    return LogisticPolicy(model.intercept_[0], model.coef_[0])


def measure(policy: LogisticPolicy, seed: int) -> dict[str, float]:
    """On fresh questions, each step of the kind that is more probable."""
    rng = np.random.default_rng([seed, 1])
    questions = draw_questions(FRESH, rng)
    search = [[policy.probabilities(fact.features, 2)[SEARCH] for fact in q.facts] for q in questions]
    samples = [write(q, [int(p > 0.5) for p in row], rng) for q, row in zip(questions, search, strict=True)]
    calls = tool_step_counts([[step.type for step in parse_steps(sample.text)] for sample in samples])
    flat = np.concatenate(search)
    return {
        "accuracy": float(load_reward("math")(samples).outcome.mean()),
        "calls": float(calls.mean()),
        "overuse": tool_overuse(calls, [q.solved_without for q in questions]),
        "confidence": float(np.maximum(flat, 1.0 - flat).mean()),
    }


def experiment(arm: str, setting: Setting, seed: int) -> Run:
    """Train one step classifier, and measure it after so many questions."""
    rng = np.random.default_rng([seed, 0])
    questions = draw_questions(QUESTIONS, rng)
    found = dict[int, dict[str, float]]()
    if arm == LABELS:
        found = {n: measure(fit_labels(questions[:n], setting["strength"]), seed) for n in MEASURED}
    else:
        policy = LogisticPolicy()

        def note(step: int, rollouts: list[Rollout], signal: Signal) -> None:
            # Called before the update: so far the policy has seen the questions of earlier steps.
            if step * GROUPS in MEASURED:
                found[step * GROUPS] = measure(policy, seed)

        practice = Practice(
            steps=QUESTIONS // GROUPS,
            groups=GROUPS,
            group_size=8,
            learning_rate=setting["learning_rate"],
        )
        paid = load_reward("smart-agent" if arm == PRICED else "math")
        practise(policy, questions, play, paid, practice, seed=seed, on_step=note)
        found[QUESTIONS] = measure(policy, seed)
    curves = {name: [(n, values[name]) for n, values in found.items()] for name in ("accuracy", "overuse")}
    return Run(found[QUESTIONS], curves)


CLAIM = Claim(
    slug="smart-agent",
    says="Training on reasoning whose steps are labelled as known or in need of a tool makes an agent use tools far less "
    "often, without being less accurate.",
    hypothesis="The step classifier that is trained on need labels searches less, and less often where it needs no search "
    "at all, than the one trained on the outcome of trajectories, and is no less accurate.",
    setup="A question asks for the sum of 1 to 4 facts, half of which the model knows. A search always finds the number, "
    "recall of what isn't known is wrong. Before a step the model sees a noisy familiarity, 2 apart between known and "
    "unknown with standard deviation 0.5, and whether the fact changes fast, as half of the unknown ones do. A logistic "
    "model of both decides to search or to recall. On need labels it is fitted by logistic regression; on the outcome it "
    "is trained by GRPO, 8 rollouts of each of 1,200 questions, with the reward for the right answer, or with that less "
    "0.5 where a tool is used on a question that the model solves without.",
    arms=(LABELS, OUTCOME, PRICED),
    metrics={
        "accuracy": "share of right answers on 1,000 fresh questions, the more probable kind at each step",
        "calls": "searches a question, mean; 1.25 facts are unknown on average",
        "overuse": "share of the questions solved without tools on which a search is made all the same",
        "confidence": "probability of the kind of step that is chosen, mean",
    },
    expect=(
        Expect("calls", LABELS, "lower", OUTCOME, margin=0.25),
        Expect("overuse", LABELS, "lower", OUTCOME, margin=0.1),
        Expect("accuracy", LABELS, "no_lower", OUTCOME, margin=0.03),
    ),
    experiment=experiment,
    tuning=Tuning(
        [{"learning_rate": rate} for rate in (1.0, 3.0, 10.0)],
        "accuracy",
        own={LABELS: [{"strength": strength} for strength in (0.1, 1.0, 10.0)]},
    ),
    axes={
        "accuracy": ("training questions", "share of right answers"),
        "overuse": ("training questions", "overuse of tools"),
    },
    remark="The labelled classifier is a little less accurate, within the margin: it weighs a needless search like a "
    "missed one, and a missed one spoils the answer. The outcome doesn't say that a search was needless, and what it "
    "teaches about unknown facts spills over to known ones, at every learning rate tried. A price on overuse removes "
    "most of it too, at less cost in accuracy; it knows which questions are solved without tools, not which steps. "
    "The labels are exact, as those of the paper aren't, and a search that fails or misleads doesn't occur.",
)
