"""Recipes: what they mean, their errors with line and key, and the way back."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import guerdon
from guerdon import Chat, Reward, Transform, gate, maximum, minimum
from guerdon.core import registry
from guerdon.core.algebra import Expression
from guerdon.core.predicates import ExtraEquals
from guerdon.core.recipe import RecipeError, dump_recipe, load_reward
from guerdon.core.registry import UnknownName, create


@guerdon.register("test_length")
class Length(Reward):
    """Length of the completion over `limit`."""

    name = "test_length"

    def __init__(self, limit: float = 1.0) -> None:
        if limit <= 0:
            raise ValueError(f"limit: expected a positive number, got {limit}")
        self.limit = limit
        self.calls = 0

    def score(self, sample, context):
        self.calls += 1
        return len(sample.text) / self.limit


@guerdon.register("test_shift", kind="transform")
class Shift(Transform):
    """Adds `by`."""

    name = "test_shift"

    def __init__(self, by: float) -> None:
        self.by = by

    def apply(self, signal, groups, context):
        return signal.replace(outcome=signal.outcome + self.by)


SAMPLES = [Chat("p", "x" * n, extra={"domain": "math" if n % 2 else "code"}) for n in range(4)]


def outcome(reward):
    return reward(SAMPLES).outcome.tolist()


def test_weights():
    reward = load_reward(
        "parts:\n  a: test_length\n  b: {reward: test_length, limit: 2}\nweights: {a: 1, b: 0.5}\n"
    )
    assert outcome(reward) == [0.0, 1.25, 2.5, 3.75]
    assert set(reward(SAMPLES).parts) == {"a", "b"}


def test_a_part_that_is_used_twice_is_scored_once():
    reward = load_reward("parts: {a: test_length}\ntotal:\n  product: [a, {sum: [a], bias: 1}]\n")
    assert outcome(reward) == [0.0, 2.0, 6.0, 12.0]
    leaf = next(node for node in guerdon.core.reward.leaves(reward))
    assert leaf.calls == 4


def test_an_argument_may_be_called_like_a_form():
    reward = load_reward(
        "parts: {a: {reward: overlong, maximum: 4, buffer: 2, unit: characters}}\nweights: {a: 1}\n"
    )
    assert outcome(reward) == [0.0, 0.0, 0.0, -0.5]


def test_numbers_with_an_exponent_are_numbers():
    assert load_reward("parts: {a: {reward: test_length, limit: 1e-1}}\nweights: {a: 2E1}\n").weights == (
        20.0,
    )


def test_every_form():
    reward = load_reward(
        """
        name: whole
        version: 3
        parts:
          a: test_length
          half: {pipe: [{reward: test_length, limit: 2}, {transform: test_shift, by: 1}]}
        total:
          maximum:
            - {minimum: [a, half]}
            - {gate: a, by: half, threshold: 2, otherwise: 0.25}
            - {when: {predicate: extra_equals, key: domain, value: math}, then: half, name: only-math}
        transforms: [{transform: test_shift, by: 10}]
        """
    )
    assert (reward.name, reward.version) == ("whole", "3")
    assert outcome(reward) == [10.25, 11.5, 12.0, 13.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "parts:\n  format: test_length\nweights:\n  fromat: 1\n",
            r":4: `weights.fromat`: unknown part; did you mean 'format'",
        ),
        (
            "parts:\n  a: test_lenght\nweights: {a: 1}\n",
            r":2: `parts.a`: unknown reward 'test_lenght'; did you mean 'test_length'",
        ),
        (
            "parts:\n  a:\n    reward: test_length\n    limt: 3\nweights: {a: 1}\n",
            r":4: `parts.a.limt`: .*did you mean 'limit'",
        ),
        (
            "parts:\n  a: {reward: test_length, limit: -1}\nweights: {a: 1}\n",
            r":2: `parts.a.limit`: .*positive",
        ),
        ("parts: {a: test_length}\nweights: {a: much}\n", r":2: `weights.a`: expected a number, got 'much'"),
        ("parts: {a: test_length}\nweights: {a: true}\n", r"expected a number, got True"),
        ("parts: {a: test_length}\n", r"expected either `weights` or `total`"),
        ("parts: {a: test_length, b: test_length}\nweights: {a: 1}\n", r"`parts.b`: this part has no weight"),
        ("part: {a: test_length}\n", r":1: `part`: unknown section; did you mean 'parts'"),
        ("parts: {a: test_length}\ntotal: {summ: [a]}\n", r":2: `total`: expected one of sum"),
        (
            "parts: {a: test_length}\ntotal: {sum: [a], wieghts: [1]}\n",
            r"`total.wieghts`: unknown key; did you mean 'weights'",
        ),
        ("parts: {a: test_length}\ntotal: {sum: [a], weights: [1, 2]}\n", r"expected 1 weights, got 2"),
        ("parts: {a: test_length}\ntotal: {gate: a}\n", r"a gate needs `by`"),
        ("parts: {a: {sum: [b]}, b: {sum: [a]}}\nweights: {a: 1, b: 1}\n", r"need each other"),
        (
            "parts: {a: test_length}\nweights: {a: 1}\nweights: {a: 2}\n",
            r":3: `weights`: this key occurs twice",
        ),
        ("parts: {a: [\n", r"not YAML"),
        ("- a\n- b\n", r"expected a mapping"),
        ("parts: {a: {python: 'os:system'}}\nweights: {a: 1}\n", r":1: `parts.a.python`: .*--trust"),
        (
            "parts: {a: test_length}\ntotal: {when: has_refrence, then: a}\n",
            r"unknown predicate 'has_refrence'; did you mean 'has_reference'",
        ),
        ("parts: {a: test_length}\ntotal: {pipe: [a, test_shift]}\n", r"'by' is needed"),
        ("parts: {a: " + "[" * 5000 + "}\n", r"recipe"),
    ],
)
def test_errors_name_line_and_key(text, message):
    with pytest.raises(RecipeError, match=message):
        load_reward(text)


def test_a_recipe_file_is_named_in_its_errors(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("parts:\n  a: nothing_like_it\nweights: {a: 1}\n")
    with pytest.raises(RecipeError, match=r"mine.yaml:2: `parts.a`"):
        load_reward(path)
    with pytest.raises(RecipeError, match="no such recipe file"):
        load_reward(tmp_path / "none.yaml")


def test_code_is_imported_only_where_the_recipe_is_trusted(tmp_path, monkeypatch):
    (tmp_path / "their_rewards.py").write_text(
        "import guerdon\n\n@guerdon.reward\ndef two(sample):\n    return 2.0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    text = "parts: {a: {python: 'their_rewards:two'}}\nweights: {a: 1}\n"
    with pytest.raises(RecipeError, match="trust"):
        load_reward(text)
    assert "their_rewards" not in sys.modules
    reward = load_reward(text, trust=True)
    assert outcome(reward) == [2.0] * 4
    assert outcome(load_reward(dump_recipe(reward), trust=True)) == [2.0] * 4


def test_a_registered_name_takes_arguments():
    assert load_reward("test_length", limit=2).limit == 2
    with pytest.raises(TypeError, match="did you mean 'limit'"):
        load_reward("test_length", limitt=2)
    with pytest.raises(UnknownName, match="did you mean 'test_length'"):
        load_reward("test_lenth")


def graph(node, seen=None):
    """Structure of an expression graph, shared leaves by number."""
    seen = {} if seen is None else seen
    if isinstance(node, Expression):
        return (
            type(node).__name__,
            node.name,
            repr(sorted(node.options().items())),
            [graph(c, seen) for c in node.children()],
        )
    return seen.setdefault(id(node), (len(seen), node.spec.name, dict(node.spec.arguments)))


def leaf(name, **arguments):
    return create("test_length", arguments=arguments).named(name)


leaves = st.shared(st.just([leaf("a"), leaf("b", limit=2.0), leaf("c", limit=3.0)]))


@st.composite
def expressions(draw, depth=3):
    pool = draw(leaves)
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from(pool))
    a, b = draw(expressions(depth=depth - 1)), draw(expressions(depth=depth - 1))
    kind = draw(st.integers(0, 7))
    return [
        lambda: 0.5 * a + b + 1,
        lambda: a * b,
        lambda: minimum(a, b),
        lambda: maximum(a, b),
        lambda: gate(a, by=b, threshold=1.5, otherwise=-1),
        lambda: a.when(create("extra_equals", "predicate", {"key": "domain", "value": "math"})),
        lambda: a | create("test_shift", "transform", {"by": 2.0}),
        lambda: (a + b).named("both"),
    ][kind]()


@settings(max_examples=80, deadline=None)
@given(expressions())
def test_any_expression_goes_round(reward):
    again = load_reward(dump_recipe(reward))
    assert graph(again) == graph(reward)
    np.testing.assert_array_equal(again(SAMPLES).outcome, reward(SAMPLES).outcome)
    assert dump_recipe(again) == dump_recipe(reward)


@guerdon.register("test_doubled")
class Doubled(Reward):
    """Twice another reward."""

    name = "test_doubled"

    def __init__(self, of: Reward) -> None:
        self.of = of

    def score(self, sample, context):
        return 2 * self.of([sample]).outcome[0]


def test_arguments_that_are_expressions_go_round():
    reward = load_reward(
        """
        parts:
          long: {reward: test_length, limit: 0.5}
          inner: {pipe: [{reward: test_length, limit: 2}, {transform: test_shift, by: 1}]}
          twice: {reward: test_doubled, of: {sum: [long, inner], weights: [1, 10]}}
        total: {sum: [long, twice]}
        """
    )
    again = load_reward(dump_recipe(reward))
    assert outcome(reward) == outcome(again) == [20.0 + 16.0 * n for n in range(4)]
    assert dump_recipe(again) == dump_recipe(reward)


def test_what_is_not_registered_can_not_be_written_down():
    with pytest.raises(RecipeError, match="not registered"):
        dump_recipe(guerdon.reward(lambda sample: 1.0))


def test_one_name_one_object():
    with pytest.raises(ValueError, match="exists already"):
        registry.register("test_length")(ExtraEquals)


@guerdon.register("test_reference")
class Reference(Reward):
    """The reference as a number; abstains without one."""

    name = "test_reference"

    def score(self, sample, context):
        return sample.reference


def test_parts_may_read_their_references_from_columns_of_their_own():
    text = "parts:\n  own: test_reference\n  other: {reward: test_reference, reference: gold}\nweights: {own: 1, other: 10}\n"
    reward = load_reward(text)
    samples = [Chat("p", "c", reference=1.0, extra={"gold": 2.0}), Chat("p", "c", reference=3.0)]
    for scored in (
        reward(samples),
        load_reward(dump_recipe(reward))(samples),
        guerdon.score(reward, samples, workers=1),
    ):
        assert scored.outcome.tolist() == [21.0, 3.0]
        assert scored.parts["other"].reasons[1] == "extra['gold'], the reference, is missing"
    with pytest.raises(TypeError, match="not for an expression"):
        (reward + 1).with_reference("gold")


@guerdon.register("test_two_models")
class TwoModels(guerdon.Reward):
    """A reward whose own argument is called reference."""

    name = "test_two_models"

    def __init__(self, reference: str = "none") -> None:
        self.reference = reference

    def score(self, sample, context):
        return float(len(self.reference))


def test_an_argument_called_reference_is_the_rewards_own():
    reward = guerdon.load_reward("total: {reward: test_two_models, reference: start}\n")
    assert reward([Chat("p", "c")]).outcome.tolist() == [5.0]
    assert guerdon.load_reward(dump_recipe(reward))([Chat("p", "c")]).outcome.tolist() == [5.0]
    with pytest.raises(RecipeError, match="has an argument `reference`"):
        dump_recipe(reward.with_reference("gold"))
