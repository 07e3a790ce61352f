"""How well predicted tool calls match the expected ones: pure functions over lists of calls."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from guerdon.core.checks import check_choice

Call: TypeAlias = Mapping[str, Any]
Similarity: TypeAlias = Callable[[Sequence[Any], Sequence[Any]], float]
Same: TypeAlias = Callable[[Any, Any], bool]
PairValue: TypeAlias = Callable[[Call, Call], float]
Matching: TypeAlias = Literal["optimal", "greedy", "ordered"]
Arguments: TypeAlias = Literal["exact", "partial", "ignore"]
Divisor: TypeAlias = Literal["mean", "union", "gold", "predicted", "longer", "shorter"]

_MATCHINGS, _ARGUMENTS, _DIVISORS = get_args(Matching), get_args(Arguments), get_args(Divisor)
_MOST_PAIRS = 1_000_000


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


def optimal_assignment(gold: Sequence[Call], predicted: Sequence[Call], value: PairValue) -> float:
    """`max Σ value(g, p)` over all ways to pair each call with at most one of the other side."""
    from scipy.optimize import linear_sum_assignment

    values = np.array([[value(g, p) for p in predicted] for g in gold], dtype=np.float64)
    values = values.reshape(len(gold), len(predicted))
    return float(values[linear_sum_assignment(values, maximize=True)].sum())


def ordered_assignment(gold: Sequence[Call], predicted: Sequence[Call], value: PairValue) -> float:
    """`max Σ value(g, p)` over pairs that keep the order of both sides: a longest common subsequence, weighted."""
    best = [0.0] * (len(predicted) + 1)
    for call in gold:
        diagonal = 0.0
        for j, offered in enumerate(predicted, 1):
            above = best[j]
            best[j] = max(above, best[j - 1], diagonal + value(call, offered))
            diagonal = above
    return best[-1]


_ASSIGNMENTS = {"optimal": optimal_assignment, "greedy": greedy_assignment, "ordered": ordered_assignment}


def call_similarity(gold: Call, predicted: Call, arguments: Arguments) -> float:
    """How alike two calls are, in [0, 1]: 0 where their names differ.

    exact    1 where the parameters are the same, see `same_json`
    partial  (1 + #{k : both have k with the same value}) / (1 + |keys(gold) ∪ keys(predicted)|)
    ignore   1
    """
    if gold["name"] != predicted["name"]:
        return 0.0
    if arguments == "ignore":
        return 1.0
    wanted, given = gold["parameters"], predicted["parameters"]
    if arguments == "exact":
        return float(same_json(wanted, given))
    agreed = sum(key in given and same_json(value, given[key]) for key, value in wanted.items())
    return (1 + agreed) / (1 + len(wanted.keys() | given.keys()))


def matched_share(
    gold: Sequence[Call],
    predicted: Sequence[Call],
    *,
    matching: Matching = "optimal",
    arguments: Arguments = "exact",
    divide_by: Divisor = "mean",
) -> float:
    """Share of the calls of two lists that match, in [0, 1].

        M = max or greedy Σ call_similarity(g, p, arguments)       over pairs of calls that `matching` allows
        result = M / D                                             1 where both lists are empty, 0 where one is

    `matching`: `optimal` takes the best pairs whatever their order; `greedy` the best one left for each gold call in
    turn (`greedy_assignment`); `ordered` the best that keep the order (`ordered_assignment`).

    `divide_by` is D: `mean` `(|gold| + |predicted|)/2`, so the result is an F1 · `union` `|gold| + |predicted| − M`,
    Jaccard · `gold`, recall · `predicted`, precision · `longer` or `shorter` of the two lists.

    With `arguments` exact or ignored a call either matches or doesn't, and both optimal and greedy M are the size of
    the intersection of the multisets: `union` is then their Jaccard index. `ordered`, exact and `longer` is the
    longest common subsequence of Qiantong Xu et al., "On the Tool Manipulation Capability of Open-source Large Language
    Models", arXiv 2305.16504 (sambanova/toolbench); `ignore` and `mean` the F1 of tools of Jize Wang et al., "GTA: A
    Benchmark for General Tool Agents", arXiv 2407.08713 (open-compass/GTA), with each predicted call a hit once.

    Raises `ValueError` for an unknown option, or more than 1,000,000 pairs of calls.
    """
    check_choice(matching, "matching", _MATCHINGS)
    check_choice(arguments, "arguments", _ARGUMENTS)
    check_choice(divide_by, "divide_by", _DIVISORS)
    n, m = len(gold), len(predicted)
    if not n or not m:
        return float(n == m)
    if n * m > _MOST_PAIRS:
        raise ValueError(f"gold, predicted: {n} and {m} calls are more than {_MOST_PAIRS} pairs")
    if matching == "optimal" and arguments != "partial":
        matching = "greedy"  # the same number, without solving for it
    matched = _ASSIGNMENTS[matching](gold, predicted, partial(call_similarity, arguments=arguments))
    divisors = {
        "mean": (n + m) / 2,
        "union": n + m - matched,
        "gold": n,
        "predicted": m,
        "longer": max(n, m),
        "shorter": min(n, m),
    }
    return matched / divisors[divide_by]


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
