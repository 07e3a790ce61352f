"""Cost of a completion."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.core.samples import Chat
from guerdon.core.signal import Status
from guerdon.verify.cost import Cost


def call(name):
    return {"type": "function", "function": {"name": name, "arguments": "{}"}}


def test_tool_calls_of_all_turns():
    messages = [
        {"role": "assistant", "content": None, "tool_calls": [call("search"), call("open")]},
        {"role": "tool", "content": "found"},
        {"role": "assistant", "content": "done", "tool_calls": [call("close")]},
    ]
    quiet = [{"role": "assistant", "content": "done"}]
    signal = Cost(of="tool_calls", price=0.1)(
        [Chat("p", messages), Chat("p", quiet), Chat("p", "search(open)")]
    )
    assert signal.outcome[:2].tolist() == pytest.approx([-0.3, 0])
    assert signal.status[2] == Status.ABSTAINED
    assert "plain text" in signal.reasons[2]


def test_tokens():
    reward = Cost(of="tokens", price=0.5)
    signal = reward([Chat("p", "", extra={"completion_ids": [1, 2, 3]}), Chat("p", "text")])
    assert signal.outcome[0] == -1.5
    assert signal.status[1] == Status.ABSTAINED


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.int64(2)])
def test_a_number_of_the_caller(value):
    reward = Cost(price=3, key="seconds")
    assert reward([Chat("p", "a", extra={"seconds": value})]).outcome[0] == -6


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, "2", True, [1]])
def test_what_is_no_cost_fails_with_its_reason(value):
    signal = Cost()([Chat("p", "a", extra={"cost": value})])
    assert signal.status[0] == Status.FAILED
    assert "extra['cost']" in signal.reasons[0]


@pytest.mark.parametrize("extra", [{}, {"cost": None}])
def test_a_missing_number_abstains(extra):
    signal = Cost()([Chat("p", "a", extra=extra)])
    assert signal.status[0] == Status.ABSTAINED
    assert "extra['cost']" in signal.reasons[0]


@pytest.mark.parametrize("arguments", [{"of": "time"}, {"price": -1.0}, {"price": float("nan")}])
def test_wrong_options_raise(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Cost(**arguments)
