"""How well predicted tool calls match the expected ones: pure functions over lists of calls."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

Call: TypeAlias = Mapping[str, Any]
Similarity: TypeAlias = Callable[[Sequence[Any], Sequence[Any]], float]
Same: TypeAlias = Callable[[Any, Any], bool]
PairValue: TypeAlias = Callable[[Call, Call], float]


def same_json(a: Any, b: Any) -> bool:
    """Equality of JSON values: `1` and `1.0` are the same number, but a boolean is never a number.

    Python's own `==` holds `1 == True`. The order of an object's keys doesn't matter, that of a list does.
    """
    return a == b and (type(a) is str or _same_kinds(a, b))


def _same_kinds(a: Any, b: Any) -> bool:
    """Whether two values that are equal to Python have their booleans in the same places."""
    kind = type(a)
    if kind is dict:
        for key, value in a.items():
            if type(value) is not str and not _same_kinds(value, b[key]):
                return False
        return True
    if kind is list:
        return all(map(_same_kinds, a, b))
    return (kind is bool) == (type(b) is bool)


def multiset_jaccard(a: Sequence[Any], b: Sequence[Any]) -> float:
    """`|a ∩ b| / (|a| + |b| − |a ∩ b|)` with the intersection of multisets; 1 where both are empty.

    Raises `TypeError` where the two differ and an element isn't hashable.
    """
    if a == b:
        return 1.0
    shared = sum(min(a.count(item), b.count(item)) for item in set(a) & set(b))
    return shared / (len(a) + len(b) - shared)


def same_list(a: Sequence[Any], b: Sequence[Any]) -> float:
    """1 where the two lists are equal, order included, else 0."""
    return float(a == b)


def greedy_assignment(gold: Sequence[Call], predicted: Sequence[Call], value: PairValue) -> float:
    """`Σ_g max_p value(g, p)`, each gold call in order taking the best unused prediction of the same name.

    A pair needs a value above 0 to be taken, and the earliest of equal ones is. The result isn't the best
    assignment over all gold calls together: an earlier one may take what a later one needed.
    """
    free = list(range(len(predicted)))
    total = 0.0
    for call in gold:
        best, chosen, name = 0.0, -1, call["name"]
        for i in free:
            if predicted[i]["name"] == name and (found := value(call, predicted[i])) > best:
                best, chosen = found, i
        if chosen >= 0:
            free.remove(chosen)
            total += best
    return total


def parameter_match(
    gold: Sequence[Call],
    predicted: Sequence[Call],
    *,
    similarity: Similarity = multiset_jaccard,
    same: Same = operator.eq,
) -> float:
    """Share of names, parameter names and parameter values that match, in [0, 1].

    Calls are `{"name": …, "parameters": {…}}`. With `keys(g)` the parameter names of call `g`:

        value(g, p) = similarity(keys(g), keys(p)) + #{k ∈ keys(g) : k ∈ keys(p), same(p[k], g[k])}
        S           = similarity(names(gold), names(predicted)) + greedy_assignment(gold, predicted, value)
        S_max       = 1 + Σ_g (1 + |keys(g)|)

    and the result is `S / S_max`. Predictions that match nothing lower only the similarity of names.

    Raises `KeyError`, `TypeError` or `AttributeError` where a call that is looked at isn't of that form.
    """

    def value(expected: Call, offered: Call) -> float:
        wanted, given = expected["parameters"], offered["parameters"]
        total = similarity(list(wanted.keys()), list(given.keys()))
        for key, expected_value in wanted.items():
            if key in given and same(given[key], expected_value):
                total += 1
        return total

    score = _name_match(gold, predicted, similarity) + greedy_assignment(gold, predicted, value)
    return score / (1 + len(gold) + sum([len(call["parameters"]) for call in gold]))


def whole_call_match(
    gold: Sequence[Call],
    predicted: Sequence[Call],
    *,
    similarity: Similarity = multiset_jaccard,
    same: Same = operator.eq,
) -> float:
    """Share of names and of whole calls that match, in [0, 1].

    As `parameter_match` with `value(g, p) = 1` where the calls are the same and 0 otherwise, and
    `S_max = 1 + |gold|`.
    """

    def value(expected: Call, offered: Call) -> float:
        return float(same(expected, offered))

    score = _name_match(gold, predicted, similarity) + greedy_assignment(gold, predicted, value)
    return score / (1 + len(gold))


def _name_match(gold: Collection[Call], predicted: Collection[Call], similarity: Similarity) -> float:
    return similarity([call["name"] for call in gold], [call["name"] for call in predicted])
