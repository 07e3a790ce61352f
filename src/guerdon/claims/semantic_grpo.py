"""Semantic reward modelling: likeness of meaning to an expert's explanation teaches more than shared words do.

"Shaping Explanations: Semantic Reward Modeling with Encoder-Only Transformers for GRPO", arXiv 2509.13081.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from guerdon.claims.harness.claim import Claim, Expect, Run, Setting, Tuning
from guerdon.core.context import Context
from guerdon.core.function import reward
from guerdon.core.recipe import load_reward, read_yaml, shipped_recipe
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal
from guerdon.core.tagged import last
from guerdon.lab.paraphrases import Fact, change, draw_fact, paraphrase, say
from guerdon.lab.tabular import Decision, Practice, Rollout, TabularPolicy, practise
from guerdon.verify.rouge import sentence_rouge

COSINE, ROUGE, MIXED, EXACT = "cosine", "ROUGE-L", "cosine + ROUGE-L", "exact match"
QUESTIONS, GOLD = 12, 4
LETTERS = "ABCD"
SUBSETS = list(combinations(range(2 * GOLD), GOLD))
OVERLAP = np.array([len(set(subset) & set(range(GOLD))) / GOLD for subset in SUBSETS])
STEPS, EVERY = 200, 10


class Question(NamedTuple):
    """Eight facts, of which the first four explain the answer; `explanation` is the expert's."""

    facts: tuple[Fact, ...]
    explanation: str
    answer: int


def draw_questions(paraphrased: bool, seed: int) -> list[Question]:
    """A fact that doesn't explain is one of those that do, with one slot changed."""
    rng, words = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2])
    questions = list[Question]()
    for _ in range(QUESTIONS):
        gold = [draw_fact(rng) for _ in range(GOLD)]
        wrong = [change(fact, 1, rng) for fact in gold]
        said = [paraphrase(fact, words) if paraphrased else say(fact) for fact in gold]
        questions.append(Question((*gold, *wrong), " ".join(said), int(rng.integers(len(LETTERS)))))
    return questions


def write(question: Question, explanation: str, answer: int) -> Chat:
    """An explanation and a letter."""
    return Chat(
        str(question.facts),
        f"<explanation>{explanation}</explanation><answer>{LETTERS[answer]}</answer>",
        reference=LETTERS[question.answer],
        extra={"explanation": question.explanation},
    )


def _explained(sample: Chat) -> str:
    block = last(sample.final, "explanation")
    return "" if block is None else block.inner(sample.final)


@reward
def rouge(sample: Chat) -> float:
    """ROUGE-L of the explanation and the expert's."""
    return sentence_rouge(_explained(sample), [sample.extra["explanation"]])


@reward
def exact(sample: Chat) -> float:
    """1 where the explanation is the expert's."""
    return float(_explained(sample) == sample.extra["explanation"])


def make_rewards(arm: str) -> tuple[Reward, Reward]:
    """The shipped recipe with the arm's reward of explanations, and that reward alone."""
    path = shipped_recipe("semantic-grpo")
    assert path is not None
    recipe: dict[str, Any] = dict(read_yaml(path.read_text("utf-8"))[0])
    shipped = recipe["parts"]["meaning"]
    shared_words = {"python": f"{__name__}:rouge"}
    meaning = {
        COSINE: shipped,
        ROUGE: shared_words,
        MIXED: {"sum": [shipped, shared_words], "weights": [0.5, 0.5]},
        EXACT: {"python": f"{__name__}:exact"},
    }[arm]
    recipe["parts"] = {**recipe["parts"], "meaning": meaning}
    return load_reward(recipe, trust=True), load_reward({"name": arm, "total": meaning}, trust=True)


@cache
def scores(arm: str, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the whole recipe says of every completion, (2, QUESTIONS, subsets, letters): first with the expert in the
    plain wording, then paraphrased; and what the explanations of `probes` get, (3,).

    Cached, since every setting of an arm's tuning needs the same, and the encoder takes most of the time.
    """
    total, meaning = make_rewards(arm)
    sets = [draw_questions(paraphrased, seed) for paraphrased in (False, True)]
    samples = [
        write(question, " ".join(say(question.facts[i]) for i in subset), letter)
        for questions in sets
        for question in questions
        for subset in SUBSETS
        for letter in range(len(LETTERS))
    ]
    table = total(samples).outcome.reshape(2, QUESTIONS, len(SUBSETS), len(LETTERS))
    probed = meaning([chat for question in sets[1] for chat in probes(question, seed)]).outcome
    return table, probed.reshape(QUESTIONS, -1).mean(axis=0)


def probes(question: Question, seed: int) -> list[Chat]:
    """The right explanation; the words of the expert in random order; the right explanation, denied."""
    right = " ".join(say(fact) for fact in question.facts[:GOLD])
    words = np.random.default_rng([seed, 3]).permutation(question.explanation.split())
    denied = " ".join(f"It is not true that {_lower(say(fact))}" for fact in question.facts[:GOLD])
    return [write(question, text, question.answer) for text in (right, " ".join(words), denied)]


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]


class Table(Reward):
    """Scores that are known beforehand, by the sample's place among them."""

    name = "table"
    uses_context = False

    def __init__(self, known: NDArray[np.float64]) -> None:
        self._known = known

    def score(self, sample: Chat, context: Context) -> float:
        return float(self._known[sample.extra["place"]])


def train(questions: Sequence[Question], known: NDArray[np.float64], setting: Setting, seed: int) -> Run:
    """Choose four sentences and a letter for each question. `known` (QUESTIONS, subsets, letters)."""
    policy, curve = TabularPolicy(), list[tuple[float, float]]()

    def play(number: int, policy: TabularPolicy, rng: np.random.Generator) -> Rollout:
        subset = policy.choose(("explain", number), len(SUBSETS), rng)
        letter = policy.choose(("answer", number), len(LETTERS), rng)
        decisions = [Decision(("explain", number), subset), Decision(("answer", number), letter)]
        return Rollout(Chat(str(number), "", extra={"place": (number, subset, letter)}), decisions)

    def found() -> float:
        chosen = [policy.probabilities(("explain", n), len(SUBSETS)) for n in range(len(questions))]
        return float(np.mean(chosen @ OVERLAP))

    def note(step: int, rollouts: list[Rollout], signal: Signal) -> None:
        if step % EVERY == 0:
            curve.append((step, found()))

    practice = Practice(steps=STEPS, groups=8, group_size=8, learning_rate=setting["learning_rate"])
    practise(policy, range(len(questions)), play, Table(known), practice, seed=seed, on_step=note)
    right = [
        policy.probabilities(("answer", n), len(LETTERS))[question.answer]
        for n, question in enumerate(questions)
    ]
    return Run({"F1": found(), "accuracy": float(np.mean(right))}, {"F1": curve})


def experiment(arm: str, setting: Setting, seed: int) -> Run:
    """Train with the expert paraphrased, and with the expert in the policy's own words."""
    (plain_scores, scores_of_paraphrases), (right, keywords, denied) = scores(arm, seed)
    questions = draw_questions(True, seed)
    paraphrased = train(questions, scores_of_paraphrases, setting, seed)
    plain = train(questions, plain_scores, setting, seed)
    best = [float(OVERLAP[np.isclose(row, row.max())].mean()) for row in scores_of_paraphrases.max(axis=2)]
    return Run(
        {
            **paraphrased.metrics,
            "F1 verbatim": plain.metrics["F1"],
            "best F1": float(np.mean(best)),
            "right": float(right),
            "keywords": float(keywords),
            "denied": float(denied),
        },
        paraphrased.curves,
    )


CLAIM = Claim(
    slug="semantic-grpo",
    says="As a reward for explanations, cosine similarity of embeddings gives better explanations than ROUGE-L does.",
    hypothesis="Where the expert words the same facts differently, a policy rewarded with the cosine explains with more of "
    "the right facts than one rewarded with ROUGE-L, and with far more than one rewarded for an exact match. It answers "
    "no less accurately.",
    setup="12 questions with eight facts of five slots, four of which explain the answer; the others are these with one "
    "slot changed. The policy, a table for each question, chooses 4 of 8 sentences and one of four letters. The "
    "expert's explanation tells the right facts in random synonyms and word order, or, for `F1 verbatim`, in the "
    "policy's wording. Rewards are the shipped recipe `semantic-grpo`, meaning + answer + 0.5 layout, with "
    "all-MiniLM-L6-v2, and the recipe with another reward of explanations in place of the cosine; the mixture halves both. Trained with GRPO "
    "for 200 steps of 8 groups of 8.",
    arms=(COSINE, ROUGE, MIXED, EXACT),
    metrics={
        "F1": "F1 of the chosen sentences and the right facts, expected under the trained policy; 0.5 is chance",
        "accuracy": "probability of the right letter after the same training",
        "F1 verbatim": "F1 where the expert uses the policy's wording",
        "best F1": "F1 of the sentences that the reward likes best, ties averaged; expert paraphrased",
        "right": "reward of the right explanation, expert paraphrased",
        "keywords": "reward of the expert's words in random order",
        "denied": "reward of the right explanation with each sentence denied",
    },
    expect=(
        Expect("F1", COSINE, "higher", ROUGE),
        Expect("F1", COSINE, "higher", EXACT, margin=0.1),
        Expect("accuracy", COSINE, "no_lower", ROUGE, margin=0.03),
    ),
    experiment=experiment,
    tuning=Tuning([{"learning_rate": rate} for rate in (1.0, 3.0, 10.0)], "F1", seeds=2),
    axes={"F1": ("training step", "F1 of the chosen sentences")},
    remark="Five seeds of 12 questions don't separate cosine from ROUGE-L, either in what the policy learns or in what each "
    "reward likes best, and cosine beats exact match, which stays at chance, by about the 0.1 asked for. The wrong "
    "facts differ in one slot; whether the cosine tells larger differences better isn't measured. The mixture has the "
    "highest mean; that mixing harms, as the paper reports, doesn't show. Where the expert uses the policy's words, "
    "exact match is by far the best. What the cosine shouldn't like it likes: the expert's words in random order "
    "score higher than the right explanation, and a denied explanation keeps about three quarters of its score. The "
    "policy can't write either, so nothing here shows it hacked. No judge compares explanations, and the policy "
    "learns each question by itself, so nothing is shown about new ones.",
)
