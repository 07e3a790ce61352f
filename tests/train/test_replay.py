"""The replay buffer: what it keeps, how often it draws what, and that it resumes."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.train.replay import ReplayBuffer

PRIORITY = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1.7e308), st.just(5e-324))
PRIORITIES = st.lists(PRIORITY, max_size=40)


def filled(priorities: list[float], capacity: int, seed: int = 0) -> ReplayBuffer[int]:
    buffer = ReplayBuffer[int](capacity, seed)
    for i, priority in enumerate(priorities):
        buffer.add(i, priority)
    return buffer


def content(buffer: ReplayBuffer[Any]) -> set[Any]:
    return {item for _, _, item in buffer.state_dict()["entries"]}


@given(PRIORITIES, st.integers(1, 10))
def test_it_keeps_the_largest_and_of_equal_ones_the_newest(priorities: list[float], capacity: int) -> None:
    buffer = filled(priorities, capacity)
    order = sorted(range(len(priorities)), key=lambda i: (priorities[i], i))
    assert content(buffer) == set(order[-capacity:])
    assert len(buffer) == min(capacity, len(priorities))


@given(st.integers(1, 8), st.lists(st.one_of(PRIORITY, st.integers(1, 5)), max_size=60))
def test_between_draws_the_least_leaves_and_what_is_drawn_is_gone(
    capacity: int, steps: list[float | int]
) -> None:
    buffer, kept, priorities = ReplayBuffer[int](capacity), set[int](), list[float]()
    for step in steps:
        if isinstance(step, float):
            buffer.add(len(priorities), step)
            kept.add(len(priorities))
            priorities.append(step)
            if len(kept) > capacity:
                kept.remove(min(kept, key=lambda i: (priorities[i], i)))
        else:
            drawn = buffer.draw(step)
            assert len(set(drawn)) == len(drawn) == min(step, sum(priorities[i] > 0 for i in kept))
            assert all(priorities[i] > 0 for i in drawn)
            assert kept >= set(drawn)
            kept -= set(drawn)
        assert content(buffer) == kept
        assert len(buffer) == len(kept)


@pytest.mark.parametrize("seed", range(5))
def test_the_least_is_still_known_after_many_draws(seed: int) -> None:
    priorities = (1 + np.random.default_rng(seed).permutation(60) / 100).tolist()
    buffer = filled(priorities, 60, seed)
    drawn = set(buffer.draw(30))
    for _ in range(45):
        buffer.add(-1, 1000.0)
    left = sorted(set(range(60)) - drawn, key=lambda i: priorities[i])
    assert content(buffer) == {*left[15:], -1}


def test_items_are_drawn_in_proportion_to_their_priorities() -> None:
    priorities, trials = [1.0, 2.0, 0.0, 5.0], 4000
    first, both = Counter[int](), Counter[tuple[int, int]]()
    buffer = ReplayBuffer[int](4)
    for _ in range(trials):
        for i, priority in enumerate(priorities):
            buffer.add(i, priority)
        one, two = buffer.draw(2)
        first[one] += 1
        both[one, two] += 1
        buffer.draw(4)
    total = sum(priorities)
    for i, priority in enumerate(priorities):
        assert first[i] / trials == pytest.approx(priority / total, abs=0.03)
        for j, other in enumerate(priorities):
            if i != j:
                chance = priority / total * other / (total - priority)
                assert both[i, j] / trials == pytest.approx(chance, abs=0.03)


@given(PRIORITIES, st.integers(1, 10), st.integers(0, 3), st.integers(0, 2**32))
def test_a_buffer_that_resumes_goes_on_as_the_first_one(
    priorities: list[float], capacity: int, drawn: int, seed: int
) -> None:
    buffer = filled(priorities, capacity, seed)
    buffer.draw(drawn)
    other = ReplayBuffer[int](capacity, seed=99)
    other.load_state_dict(buffer.state_dict())
    for each in (buffer, other):
        each.add(100, 0.5)
    assert content(buffer) == content(other)
    assert [buffer.draw(2) for _ in range(4)] == [other.draw(2) for _ in range(4)]
    assert content(buffer) == content(other)


def test_the_state_does_not_change_with_the_buffer_and_a_smaller_one_takes_the_best_of_it() -> None:
    buffer = filled([0.1, 0.9, 0.5, 0.5], 4)
    state = buffer.state_dict()
    drawn = buffer.draw(4)
    small, same = ReplayBuffer[int](2), ReplayBuffer[int](4)
    small.load_state_dict(state)
    assert content(small) == {1, 3}
    same.load_state_dict(state)
    assert same.draw(4) == drawn


def test_items_are_never_compared() -> None:
    buffer = ReplayBuffer[Any](2)
    for _ in range(5):
        buffer.add({"ids": np.zeros(3)}, 1.0)
    assert len(buffer.draw(2)) == 2


@pytest.mark.parametrize("priority", [math.nan, math.inf, -0.1, "1", None, True])
def test_priorities_that_are_none_are_refused(priority: Any) -> None:
    buffer = ReplayBuffer[int](2)
    with pytest.raises(ValueError, match="priority: expected a finite number of at least 0"):
        buffer.add(0, priority)
    assert len(buffer) == 0


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: ReplayBuffer[int](0), "capacity"),
        (lambda: ReplayBuffer[int](2.0), "capacity"),  # pyright: ignore[reportArgumentType]
        (lambda: ReplayBuffer[int](2, -1), "seed"),
        (lambda: ReplayBuffer[int](2).draw(-1), "count"),
    ],
)
def test_options_out_of_range(make: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make()
