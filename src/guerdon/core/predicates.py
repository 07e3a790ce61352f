"""Predicates that a recipe can name: which samples a reward applies to."""

from __future__ import annotations

from typing import Any

from guerdon.core.identity import Spec
from guerdon.core.registry import register
from guerdon.core.samples import Chat, Sample


class SamplePredicate:
    """Base of a registered predicate: a callable on a sample that remembers how it was made."""

    spec: Spec | None = None

    def __call__(self, sample: Sample) -> bool:
        raise NotImplementedError


@register("has_reference", kind="predicate", example="{when: has_reference, then: correct}")
class HasReference(SamplePredicate):
    """True where the sample has a reference."""

    def __call__(self, sample: Sample) -> bool:
        return sample.reference is not None


@register("has_tool_calls", kind="predicate", example="{when: has_tool_calls, then: calls}")
class HasToolCalls(SamplePredicate):
    """True where a chat's completion has structured tool calls."""

    def __call__(self, sample: Sample) -> bool:
        return isinstance(sample, Chat) and bool(sample.tool_calls)


@register(
    "extra_equals",
    kind="predicate",
    example="{when: {predicate: extra_equals, key: domain, value: math}, then: correct}",
)
class ExtraEquals(SamplePredicate):
    """True where `extra[key] == value`; a sample without the key is not meant."""

    def __init__(self, key: str, value: Any) -> None:
        self.key, self.value = key, value

    def __call__(self, sample: Sample) -> bool:
        return self.key in sample.extra and sample.extra[self.key] == self.value
