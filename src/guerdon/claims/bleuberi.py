"""BLEUBERI: overlap with several good answers tells better from worse, and trains without long answers.

Yapei Chang et al., "BLEUBERI: BLEU is a surprisingly effective reward for instruction following", arXiv 2505.11080,
repository lilakk/BLEUBERI.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from guerdon.claims.harness.claim import Claim, Expect, Run, Setting, Tuning
from guerdon.core.context import Context
from guerdon.core.extras import need
from guerdon.core.function import reward
from guerdon.core.preferences import Preference
from guerdon.core.recipe import load_reward
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal
from guerdon.lab.paraphrases import (
    CONTENTS,
    OPTIONS,
    SLOTS,
    WORDINGS,
    Fact,
    change,
    draw_fact,
    paraphrase,
)
from guerdon.lab.tabular import Decision, Practice, Rollout, TabularPolicy, practise
from guerdon.verify.length import UnitCount
from guerdon.verify.repetition import Repetition

BLEU, EDIT, TFIDF, LENGTH = "BLEU", "edit similarity", "TF-IDF cosine", "length"
REFERENCES, PAIRS = 5, 600
TASKS, FRESH = 60, 600
STEPS, EVERY = 100, 10
STOP, MOST = SLOTS, 15
FITTING = 1.0  # logit of the content that the instruction asks for, before training


def tell(facts: Sequence[Fact], rng: np.random.Generator) -> str:
    """All facts, each paraphrased, in any order."""
    return " ".join(paraphrase(facts[i], rng) for i in rng.permutation(len(facts)))


def draw_pair(rng: np.random.Generator) -> Preference[Chat]:
    """Two paraphrases of two facts; the rejected one has a slot changed, a fact left out or a false one added."""
    facts = [draw_fact(rng), draw_fact(rng)]
    flawed = [
        [change(facts[0], 1, rng), facts[1]],
        facts[:1],
        [*facts, draw_fact(rng)],
    ][rng.integers(3)]
    references = [tell(facts, rng) for _ in range(REFERENCES)]
    good, bad = tell(facts, rng), tell(flawed, rng)
    return Preference(Chat(str(facts), good, references), Chat(str(facts), bad, references))


def agreement(scored: Reward, pairs: Sequence[Preference[Chat]], references: int) -> float:
    """Share of pairs whose better answer scores higher with so many references; a tie is half."""
    sides = [
        [Chat(chat.prompt, chat.completion, chat.reference[:references]) for chat in side]
        for side in ([pair.chosen for pair in pairs], [pair.rejected for pair in pairs])
    ]
    gaps = scored(sides[0]).outcome - scored(sides[1]).outcome
    return float(np.mean((np.sign(gaps) + 1) / 2))


@reward
def edit_similarity(sample: Chat) -> float:
    """1 less the edit distance in words over the longer length, at the closest reference."""
    words = sample.final.split()
    return max(
        1 - _distance(words, other) / max(len(words), len(other))
        for other in (text.split() for text in sample.reference)
    )


def _distance(left: Sequence[str], right: Sequence[str]) -> int:
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, start=1):
        before, row = row, [i]
        for j, b in enumerate(right):
            row.append(min(before[j] + (a != b), before[j + 1] + 1, row[j] + 1))
    return row[-1]


class TfIdf(Reward):
    """Cosine of TF-IDF vectors with the closest reference; rarity is counted in `texts`."""

    name = "tfidf"
    uses_context = False

    def __init__(self, texts: Sequence[str]) -> None:
        self._vectors = need("sklearn.feature_extraction.text", "claims").TfidfVectorizer().fit(texts)

    def score(self, sample: Chat, context: Context) -> float:
        return float(self.score_batch([sample], context).outcome[0])

    def score_batch(self, samples: Sequence[Chat], context: Context) -> Signal:
        rows = self._vectors.transform([s.final for s in samples])
        ends = np.cumsum([len(s.reference) for s in samples])
        found = self._vectors.transform([text for s in samples for text in s.reference])
        near = np.repeat(np.arange(len(samples)), [len(s.reference) for s in samples])
        cosines = np.asarray(rows[near].multiply(found).sum(axis=1)).ravel()
        return Signal.from_values([float(part.max()) for part in np.split(cosines, ends[:-1])])


def make_reward(arm: str, texts: Sequence[str]) -> Reward:
    """The reward of an arm."""
    if arm == BLEU:
        return load_reward("bleuberi")
    if arm == EDIT:
        return edit_similarity
    return TfIdf(texts) if arm == TFIDF else UnitCount("words")


class Instruction(NamedTuple):
    """A fact to tell, and five good answers."""

    fact: Fact
    references: list[str]


def draw_instruction(rng: np.random.Generator) -> Instruction:
    """To tell one fact."""
    fact = draw_fact(rng)
    return Instruction(fact, [paraphrase(fact, rng) for _ in range(REFERENCES)])


def prior(state: Any, options: int) -> NDArray[np.float64]:
    """The untrained policy slightly prefers what was asked, and has no grammar."""
    logits = np.zeros(options)
    if state[0] == "content":
        logits[state[2]] = FITTING
    return logits


def play(task: Instruction, policy: TabularPolicy, rng: np.random.Generator) -> Rollout:
    """Phrase after phrase: which slot, given the one before, or the end; then what it says and in which words."""
    decisions, words, said = list[Decision](), list[str](), list[tuple[int, int]]()

    def choose(state: Any, options: int) -> int:
        choice = policy.choose(state, options, rng)
        decisions.append(Decision(state, choice))
        return choice

    slot = choose(("next", None), SLOTS)
    while True:
        content = choose(("content", slot, task.fact[slot]), OPTIONS)
        phrase = CONTENTS[slot][content][choose(("wording", slot, content), WORDINGS)]
        words.append(f"the {phrase}" if slot in (0, 2) else phrase)
        said.append((slot, content))
        if len(said) == MOST or (slot := choose(("next", slot), SLOTS + 1)) == STOP:
            break
    text = " ".join(words)
    sample = Chat(str(task.fact), f"{text[0].upper()}{text[1:]}.", task.references, extra={"said": said})
    return Rollout(sample, decisions)


def measure(
    tasks: Sequence[Instruction], policy: TabularPolicy, rng: np.random.Generator
) -> dict[str, float]:
    """What a policy says on instructions: how true, how long, how repetitive."""
    samples = [play(task, policy, rng).sample for task in tasks]
    right = [len(set(s.extra["said"]) & set(enumerate(t.fact))) for s, t in zip(samples, tasks, strict=True)]
    size = np.array([len(s.extra["said"]) for s in samples])
    words = UnitCount("words")
    references = [Chat("", text) for task in tasks for text in task.references]
    return {
        "content": float(np.mean(2 * np.array(right) / (size + SLOTS))),
        "length ratio": float(words(samples).outcome.mean() / words(references).outcome.mean()),
        "repetition": float(-Repetition(ngram_size=2, max_penalty=-1.0)(samples).outcome.mean()),
        "BLEU": float(load_reward("bleuberi")(samples).outcome.mean()),
    }


def experiment(arm: str, setting: Setting, seed: int) -> Run:
    """Judge pairs with a reward, then train a policy with it and measure it on fresh instructions."""
    rng = np.random.default_rng([seed, 1])
    pairs = [draw_pair(rng) for _ in range(PAIRS)]
    tasks, probes, fresh = ([draw_instruction(rng) for _ in range(n)] for n in (TASKS, 100, FRESH))
    paid = make_reward(arm, [text for task in tasks for text in task.references])
    agreements = [agreement(paid, pairs, count) for count in range(1, REFERENCES + 1)]
    policy, curves = TabularPolicy(prior), {"content": list[tuple[float, float]](), "length ratio": []}

    def note(step: int, rollouts: list[Rollout], signal: Signal) -> None:
        if step % EVERY == 0:
            found = measure(probes, policy, rng)
            for name, points in curves.items():
                points.append((step, found[name]))

    practice = Practice(steps=STEPS, groups=8, group_size=8, learning_rate=setting["learning_rate"])
    practise(policy, tasks, play, paid, practice, seed=seed, on_step=note)
    judged = {
        "agreement 1": agreements[0],
        "agreement 5": agreements[-1],
        "gain": agreements[-1] - agreements[0],
    }
    return Run(
        {**judged, **measure(fresh, policy, rng)},
        {"agreement": list(enumerate(agreements, start=1)), **curves},
    )


CLAIM = Claim(
    slug="bleuberi",
    says="BLEU against good references agrees with preferences, the better the more references there are, and trains a "
    "policy to follow instructions about as well as a learned reward does.",
    hypothesis="BLEU agrees with known preferences more often with 5 references than with 1, and more often than length. A "
    "policy that is trained with it says what was asked no less often than one trained with edit similarity, and its "
    "answers aren't longer than the references by more than a quarter.",
    setup="Facts of five slots with six contents each; each content can be said in four ways and a fact in six orders. "
    "Agreement: 600 pairs of answers that tell two facts in any wording; the worse one has one slot changed, a fact left "
    "out or a false one added, a third each. Training: a policy of slot bigrams tells one fact phrase by phrase, at most "
    "15; it chooses content and wording of each phrase, and prefers the right content by 1 logit at first. GRPO for 100 "
    "steps of 8 groups of 8 on 60 instructions with 5 references each. The reward is that of the arm in both; BLEU is "
    "the shipped recipe, length counts words.",
    arms=(BLEU, EDIT, TFIDF, LENGTH),
    metrics={
        "agreement 1": "share of pairs whose better answer scores higher with 1 reference; a tie is half",
        "agreement 5": "the same with 5 references",
        "gain": "agreement 5 − agreement 1",
        "content": "F1 of the contents that the trained policy says, on 600 fresh instructions; a repeated one counts once",
        "length ratio": "its words over those of the references",
        "repetition": "share of its word bigrams that are repeats",
        "BLEU": "BLEU of its answers with 5 references",
    },
    expect=(
        Expect("gain", BLEU, "higher", 0.0, margin=0.02),
        Expect("agreement 5", BLEU, "higher", LENGTH, margin=0.05),
        Expect("content", BLEU, "no_lower", EDIT, margin=0.05),
        Expect("length ratio", BLEU, "no_higher", 1.0, margin=0.25),
    ),
    experiment=experiment,
    tuning=Tuning([{"learning_rate": rate} for rate in (1.0, 3.0, 10.0)], "content", seeds=2),
    axes={
        "agreement": ("references", "share of pairs"),
        "content": ("training step", "F1 of contents"),
        "length ratio": ("training step", "words over those of references"),
    },
    remark="More references help BLEU in every seed, but with 600 pairs it can't be said that they help by more than the "
    "0.02 asked for. Most of its agreement comes from answers of the wrong size, which it tells with one reference: "
    "an omission costs brevity and an addition precision. Of a changed slot it sees little even with 5 references. "
    "Edit similarity starts lower and gains more. Length agrees by chance, since omissions and additions are equally "
    "frequent here. Policies differ much between seeds, and BLEU's answers are somewhat shorter than the references. "
    "TF-IDF hardly charges for what is added, and its answers grow to three times the length. It isn't the learned "
    "reward of the paper, so nothing is shown about one. `BLEU` is what the BLEU arm is trained on; `content` isn't.",
)
