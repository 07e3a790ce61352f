"""Form of a trajectory that routes queries to other models: think, search, information and answer blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Score
from guerdon.core.tagged import blocks, counts
from guerdon.verify.trajectory import trajectory

TAGS = ("think", "search", "information", "answer")
_ANY_TAG = re.compile(f"</?(?:{'|'.join(TAGS)})>")
PLACEHOLDERS = ("llm-name", "your-query")
Pool = Mapping[str, Sequence[str]]
ROUTER_R1_POOL: Pool = {
    "qwen": (),
    "palmyra": (),
    "creative": (),
    "llama": ("70b", "51b", "49b", "8b"),
    "mistral": (),
    "mixtral": (),
    "granite": (),
    "gemma": (),
}
"""Families of the paper's pool, in the order in which they are tried."""


def routed_model(name: str, pool: Pool = ROUTER_R1_POOL) -> str | None:
    """The model of the pool that a name stands for, or None.

    `pool`: family → sizes, in lower case. The first family that the lower-cased name contains decides; where it
    has sizes the name must contain one, and the result is `family-size`, such as `llama-8b`.
    """
    name = name.lower()
    family = next((family for family in pool if family in name), None)
    if family is None or not pool[family]:
        return family
    size = next((size for size in pool[family] if size in name), None)
    return None if size is None else f"{family}-{size}"


def routing_problem(text: str, pool: Pool = ROUTER_R1_POOL) -> str | None:
    """The first thing that is wrong with the form of a whole trajectory, or None.

    A well-formed trajectory starts with `<think>` and ends with `</answer>`, whitespace around it aside; each
    tag opens as often as it closes, and no block holds another tag. It has at least one thought, none of
    them empty or just `...`; one answer; and as many information blocks as searches. A search is
    `model: query` with one colon, a query that isn't empty and doesn't name the model, no placeholder text of
    the prompt (`PLACEHOLDERS`), and a model of the `pool`, see `routed_model`.

    Haozhen Zhang, Tao Feng, Jiaxuan You, "Router-R1: Teaching LLMs Multi-Round Routing and Aggregation via
    Reinforcement Learning", arXiv 2506.09033, repository ulab-uiuc/Router-R1.
    """
    return next(_problems(text, pool), None)


def count_routes(text: str, pool: Pool = ROUTER_R1_POOL) -> int:
    """How many calls were routed before the first malformed one.

    A call is a search outside the answer. It is malformed as in `routing_problem`, save that the query may name the
    model; the rest of the trajectory isn't looked at.
    """
    routes = 0
    for block in blocks(text, "search", "answer"):
        if block.tag == "search":
            if _call_problem(block.inner(text), pool) is not None:
                break
            routes += 1
    return routes


@register("routing_format", example="{reward: routing_format}")
class RoutingFormat(Reward):
    """0 where the whole trajectory is well-formed, else -1, as `routing_problem` judges it.

    The trajectory is the text of all completion messages, tool results included. `pool`: as in
    `routed_model`; by default the paper's. A -1 comes with a note; `Signal.parts["routes"]` is `count_routes`.

    Raises `ValueError` for an empty pool or one that isn't in lower case.

    Haozhen Zhang, Tao Feng, Jiaxuan You, "Router-R1: Teaching LLMs Multi-Round Routing and Aggregation via
    Reinforcement Learning", arXiv 2506.09033, repository ulab-uiuc/Router-R1.
    """

    uses_context = False

    def __init__(self, pool: Pool | None = None) -> None:
        self.name = "routing_format"
        self.pool = {
            family: tuple(sizes) for family, sizes in (ROUTER_R1_POOL if pool is None else pool).items()
        }
        names = [*self.pool, *(size for sizes in self.pool.values() for size in sizes)]
        if not names or not all(name and name == name.lower() for name in names):
            raise ValueError(f"pool: expected families and sizes in lower case, got {pool!r}")

    def score(self, sample: Chat, context: Context) -> Score:
        text = trajectory(sample)
        problem = routing_problem(text, self.pool)
        routes = {"routes": float(count_routes(text, self.pool))}
        return Score(0.0 if problem is None else -1.0, parts=routes, note=problem)


def _problems(text: str, pool: Pool) -> Iterator[str]:
    for tag, (opened, closed) in counts(text, *TAGS).items():
        if opened != closed:
            yield f"<{tag}> opens {opened} and closes {closed} times"
    inner = dict[str, list[str]]((tag, []) for tag in TAGS)
    for block in blocks(text, *TAGS):
        inner[block.tag].append(block.inner(text))
    for tag, bodies in inner.items():
        for body in bodies:
            if _ANY_TAG.search(body):
                yield f"a <{tag}> block holds another tag"
            if tag == "think" and body.strip() in ("", "..."):
                yield "a thought is empty"
    numbers = {tag: len(bodies) for tag, bodies in inner.items()}
    if not numbers["think"]:
        yield "there is no thought"
    if numbers["answer"] != 1:
        yield f"there are {numbers['answer']} answers, expected one"
    if numbers["search"] != numbers["information"]:
        yield f"there are {numbers['search']} searches and {numbers['information']} information blocks"
    stripped = text.strip()
    if not stripped.startswith("<think>"):
        yield "it doesn't start with <think>"
    if not stripped.endswith("</answer>"):
        yield "it doesn't end with </answer>"
    for body in inner["search"]:
        problem = _call_problem(body, pool)
        if problem is not None:
            yield problem
        name, _, query = body.lower().partition(":")
        if name.strip() in query:
            yield "a search names its model in the query"


def _call_problem(body: str, pool: Pool) -> str | None:
    if body.count(":") != 1:
        return f"a search has {body.count(':')} colons, expected `model: query`"
    name, _, query = body.partition(":")
    if not query.strip():
        return "a search has no query"
    lowered = body.lower()
    if any(placeholder in lowered for placeholder in PLACEHOLDERS):
        return "a search repeats the placeholder of the prompt"
    if routed_model(name, pool) is None:
        return f"{name.strip()[:40]!r} is no model of the pool"
    return None
