"""Search-Gen-V: a small verifier that labels nuggets gives a better reward for long answers than exact matching.

Linyue Ma et al., "An Efficient Rubric-based Generative Verifier for Search-Augmented LLMs", arXiv 2510.14660, repository
linyue-ma/Search-Gen-V.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from guerdon.claims.harness.claim import Claim, Expect, Run, Setting, Tuning
from guerdon.core.context import Context
from guerdon.core.extras import need
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal
from guerdon.lab.nugget_passages import (
    KNOWN_HEDGES,
    NUGGETS,
    TEST,
    TRAIN,
    Sheet,
    draw_facts,
    draw_sheet,
    join,
    write,
)
from guerdon.lab.tabular import Decision, Practice, Rollout, TabularPolicy, practise
from guerdon.verify.nugget_labels import LABELS, Label
from guerdon.verify.nuggets import NuggetLabels, label_f1, labelling_parts, labelling_score, nugget_recall
from guerdon.verify.qa import cover_match, token_f1

SHEETS, TEST_SHEETS, QUESTIONS, CANDIDATES = 40, 100, 50, 8
STEPS, EVERY, LABELLED = 60, 3, 320  # labels a training step
EXACT, FITTED, TRAINED = "exact match", "logistic regression", "full reward"
SINGLE, LENIENT = "full reward, batch 1", "without perfect match"
Pairs: TypeAlias = Sequence[tuple[str, str]]
Verifier: TypeAlias = Callable[[Pairs], list[Label]]
"""Labels of (nugget, passage) pairs."""
Batch: TypeAlias = tuple[list[tuple[int, ...]], list[Label]]
"""States of some nuggets, and their right labels."""


@lru_cache(maxsize=20_000)
def features(nugget: str, passage: str) -> tuple[float, float, float, float, float]:
    """How the passage's closest sentence overlaps: F1 of tokens, share of the nugget's numbers and of its names, whether
    there is another number or name, and whether there is a hedge that the verifier knows."""
    closest = max(re.split(r"(?<=\.) ", passage), key=lambda text: token_f1(text, nugget))
    numbers, names = set(re.findall(r"\d+", nugget)), set(re.findall(r"[A-Z]\w{2,}", nugget))
    there = set(re.findall(r"\d+|(?<!^)[A-Z]\w{2,}|^(?!The )[A-Z]\w{2,}", closest))
    return (
        token_f1(closest, nugget),
        len(numbers & there) / len(numbers),
        len(names & there) / len(names),
        float(bool(there - numbers - names)),
        float(any(hedge in closest for hedge in KNOWN_HEDGES)),
    )


def match_exactly(pairs: Pairs) -> list[Label]:
    """Support where the nugget stands in the passage word for word."""
    return ["support" if cover_match(passage, nugget) else "not_support" for nugget, passage in pairs]


def fit(sheets: Sequence[Sheet], strength: float) -> Verifier:
    """Logistic regression of the label on the features."""
    model = need("sklearn.linear_model", "claims").LogisticRegression(C=strength, max_iter=1000)
    rows = [features(nugget, sheet.passage) for sheet in sheets for nugget in sheet.nuggets]
    model.fit(rows, [label for sheet in sheets for label in sheet.labels])
    return lambda pairs: model.predict([features(*pair) for pair in pairs]).tolist()


def state_of(nugget: str, passage: str) -> tuple[int, ...]:
    """The features in coarse steps."""
    overlap, *others = features(nugget, passage)
    return int(4 * overlap), *(round(3 * value) for value in others)


class WithoutPerfectMatch(Reward):
    """`nugget_labels` without its term for a batch that is right as a whole."""

    name = "without_perfect_match"
    uses_context = False

    def score(self, sample: Chat, context: Context) -> float:
        parts = labelling_parts(sample.final, sample.reference, "json")
        return labelling_score(None if parts is None else {**parts, "exact": 0.0})


def prior(state: Hashable, options: int) -> NDArray[np.float64]:
    """The untrained verifier follows its prompt a little: what isn't shown isn't supported."""
    return np.array([0.0, 0.0, 0.5])


def label_with(policy: TabularPolicy) -> Verifier:
    """The most probable label of each pair."""
    return lambda pairs: [
        LABELS[int(np.argmax(policy.probabilities(state_of(*pair), len(LABELS))))] for pair in pairs
    ]


def train(
    arm: str, sheets: Sequence[Sheet], learning_rate: float, seed: int, note: Callable[[int, Verifier], None]
) -> Verifier:
    """A softmax over the labels in each state, trained by GRPO with the reward of labellings."""
    batch = 1 if arm == SINGLE else NUGGETS
    tasks: list[Batch] = [
        (
            [state_of(nugget, sheet.passage) for nugget in sheet.nuggets[start : start + batch]],
            list(sheet.labels[start : start + batch]),
        )
        for sheet in sheets
        for start in range(0, NUGGETS, batch)
    ]

    def play(task: Batch, policy: TabularPolicy, rng: np.random.Generator) -> Rollout:
        states, gold = task
        decisions = [Decision(state, policy.choose(state, len(LABELS), rng)) for state in states]
        listed = json.dumps([LABELS[decision.choice] for decision in decisions])
        text = f"<reasoning>Each nugget against its closest sentence.</reasoning>\n{listed}"
        return Rollout(Chat("label", text, reference=gold, extra={"prompt_format_hint": "json"}), decisions)

    def measured(step: int, rollouts: list[Rollout], signal: Signal) -> None:
        if step % EVERY == 0:
            note(step, label_with(policy))

    policy, reward = TabularPolicy(prior), WithoutPerfectMatch() if arm == LENIENT else NuggetLabels()
    practice = Practice(
        steps=STEPS, groups=LABELLED // (8 * batch), group_size=8, learning_rate=learning_rate
    )
    practise(policy, tasks, play, reward, practice, seed=seed, on_step=measured)
    return label_with(policy)


def best_of_n(verify: Verifier, rng: np.random.Generator) -> dict[int, float]:
    """Mean true weighted recall of the answer that the verifier's reward likes best, for each number of candidates."""
    chosen = {n: list[float]() for n in (1, 2, 4, CANDIDATES)}
    for _ in range(QUESTIONS):
        facts, weights = draw_facts(TEST, rng), rng.integers(1, 4, size=NUGGETS)
        rewards, truths = list[float](), list[float]()
        for share in rng.uniform(0.1, 0.9, size=CANDIDATES):
            sentences, labels = write(facts, share, TEST, rng)
            half = NUGGETS // 2
            blocks = [join(part, rng) for part in (sentences[:half], sentences[half:])]
            found = [verify([(fact.nugget, block) for fact in facts]) for block in blocks]
            rewards.append(nugget_recall(found, weights))
            truths.append(nugget_recall([labels], weights))
        for n, values in chosen.items():
            values.append(truths[int(np.argmax(rewards[:n]))])
    return {n: float(np.mean(values)) for n, values in chosen.items()}


def label_sheets(verify: Verifier, sheets: Sequence[Sheet]) -> list[list[Label]]:
    """The labels of each sheet."""
    return [verify([(nugget, sheet.passage) for nugget in sheet.nuggets]) for sheet in sheets]


def macro_f1(found: Sequence[Sequence[Label]], sheets: Sequence[Sheet]) -> float:
    """Over the labels of all sheets together."""
    return label_f1([x for row in found for x in row], [x for sheet in sheets for x in sheet.labels])


def verdicts(found: Sequence[Sequence[Label]], sheets: Sequence[Sheet]) -> float:
    """Share of nuggets that are rightly taken as supported or not, where exact match or the verifier says so."""
    exact = label_sheets(match_exactly, sheets)
    return float(
        np.mean(
            [
                ("support" in (label, matched)) == (gold == "support")
                for row, other, sheet in zip(found, exact, sheets, strict=True)
                for label, matched, gold in zip(row, other, sheet.labels, strict=True)
            ]
        )
    )


def experiment(arm: str, setting: Setting, seed: int) -> Run:
    """Make one verifier, and measure it on facts, names and words that it hasn't seen."""
    rng = np.random.default_rng([seed, 0])
    sheets = [draw_sheet(TRAIN, rng) for _ in range(SHEETS)]
    tests = [draw_sheet(TEST, rng) for _ in range(TEST_SHEETS)]
    learnt = list[tuple[float, float]]()

    def note(step: int, verify: Verifier) -> None:
        learnt.append((step, macro_f1(label_sheets(verify, tests), tests)))

    if arm == EXACT:
        verify: Verifier = match_exactly
    elif arm == FITTED:
        verify = fit(sheets, setting["strength"])
    else:
        verify = train(arm, sheets, setting["learning_rate"], seed, note)
    note(STEPS, verify)
    found, recall = label_sheets(verify, tests), best_of_n(verify, rng)
    return Run(
        {
            "macro F1": learnt[-1][1],
            "macro F1 while training": float(np.mean([value for _, value in learnt])),
            "batches right": float(np.mean([a == b.labels for a, b in zip(found, tests, strict=True)])),
            "verdicts": verdicts(found, tests),
            "recall": recall[CANDIDATES],
            "gain": recall[CANDIDATES] - recall[1],
        },
        {"recall": list(recall.items()), "macro F1": learnt},
    )


CLAIM = Claim(
    slug="search-gen-v",
    says="A small verifier that is trained to label nuggets gives a reward, the weighted share of supported nuggets, that "
    "is right where exact match is not: on long and on differently worded answers.",
    hypothesis="A verifier labels unseen nuggets better than exact match, says more often rightly whether a single one is "
    "supported, and of 8 long answers its reward picks one that holds more of the nuggets.",
    setup="A nugget says who did what to which building and when. A passage copies it, says it in other words, leaves the "
    "year or the person out, hedges, contradicts one of them, or is silent or speaks of another building. Verifiers see "
    "how the closest sentence overlaps: F1 of tokens, shares of numbers and names, other numbers or names, known hedges. "
    "They are a logistic regression on 400 labels, or a table policy that writes its labels and is trained for 60 steps "
    "of 320 labels by GRPO on `nugget_labels`, with batches of ten nuggets, of one, or without the term for a batch that is "
    "right as a whole. Verbs, names and some hedges of the tests occur in no training. Exact match is support where the "
    "nugget stands there word for word. Candidates for best of n support 10 to 90 % of the nuggets, a quarter of these "
    "word for word, and are labelled in two blocks.",
    arms=(EXACT, FITTED, TRAINED, SINGLE, LENIENT),
    metrics={
        "macro F1": "of the three labels over 1,000 test nuggets",
        "macro F1 while training": "mean over the measurements during training; the final one where there are none",
        "batches right": "share of test batches of ten whose labels are all right",
        "verdicts": "share of test nuggets rightly taken as supported or not, by exact match or else the verifier",
        "recall": "true weighted recall of nuggets of the best of 8 answers by the reward",
        "gain": "that, less the recall of the first answer",
    },
    expect=(
        Expect("recall", TRAINED, "higher", EXACT, margin=0.03),
        Expect("recall", FITTED, "higher", EXACT, margin=0.03),
        Expect("macro F1", TRAINED, "higher", EXACT, margin=0.1),
        Expect("verdicts", TRAINED, "higher", EXACT, margin=0.05),
    ),
    experiment=experiment,
    tuning=Tuning(
        [{"learning_rate": rate} for rate in (0.3, 1.0, 3.0)],
        "macro F1",
        seeds=2,
        own={FITTED: [{"strength": strength} for strength in (0.1, 1.0, 10.0)]},
    ),
    axes={
        "recall": ("answers to choose from", "true weighted recall"),
        "macro F1": ("training step", "macro F1 on test nuggets"),
    },
    remark="The passages are made from templates and the features are written for them, so the size of the gap to exact "
    "match says nothing about real text: three of four supported nuggets are reworded by construction. All trained "
    "verifiers end at the same labels, as far as the features can tell labels apart, so the perfect-match term and the size of the "
    "batch aren't ranked by this experiment; where final F1 ties tuning keeps the smallest rate, at which a batch of ten is rarely "
    "right as a whole, and the term changes no label that was measured. At that rate batches of one label better "
    "while they train; at larger ones the gap is small. The world was changed once on seeds kept for debugging: "
    "passages were silent on no nugget, so blocks showed what training never had, and asides were added because "
    "every verifier erred on unknown hedges alone.",
)
