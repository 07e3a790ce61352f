"""Which reward a sample gets."""

from __future__ import annotations

import pytest

from guerdon.core.function import reward
from guerdon.core.recipe import dump_recipe, load_reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Score, Status
from guerdon.shape.routing import ExtraIn, route


def sample(text, **extra):
    return Chat("q", text, extra=extra)


def counting(name, value):
    seen = []

    @reward(name=name)
    def count(chat):
        seen.append(chat.text)
        return value

    return count, seen


def test_only_the_chosen_reward_is_computed():
    (rule, by_rule), (model, by_model) = counting("rule", 1.0), counting("model", 0.25)
    routed = route("task", {"math": rule, "open": model})
    samples = [sample("a", task="math"), sample("b", task="open"), sample("c", task="math")]
    assert routed(samples).outcome.tolist() == [1.0, 0.25, 1.0]
    assert (by_rule, by_model) == (["a", "c"], ["b"])


def test_everything_else_takes_the_last_route():
    (rule, by_rule), (model, by_model) = counting("rule", 1.0), counting("model", 0.25)
    routed = route("task", {"math": rule, "count": rule}, otherwise=model)
    samples = [
        sample("a", task="count"),
        sample("b", task=None),
        sample("c", task=["math"]),
        sample("d", task="math"),
    ]
    signal = routed(samples)
    assert signal.outcome.tolist() == [1.0, 0.25, 0.25, 1.0]
    assert (by_rule, by_model) == (["a", "d"], ["b", "c"])
    taken = {name: part.ok.tolist() for name, part in signal.parts.items()}
    assert taken["count"] == [True, False, False, False]
    assert taken["otherwise"] == [False, True, True, False]


def test_a_sample_without_a_route_abstains_with_a_reason():
    rule, seen = counting("rule", 1.0)
    signal = route("task", {"math": rule})(
        [sample("a", task="ocr" * 1000), sample("b"), sample("c", task="math")]
    )
    assert signal.status.tolist() == [Status.ABSTAINED, Status.ABSTAINED, Status.OK]
    assert "no reward for 'ocr" in signal.reasons[0]
    assert "known: 'math'" in signal.reasons[0]
    assert len(signal.reasons[0]) < 300
    assert "'task'" in signal.reasons[1]
    assert "missing" in signal.reasons[1]
    assert seen == ["c"]
    missing = route("task", {"math": rule}, otherwise=rule)([sample("b")])
    assert missing.status.tolist() == [Status.ABSTAINED]
    assert "missing" in missing.reasons[0]


def test_what_the_chosen_reward_says_is_what_the_sample_gets():
    @reward
    def broken(chat):
        raise ValueError("no answer in it")

    @reward
    def silent(chat):
        return None

    @reward
    def steps(chat):
        return Score(0.5, dense=[0.1, 0.2])

    routed = route("task", {"a": broken, "b": silent, "c": steps})
    signal = routed([sample("x", task=task) for task in "abc"])
    assert signal.status.tolist() == [Status.FAILED, Status.ABSTAINED, Status.OK]
    assert "no answer in it" in signal.reasons[0]
    assert signal.outcome[2] == 0.5
    assert [row.tolist() for row in signal.dense] == [[], [], [0.1, 0.2]]


def test_the_recipe_of_a_route_is_the_same_route():
    routed = route(
        "task", {"math": load_reward("math"), "text": load_reward("bleu")}, otherwise=load_reward("rouge")
    )
    again = load_reward(dump_recipe(routed))
    samples = [
        Chat("q", "The answer is 3", reference=answer, extra={"task": task})
        for task, answer in (("math", "3"), ("text", "The answer is 3"), ("chat", "3 is the answer"))
    ]
    samples.append(Chat("q", "3", reference="3"))
    first, second = routed(samples), again(samples)
    assert first.outcome[:3].tolist() == second.outcome[:3].tolist()
    assert first.reasons == second.reasons
    assert list(first.parts) == list(second.parts) == ["math", "text", "otherwise", "not_routed"]


def test_wrong_use_is_named():
    rule, _ = counting("rule", 1.0)
    with pytest.raises(ValueError, match="rewards"):
        route("task", {})
    with pytest.raises(ValueError, match="otherwise"):
        route("task", {"otherwise": rule}, otherwise=rule)
    with pytest.raises(TypeError, match="expected rewards"):
        route("task", {"math": 1.0})
    with pytest.raises(TypeError, match="values"):
        ExtraIn("task", "math")


def test_a_condition_on_a_column():
    inside, outside = ExtraIn("task", ["a", "b"]), ExtraIn("task", ["a", "b"], negate=True)
    assert (inside(sample("", task="a")), outside(sample("", task="a"))) == (True, False)
    assert (inside(sample("", task="c")), outside(sample("", task="c"))) == (False, True)
    assert (inside(sample("")), outside(sample(""))) == (False, False)
