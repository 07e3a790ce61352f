"""Questions whose answer takes one or two searches in a generated corpus of facts."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from guerdon.agents.search import DocumentIndex
from guerdon.agents.tool import answer_calls, as_tools
from guerdon.core.messages import Message, message_text
from guerdon.core.registry import register
from guerdon.core.samples import Chat
from guerdon.core.tagged import last
from guerdon.lab.world import Task, World
from guerdon.verify.qa import exact_match

SYSTEM = "Search for the facts, then write <answer>name</answer>."
FIRST_NAMES = ("Ann", "Ben", "Eva", "Tom", "Mia", "Sam", "Ida", "Leo", "Zoe", "Max")
ALIASES: Mapping[str, str] = {
    "person": "Dr {}",
    "city": "{} City",
    "company": "{} Ltd",
    "country": "Republic of {}",
    "river": "River {}",
}
"""Another way to name a thing of each kind."""
LEAVES = 8
"""Countries, and rivers, of a corpus."""


class Relation(NamedTuple):
    """What a fact says of a thing: kinds of both sides, the sentence, and how to search and ask for it.

    `phrase` stands for the object in a question that goes on from it; nothing goes on from countries and rivers.
    """

    subject: str
    object: str
    fact: str
    query: str
    question: str
    phrase: str = ""


RELATIONS = (
    Relation(
        *("person", "city", "{} was born in {}.", "{} born"),
        *("In which city was {} born?", "the city where {} was born"),
    ),
    Relation(
        *("person", "company", "{} works for {}.", "{} works"),
        *("Which company does {} work for?", "the company that {} works for"),
    ),
    Relation(
        *("company", "person", "The founder of {} is {}.", "{} founder"),
        *("Who founded {}?", "the founder of {}"),
    ),
    Relation(
        *("company", "city", "The seat of {} is {}.", "{} seat"),
        *("In which city is the seat of {}?", "the seat of {}"),
    ),
    Relation(
        *("city", "country", "{} lies in the country {}.", "{} country", "In which country is {}?"),
    ),
    Relation(
        *("city", "river", "{} lies on the river {}.", "{} river", "On which river is {}?"),
    ),
)
PATHS: Mapping[int, Sequence[tuple[Relation, ...]]] = {
    1: [(relation,) for relation in RELATIONS],
    2: [(one, two) for one in RELATIONS for two in RELATIONS if one.object == two.subject],
}


class TwoHopCheck(NamedTuple):
    """`answer`: whether it is right · `evidence`: whether the searches brought every fact that it follows from."""

    answer: bool
    evidence: bool

    @property
    def solved(self) -> bool:
        """Whether the answer is right, known or guessed."""
        return self.answer


@register("two_hop", kind="world", example="{world: two_hop, facts: 200, distractors: 3, hops: 2}")
class TwoHop(World):
    """Questions about invented people, cities and companies, and the tool `search` over the facts about them.

    `hops`: 1 asks for a fact, 2 for a fact about something that only another fact names ("In which country is
    the city where Ann Lorek was born?"). · `facts` (a multiple of 8, 40 to 4000): size of the corpus; half are
    about people, a quarter about cities, a quarter about companies. · `distractors` (0 to 9): how many others
    share each person's family name. · `results` (1 to 10): facts that a search returns, best first. ·
    `corpus_seed`: another one makes another corpus; tasks of one world share theirs.

    A search returns `<information>` with a line `[id] fact` a document. The solution searches once a hop, says
    `<judge>Yes</judge>` to what came and ends with `<answer>`. That is the form that `qa` (`extract="last"`),
    `reseek` and `igpo` read; `measured` adds what `search_quality` needs. The reference is the list of aliases
    of the answer. Columns beside it: `answer`, `aliases`, `bridge` (the thing between the hops, None for one
    hop), `queries` and `evidence` (one a hop).

    Equal arguments and seeds give equal tasks. Raises `ValueError` for a setting out of its range. Needs
    `guerdon[agents]`.
    """

    def __init__(
        self,
        facts: int = 200,
        distractors: int = 2,
        hops: int = 2,
        results: int = 3,
        corpus_seed: int = 0,
    ) -> None:
        if hops not in PATHS:
            raise ValueError(f"TwoHop.hops: expected 1 or 2, got {hops!r}")
        if not 40 <= facts <= 4000 or facts % 8:
            raise ValueError(f"TwoHop.facts: expected a multiple of 8 from 40 to 4000, got {facts!r}")
        if not 0 <= distractors < len(FIRST_NAMES):
            raise ValueError(f"TwoHop.distractors: expected 0 to {len(FIRST_NAMES) - 1}, got {distractors!r}")
        if not 1 <= results <= 10:
            raise ValueError(f"TwoHop.results: expected 1 to 10, got {results!r}")
        self.hops, self.results = hops, results
        rng = random.Random(corpus_seed)
        self.names = _names(facts, distractors, rng)
        self.facts = {
            (subject, relation): rng.choice(self.names[relation.object])
            for relation in RELATIONS
            for subject in self.names[relation.subject]
        }
        documents = [relation.fact.format(s, o) for (s, relation), o in self.facts.items()]
        rng.shuffle(documents)
        self.index = DocumentIndex(documents)
        self.tools = (self.search,)
        self._by_name = as_tools(self.tools)

    def search(self, query: str) -> str:
        """Search the facts.

        Args:
            query: Words to look for
        """
        found = [hit.document for hit in self.index.search(query, self.results)]
        lines = [f"[{document.id}] {document.text}" for document in found] or ["nothing found"]
        return "\n".join(["<information>", *lines, "</information>"])

    def draw(self, rng: random.Random) -> Task:
        path = rng.choice(PATHS[self.hops])
        chain = self._chain(path, rng)
        while len(set(chain)) < len(chain):  # who works for a company of their own would be their own answer
            chain = self._chain(path, rng)
        phrase, answer = chain[0], chain[-1]
        for relation in path[:-1]:
            phrase = relation.phrase.format(phrase)
        queries = [relation.query.format(subject) for relation, subject in zip(path, chain[:-1], strict=True)]
        aliases = [answer, ALIASES[path[-1].object].format(answer)]
        return Task(
            prompt=[
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": path[-1].question.format(phrase)},
            ],
            solution=self._dialogue(queries, answer),
            reference=aliases,
            extra={
                "answer": answer,
                "aliases": aliases,
                "bridge": chain[1] if self.hops == 2 else None,
                "queries": queries,
                "evidence": [r.fact.format(*pair) for r, pair in zip(path, pairwise(chain), strict=True)],
            },
            tools=[one.schema for one in self._by_name.values()],
        )

    def check(self, sample: Chat) -> TwoHopCheck:
        """Whether the last `<answer>` of the last turn is one of `extra["aliases"]`, and what was found.

        Articles, case and punctuation don't count. Evidence is what stands in results of tools. Raises `KeyError`
        where a column is missing.
        """
        aliases, evidence = sample.extra["aliases"], sample.extra["evidence"]
        block = last(sample.final, "answer")
        right = block is not None and exact_match(block.inner(sample.final), aliases)
        found = "\n".join(_results(sample))
        return TwoHopCheck(right, all(fact in found for fact in evidence))

    def measured(self, sample: Chat) -> Chat:
        """The sample with the ids that each search brought in `extra["retrieved"]`, for `search_quality`."""
        rounds = [
            [int(i) for i in re.findall(r"^\[(\d{1,4})\]", text, re.MULTILINE)] for text in _results(sample)
        ]
        return replace(sample, extra={**sample.extra, "retrieved": rounds})

    def demonstrate(self, task: Task, rng: random.Random, habit: float) -> list[Message]:
        """The solution, or with probability `habit` one that guesses instead of searching a last time."""
        if rng.random() >= habit:
            return [*task.prompt, *task.solution]
        answer = task.extra["answer"]
        kind = next(kind for kind, names in self.names.items() if answer in names)
        return [*task.prompt, *self._dialogue(task.extra["queries"][:-1], rng.choice(self.names[kind]))]

    def _chain(self, path: Sequence[Relation], rng: random.Random) -> list[str]:
        """What the question starts from, and what each relation of the path leads to."""
        chain = [rng.choice(self.names[path[0].subject])]
        for relation in path:
            chain.append(self.facts[chain[-1], relation])
        return chain

    def _dialogue(self, queries: Sequence[str], answer: str) -> list[Message]:
        messages, verdict = list[Message](), ""
        for query in queries:
            call = {"type": "function", "function": {"name": "search", "arguments": {"query": query}}}
            turn = {"role": "assistant", "content": verdict, "tool_calls": [call]}
            messages += [turn, *answer_calls(turn, self._by_name)]
            verdict = "<judge>Yes</judge>"
        return [*messages, {"role": "assistant", "content": f"{verdict}<answer>{answer}</answer>"}]


def _names(facts: int, distractors: int, rng: random.Random) -> dict[str, list[str]]:
    """Names of each kind, all different."""
    words = _words(rng)
    people = list[str]()
    while len(people) < facts // 4:
        family = next(words)
        people += [f"{first} {family}" for first in rng.sample(FIRST_NAMES, distractors + 1)]
    counts = {"city": facts // 8, "company": facts // 8, "country": LEAVES, "river": LEAVES}
    return {
        "person": people[: facts // 4],
        **{kind: [next(words) for _ in range(count)] for kind, count in counts.items()},
    }


def _words(rng: random.Random) -> Iterator[str]:
    """Invented names that differ, without an end."""
    seen = set[str]()
    while True:
        syllables = (rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(rng.randint(2, 3)))
        word = "".join([*syllables, rng.choice("lnrsx")]).capitalize()
        if word not in seen:
            seen.add(word)
            yield word


def _results(sample: Chat) -> list[str]:
    return [message_text(m) for m in sample.completion_messages if m["role"] == "tool"]
