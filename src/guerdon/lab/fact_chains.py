"""Questions over two facts of a prompt, among others that mislead, and chains of lines about them by a table policy."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from guerdon.core.samples import Chat
from guerdon.lab.tabular import Decision, Rollout, TabularPolicy
from guerdon.models.encoding import CompletionTokens

Floats: TypeAlias = NDArray[np.float64]

PEOPLE = ("Ann", "Ben", "Eva", "Tom", "Mia", "Sam")
CITIES = ("Arun", "Belm", "Corvo", "Dorn", "Esk", "Fano")
COUNTRIES = ("Norland", "Ostria", "Pelonia")
FILLER = "Let me think."
OPEN, STOP, CLOSE = "<think>\n", "</think>\n<answer>", "</answer>"
LONGEST = 6
"""Lines of the longest chain."""
READING = 0.9
"""Probability of answering with the country that the last fact of a chain names."""
COMMON, NEAR = 4.0, 8.0
"""How many times as likely as any other fact the untrained policy writes filler or ends, and a fact that leads on."""

_TOKEN = re.compile(f"{OPEN}|{STOP}|{CLOSE}|[^<\n]+\n?")


@dataclass(frozen=True)
class Lookup:
    """`facts`: where each person lives and each city lies, in the order of the prompt · `asked`: a person."""

    facts: Mapping[str, str]
    asked: str

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Lookup:
        """Six people in a city of their own each, and two cities in each of three countries."""
        lives = zip(PEOPLE, rng.permutation(CITIES).tolist(), strict=True)
        lies = zip(CITIES, rng.permutation(COUNTRIES * 2).tolist(), strict=True)
        facts = [*lives, *lies]
        order = rng.permutation(len(facts))
        return cls(dict(facts[i] for i in order), PEOPLE[rng.integers(len(PEOPLE))])

    @property
    def city(self) -> str:
        """The entity in between."""
        return self.facts[self.asked]

    @property
    def answer(self) -> str:
        """The country that is asked for."""
        return self.facts[self.city]

    def line(self, subject: str) -> str:
        """A fact in words."""
        return f"{subject} {'lives' if subject in PEOPLE else 'is'} in {self.facts[subject]}."

    def chat(self, completion: str) -> Chat:
        """A sample, with the answer as its reference and the lookup in `extra["lookup"]`."""
        facts = " ".join(map(self.line, self.facts))
        prompt = f"{facts} In which country does {self.asked} live?"
        return Chat(prompt, completion, reference=self.answer, extra={"lookup": self})


class Written(NamedTuple):
    """What a chain has come to.

    `kind` of its last fact: none, asked (where the asked person lives), reached (where that city lies, right after it),
    or another person or city · `subject` of that fact · `lines`: how many there are.
    """

    kind: str = "none"
    subject: str = ""
    lines: int = 0

    def after(self, lookup: Lookup, line: str) -> Written:
        """With one more line."""
        if line == FILLER:
            return self._replace(lines=self.lines + 1)
        subject = line.split()[0]
        if subject == lookup.asked:
            kind = "asked"
        elif subject in PEOPLE:
            kind = "person"
        else:
            kind = "reached" if self.kind == "asked" and subject == lookup.city else "city"
        return Written(kind, subject, self.lines + 1)


class FactWriter:
    """Writes chains, and is a `LogProbs` of them: a token is a line, the end of the chain, or the answer.

    The policy chooses between filler, the fact about the asked person, a fact about what the last one named where there
    is one, any other fact, and the end; after `LONGEST` lines it is cut off. Untrained,
    it writes filler and misleading facts more often than those that lead on. It reads the answer off the last fact, with probability `READING` if that names a
    country, and else guesses; that isn't trained.
    """

    def __init__(self) -> None:
        self.policy = TabularPolicy(_prior)

    def play(self, lookup: Lookup, policy: TabularPolicy, rng: np.random.Generator) -> Rollout:
        """A chain, for `practise` with this writer's own policy. The decision on line k belongs to part k."""
        del policy
        return self.write(lookup, rng)

    def write(self, lookup: Lookup, rng: np.random.Generator, hint: float = 0.0) -> Rollout:
        """A chain; with a hint of the answer, what names it is exp(hint) times as likely as without."""
        written, text, decisions = Written(), OPEN, list[Decision]()
        while not text.endswith(STOP):
            if written.lines == LONGEST:
                text += STOP
                break
            state, options = _options(lookup, written)
            probabilities = self.policy.probabilities(state, len(options))
            choices = [(i, line) for i, lines in enumerate(options) for line in lines]
            weights = [probabilities[i] / len(options[i]) for i, _ in choices]
            option, line = choices[_draw(weights, [lookup.answer in line for _, line in choices], hint, rng)]
            decisions.append(Decision(state, option, written.lines))
            text += line if line == STOP else f"{line}\n"
            if line != STOP:
                written = written.after(lookup, line)
        weights = [_answer_probability(lookup, written, country) for country in COUNTRIES]
        answer = COUNTRIES[_draw(weights, [country == lookup.answer for country in COUNTRIES], hint, rng)]
        return Rollout(lookup.chat(text + answer + CLOSE), decisions)

    def log_probs(self, samples: Sequence[Any]) -> list[Floats]:
        """Of every token (T_i,), one array a sample."""
        return [np.log(self._probabilities(sample)) for sample in samples]

    def completion_tokens(self, sample: Chat) -> CompletionTokens:
        """Where lines, marks and the answer stand; all of them are the writer's."""
        spans = np.array([found.span() for found in _TOKEN.finditer(sample.text)])
        return CompletionTokens(spans, np.ones(len(spans), dtype=bool))

    def _probabilities(self, sample: Chat) -> list[float]:
        lookup: Lookup = sample.extra["lookup"]
        written, found, answers = Written(), list[float](), False
        for token in _TOKEN.findall(sample.text):
            if token in (OPEN, CLOSE):
                found.append(1.0)
            elif answers:
                found.append(_answer_probability(lookup, written, token))
            else:
                line = token if token == STOP else token.removesuffix("\n")
                found.append(self._line_probability(lookup, written, line))
                answers, written = (True, written) if token == STOP else (False, written.after(lookup, line))
        return found

    def _line_probability(self, lookup: Lookup, written: Written, line: str) -> float:
        state, options = _options(lookup, written)
        for i, lines in enumerate(options):
            if line in lines:
                return float(self.policy.probabilities(state, len(options))[i]) / len(lines)
        raise ValueError(f"{line!r} isn't a line that can stand there")


def lines_of(sample: Chat) -> list[str]:
    """The lines of a chain."""
    return sample.text.removeprefix(OPEN).split(STOP)[0].splitlines()


def _options(lookup: Lookup, written: Written) -> tuple[Hashable, list[list[str]]]:
    """The state of the policy, and what it may write there: equally likely lines for each of its options."""
    follows = written.kind in ("asked", "person")
    near = [lookup.asked, *([lookup.facts[written.subject]] if follows else [])]
    options = [[FILLER], *([lookup.line(subject)] for subject in near)]
    options.append([lookup.line(subject) for subject in lookup.facts if subject not in near])
    return written.kind, [*options, [STOP]]


def _prior(state: Hashable, options: int) -> Floats:
    """The option of any other fact weighs as much as there are of them."""
    near = options - 3
    return np.log([COMMON, *[NEAR] * near, len(PEOPLE) + len(CITIES) - near, COMMON])


def _answer_probability(lookup: Lookup, written: Written, country: str) -> float:
    read = lookup.facts[written.subject] if written.kind in ("reached", "city") else None
    if read is None:
        return 1 / len(COUNTRIES)
    return READING if country == read else (1 - READING) / (len(COUNTRIES) - 1)


def _draw(weights: Sequence[float], helped: Sequence[bool], hint: float, rng: np.random.Generator) -> int:
    tilted = np.array(weights) * np.exp(hint * np.array(helped))
    return int(rng.choice(len(tilted), p=tilted / tilted.sum()))
