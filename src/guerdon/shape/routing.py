"""One reward out of several, chosen by a column of the sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from guerdon.core.algebra import Sum, When
from guerdon.core.context import Context
from guerdon.core.predicates import SamplePredicate
from guerdon.core.registry import create, register
from guerdon.core.reward import Reward
from guerdon.core.samples import Sample
from guerdon.core.signal import Abstain


@register(
    "extra_in",
    kind="predicate",
    example="{when: {predicate: extra_in, key: task, values: [math, count]}, then: correct}",
)
class ExtraIn(SamplePredicate):
    """True where `extra[key]` is one of `values`, or with `negate` where it is none of them.

    A sample without the key is not meant, with `negate` neither: what is not known is not routed.
    """

    def __init__(self, key: str, values: Sequence[Any], negate: bool = False) -> None:
        if isinstance(values, str):
            raise TypeError(f"values: expected a list, got the text {values!r}")
        self.key, self.values, self.negate = key, list(values), negate

    def __call__(self, sample: Sample) -> bool:
        return self.key in sample.extra and (sample.extra[self.key] in self.values) != self.negate


@register("not_routed", example="{reward: not_routed, key: task, values: [math, count]}")
class NotRouted(Reward):
    """Abstains always, and gives a reason where `extra[key]` is missing or none of `values`.

    A sum of routed rewards has it as a part, so that a sample without a route is not left without a reason.
    `values=None` takes any value. See `route`.
    """

    name = "not_routed"
    uses_context = False

    def __init__(self, key: str, values: Sequence[Any] | None = None) -> None:
        self.key, self.values = key, None if values is None else list(values)

    def score(self, sample: Sample, context: Context) -> None:
        if self.key not in sample.extra:
            raise Abstain(f"extra[{self.key!r}], which chooses the reward, is missing")
        found = sample.extra[self.key]
        if self.values is not None and found not in self.values:
            known = ", ".join(map(repr, self.values))
            raise Abstain(f"extra[{self.key!r}]: no reward for {found!r:.100}; known: {known}")


def route(
    by: str, rewards: Mapping[Any, Reward], otherwise: Reward | None = None, name: str = "route"
) -> Sum:
    """The reward that `extra[by]` names; no other one is computed for that sample.

        R(x) = rewards[extra[by]](x),    or otherwise(x) where no reward has that name

    A sample without `extra[by]` abstains, and so does one whose value has no reward where there is no
    `otherwise`; both with a reason. `Signal.parts` has one part for each route, `otherwise` among them, under
    the name of the route, so which one a sample took is seen from the part that doesn't abstain.

    Routes may use different scales. In a batch of several prompts a group-relative estimator takes the scale
    out, as all samples of a prompt take one route.

    It is a sum of parts with a `when`, which is also its form in a recipe:

        total:
          sum:
          - {when: {predicate: extra_equals, key: task, value: math}, then: math}
          - {when: {predicate: extra_in, key: task, values: [math], negate: true}, then: bleu}
          - {reward: not_routed, key: task}

    Raises `ValueError` where `rewards` is empty or names a route `otherwise` while there is one.

    "Beyond Monolithic Rewards: A Hybrid and Multi-Aspect Reward Optimization for MLLM Alignment", arXiv
    2510.05283: a rule where the task is verifiable, else a learned reward.
    """
    if not rewards:
        raise ValueError("rewards: expected at least one, got an empty mapping")
    if otherwise is not None and "otherwise" in rewards:
        raise ValueError("rewards: 'otherwise' is the name of the last route; give this one another name")
    routes = list(rewards)
    parts: list[Reward] = [
        When(reward, create("extra_equals", "predicate", {"key": by, "value": value}), str(value))
        for value, reward in rewards.items()
    ]
    if otherwise is not None:
        others = create("extra_in", "predicate", {"key": by, "values": routes, "negate": True})
        parts.append(When(otherwise, others, "otherwise"))
    known = {"key": by} if otherwise is not None else {"key": by, "values": routes}
    parts.append(create("not_routed", arguments=known))
    return Sum([(1.0, part) for part in parts], name=name)
